/**
 * Runs inside a test's VM, beside the kernel host and on a port of its own: carries out the commands that a test
 * sends. It is bundled by the test that wants it (see guest.ts) and no part of the product.
 *
 * A channel is one command: a line of JSON `{command: string[]}` in, one line `{status, stdout, stderr}` out.
 */
import { spawn } from 'node:child_process';
import type { Duplex } from 'node:stream';
import { ChannelMux } from '../../kernel/client/mux';
import { openPort } from '../../kernel/client/port';

async function main(): Promise<void> {
  const port = await openPort(process.argv[2]!);
  new ChannelMux(port, port, serve, () => process.exit(0));
}

function serve(channel: Duplex): void {
  let request = '';
  channel.on('error', () => {});
  channel.on('data', (chunk: Buffer) => {
    request += chunk.toString();
    if (!request.endsWith('\n')) return;
    const { command } = JSON.parse(request) as { command: string[] };
    carryOut(command, (result) => channel.end(`${JSON.stringify(result)}\n`));
  });
}

function carryOut(command: string[], done: (result: object) => void): void {
  const child = spawn(command[0]!, command.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  child.on('error', (error) => done({ status: 127, stdout, stderr: error.message }));
  child.on('close', (status, signal) => done({ status: status ?? `killed by ${signal}`, stdout, stderr }));
}

void main();
