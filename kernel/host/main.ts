/**
 * The kernel host: the one process that holds privileges and loads the addon.
 *
 *     node kernel-host.js --listen SOCKET --uid UID [--faulted KEY]…
 *                                                     serves sessions on a Unix socket, for that user only
 *     node kernel-host.js --channel PATH              serves sessions multiplexed on a character device (in a VM)
 *     node kernel-host.js --vmlinux-header [VMLINUX]  writes the types of this kernel, or of that file, as C to
 *                                                     standard output and ends
 *
 * With --listen it prints one line of JSON when it is ready, `{"ready":true}` or `{"problem":"…"}`, and ends when its
 * standard input does: the starter's death, by whatever cause, ends the host. A line `{"faulted":"KEY"}` follows for each
 * program that the kernel faulted on; the starter names them to the hosts that come after (faults.ts).
 */
import net from 'node:net';
import path from 'node:path';
import type { Duplex } from 'node:stream';
import { parseArgs } from 'node:util';
import type { Addon } from '../addon/addon';
import { loadAddon } from '../addon/addon';
import { ChannelMux } from '../client/mux';
import { openPort } from '../client/port';
import { serve } from './connection';
import { Faults } from './faults';
import { Guardian, runGuardian } from './guardian';
import type { Host } from './session';

/** Releasing what sessions hold takes milliseconds; what the kernel does not let go of is not waited for. */
const END_MS = 5_000;

function main(): void {
  // A VM's port keeps one of libuv's threads waiting; four would be few. Read when the first of them is needed.
  process.env['UV_THREADPOOL_SIZE'] ??= '16';
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      listen: { type: 'string' },
      uid: { type: 'string' },
      channel: { type: 'string' },
      faulted: { type: 'string', multiple: true },
      guardian: { type: 'boolean' },
      'vmlinux-header': { type: 'boolean' },
    },
  });
  const addonFile = path.join(__dirname, 'bpf-studio.node');
  if (values.guardian) {
    void runGuardian(() => loadAddon(addonFile));
    return;
  }
  let addon: Addon;
  try {
    addon = loadAddon(addonFile);
  } catch (error) {
    report({ problem: `The addon cannot be loaded: ${error instanceof Error ? error.message : error}` });
    process.exitCode = 2;
    return;
  }
  if (values['vmlinux-header']) {
    // Needs no privileges and serves nobody.
    void addon.vmlinuxHeader(null, positionals[0]).then(
      (text) => process.stdout.write(text),
      (error: Error) => {
        process.stderr.write(`${error.message}\n`);
        process.exitCode = 1;
      },
    );
    return;
  }
  // A VM's kernel is another one after a restart, so its faults are forgotten with this process.
  const tellFault = (key: string) => (values.listen ? report({ faulted: key }) : undefined);
  const faults = new Faults(values.faulted ?? [], tellFault);
  const host: Host = { addon, guardian: new Guardian(__filename), faults };
  const sessions = new Set<Promise<void>>();
  const start = (stream: Parameters<typeof serve>[1]) => {
    const session = serve(host, stream).finally(() => sessions.delete(session));
    sessions.add(session);
  };
  let ending = false;
  const end = async (closeAll: () => void) => {
    if (ending) return;
    ending = true;
    closeAll();
    // What is not released by then, the guardian and the end of the process release.
    setTimeout(() => {
      console.error(`kernel host: ${sessions.size} sessions did not end within ${END_MS / 1000} s`);
      addon.exitNow(3);
    }, END_MS);
    await Promise.all(sessions);
    host.guardian.end();
    addon.exitNow(0);
  };
  if (values.channel) void serveChannel(host, values.channel, start, end);
  else if (values.listen && values.uid) serveSocket(host, values.listen, Number(values.uid), start, end);
  else {
    report({ problem: 'usage: kernel-host.js --listen SOCKET --uid UID | --channel PATH' });
    process.exitCode = 2;
  }
}

type Start = (stream: Duplex) => void;
type End = (closeAll: () => void) => Promise<void>;

function report(message: { ready: true } | { problem: string } | { faulted: string }): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

function serveSocket(host: Host, socketPath: string, uid: number, start: Start, end: End): void {
  const open = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    if (!isFrom(host.addon, socket, uid)) {
      socket.destroy();
      return;
    }
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    start(socket);
  });
  server.on('error', (error) => {
    report({ problem: `The socket ${socketPath} cannot be listened on: ${error.message}` });
    host.addon.exitNow(2);
  });
  // The directory admits only the starter; the socket itself is made open to it without a chmod or chown, which
  // would follow whatever is put in the path's place meanwhile.
  const mask = process.umask(0);
  server.listen(socketPath, () => {
    process.umask(mask);
    report({ ready: true });
  });
  const stop = () =>
    void end(() => {
      server.close();
      for (const socket of open) socket.destroy();
    });
  process.stdin.on('end', stop).on('close', stop).on('error', stop).resume();
  process.on('SIGTERM', stop);
  // A terminal's Ctrl-C reaches the whole process group; the starter decides when the host ends.
  process.on('SIGINT', () => {});
  process.on('SIGHUP', () => {});
}

/** Whether the process at the other end of a Unix socket runs as the host's user. */
function isFrom(addon: Addon, socket: net.Socket, uid: number): boolean {
  const { fd } = (socket as unknown as { _handle: { fd: number } })._handle;
  try {
    return addon.peerCredentials(fd).uid === uid;
  } catch {
    // The peer is gone already.
    return false;
  }
}

async function serveChannel(host: Host, device: string, start: Start, end: End): Promise<void> {
  try {
    const port = await openPort(device);
    new ChannelMux(port, port, start, (reason) => {
      console.error(`kernel host: ${device}: ${reason}`);
      void end(() => {});
    });
  } catch (error) {
    console.error(
      `kernel host: ${device} cannot be opened: ${error instanceof Error ? error.message : error}`,
    );
    host.addon.exitNow(2);
  }
}

main();
