/**
 * The relay: the process that owns a VM. It starts QEMU, waits until the kernel host in the guest answers, and then
 * passes each connection on its Unix socket to that host as one channel of the virtio-serial port.
 *
 * It lives as long as its starter holds its stdin open. QEMU lives as long as it does: see `launcher`.
 */
import { createInterface } from 'node:readline';
import type { RelayRequest, Tell } from './messages';
import { runVm } from './relay';

const tell: Tell = (message) => void process.stdout.write(`${JSON.stringify(message)}\n`);

const lines = createInterface({ input: process.stdin });
let end: (() => void) | undefined;
lines.once('line', (line) => {
  end = runVm(JSON.parse(line) as RelayRequest, tell);
});
lines.once('close', () => (end ? end() : process.exit(0)));
// Signals from a terminal reach the whole process group; the starter decides.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => (end ? end() : process.exit(0)));
// The starter may be gone while we still have something to say.
process.stdout.on('error', () => {});
