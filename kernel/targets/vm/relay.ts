import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import type { Duplex } from 'node:stream';
import { FrameDecoder, MAX_RESPONSE_BYTES, encodeFrame } from '../../client/framing';
import { ChannelMux } from '../../client/mux';
import { PROTOCOL_VERSION, type Results } from '../../protocol';
import type { TargetProblem } from '../target';
import { buildGuest } from './boot-plan';
import { Console } from './console';
import { bootableImage } from './image';
import { requiredModules } from './kernels';
import type { RelayMessage, RelayRequest } from './messages';
import { collectModules } from './modules';
import { HOST_FD, TEST_FD, accelerators, launcher, qemuArguments, type Accelerator } from './qemu';

/** Emulation on a slow, busy machine takes its time; a guest that hangs should still be told apart. */
const BOOT_MS = 90_000;
/** Under KVM the first line is there after a fraction of a second. */
const SIGN_OF_LIFE_MS = 5_000;

type Tell = (message: RelayMessage) => void;

/** Starts the VM and serves it until it ends; calling the result ends it. The process exits with it. */
export function runVm(request: RelayRequest, tell: Tell): () => void {
  const directory = privateDirectory();
  let qemu: ChildProcess | undefined;
  let ended = false;
  const finish = (message?: RelayMessage): void => {
    if (ended) return;
    ended = true;
    if (message) tell(message);
    qemu?.kill('SIGKILL');
    rmSync(directory, { recursive: true, force: true });
    process.exitCode = 0;
    // Let what was told be written; nothing else keeps this process.
    process.stdout.end(() => process.exit());
  };

  const start = async (): Promise<void> => {
    const prepared = await prepare(request, directory);
    if ('code' in prepared) return finish({ event: 'problem', problem: prepared });
    tell({ event: 'phase', name: 'prepared', ms: uptime() });
    for (const accelerator of accelerators()) {
      if (ended) return;
      const outcome = await boot(request, prepared, accelerator, tell, (child) => (qemu = child));
      if (outcome === 'noSignOfLife') {
        tell({ event: 'log', line: 'vm: nothing runs under KVM here; emulating instead' });
        continue;
      }
      if ('code' in outcome) return finish({ event: 'problem', problem: outcome });
      outcome.ended.then((reason) => finish({ event: 'gone', reason }));
      const socketPath = await serve(path.join(directory, 'host.sock'), outcome.host);
      const testSocketPath = outcome.test && (await serve(path.join(directory, 'test.sock'), outcome.test));
      return tell({ event: 'ready', socketPath, testSocketPath, release: outcome.release });
    }
  };
  start().catch((error: Error) =>
    finish({
      event: 'problem',
      problem: {
        code: 'internal',
        message: `The VM could not be started: ${error.message}`,
        hint: 'Please report this.',
      },
    }),
  );
  return () => finish();
}

function uptime(): number {
  return Math.round(process.uptime() * 1000);
}

/** A directory only this user can enter, for sockets and the initramfs; those of relays that were killed are removed. */
function privateDirectory(): string {
  const base = process.env['XDG_RUNTIME_DIR'] || os.tmpdir();
  for (const name of readdirSync(base)) {
    const pid = Number(/^bpf-studio-vm-(\d+)-/.exec(name)?.[1]);
    if (pid && !isAlive(pid)) rmSync(path.join(base, name), { recursive: true, force: true });
  }
  const directory = mkdtempSync(path.join(base, `bpf-studio-vm-${process.pid}-`));
  chmodSync(directory, 0o700);
  return directory;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

interface Prepared {
  image: string;
  initramfs: string;
  shares: ReturnType<typeof buildGuest>['shares'];
}

async function prepare(request: RelayRequest, directory: string): Promise<Prepared | TargetProblem> {
  const { kernel } = request;
  const otherKernel = 'Choose another kernel (BPF: Select Kernel, or --target vm:PATH-TO-VMLINUZ).';
  const [image, modules] = await Promise.all([
    bootableImage(kernel.image),
    kernel.modules === undefined ? [] : collectModules(kernel.modules, requiredModules),
  ]);
  if ('problem' in image) return { code: 'bootFailed', message: image.problem, hint: otherKernel };
  if ('problem' in modules) {
    return { code: 'bootFailed', message: `Linux ${kernel.release}: ${modules.problem}`, hint: otherKernel };
  }
  const guest = buildGuest({
    node: request.node,
    dist: request.dist,
    modules,
    modulesDirectory: kernel.modules,
    release: kernel.release,
    testAgent: request.testAgent,
  });
  const initramfs = path.join(directory, 'initramfs');
  writeFileSync(initramfs, guest.initramfs);
  return { image: image.file, initramfs, shares: guest.shares };
}

interface RunningVm {
  host: ChannelMux;
  test?: ChannelMux;
  release: string;
  /** Resolves with the reason, in plain words. */
  ended: Promise<string>;
}

async function boot(
  request: RelayRequest,
  prepared: Prepared,
  accelerator: Accelerator,
  tell: Tell,
  started: (qemu: ChildProcess) => void,
): Promise<RunningVm | TargetProblem | 'noSignOfLife'> {
  const arguments_ = qemuArguments({
    accelerator,
    kernel: prepared.image,
    initramfs: prepared.initramfs,
    shares: prepared.shares,
    testPort: request.testAgent !== undefined,
  });
  const [program, ...rest] = [...launcher(request.dist), request.qemu, ...arguments_];
  // Node makes a pipe of a child's stdio from a socket pair, which is what QEMU wants for its ports.
  const stdio = ['ignore', 'pipe', 'pipe', 'pipe', 'pipe'] as const;
  const qemu = spawn(program!, rest, { stdio: [...stdio] });
  started(qemu);
  tell({ event: 'phase', name: 'qemu', ms: uptime() });

  const console = new Console(tell, uptime);
  qemu.stdout!.on('data', (chunk: Buffer) => console.guestWrote(chunk));
  qemu.stderr!.on('data', (chunk: Buffer) => console.qemuWrote(chunk));
  let isUp = false;
  const ended = new Promise<string>((resolve) => {
    qemu.on('error', (error) => resolve(`QEMU could not be run: ${error.message}`));
    qemu.on('close', (status, signal) => resolve(console.reasonOfEnd(status, signal)));
  });

  const host = new ChannelMux(
    portOf(qemu, HOST_FD),
    portOf(qemu, HOST_FD),
    (c) => c.destroy(),
    () => {
      // The reason is in how QEMU ends, which follows.
    },
  );
  const test = request.testAgent
    ? new ChannelMux(
        portOf(qemu, TEST_FD),
        portOf(qemu, TEST_FD),
        (c) => c.destroy(),
        () => {},
      )
    : undefined;

  const problem = (what: string): TargetProblem => ({
    code: 'bootFailed',
    message: `The VM with Linux ${request.kernel.release} did not start: ${what}${console.lastLines()}`,
    hint: 'Choose another kernel (BPF: Select Kernel, or --target vm:PATH-TO-VMLINUZ); its console is in the log.',
  });
  const outcome = await Promise.race([
    hello(host).then((release): RunningVm => {
      isUp = true;
      tell({ event: 'phase', name: 'hello', ms: uptime() });
      return { host, test, release, ended };
    }),
    ended.then((reason) => problem(`${reason}.`)),
    after(BOOT_MS, () => problem(`the kernel host did not answer within ${BOOT_MS / 1000} s.`)),
    accelerator === 'kvm'
      ? after(SIGN_OF_LIFE_MS, () => (console.isSilent ? ('noSignOfLife' as const) : undefined)).then(
          (silent) => silent ?? new Promise<never>(() => {}),
        )
      : new Promise<never>(() => {}),
  ]);
  if (!isUp) qemu.kill('SIGKILL');
  return outcome;
}

function portOf(qemu: ChildProcess, fd: number): Duplex {
  return qemu.stdio[fd] as unknown as Duplex;
}

function after<T>(ms: number, then: () => T): Promise<T> {
  return new Promise((resolve) => setTimeout(() => resolve(then()), ms).unref());
}

/**
 * Asks the kernel host to introduce itself, in a session of its own that ends with the answer. Before the guest has
 * opened its port the question waits in the socket, so it needs to be asked only once. Resolves with the release.
 */
function hello(host: ChannelMux): Promise<string> {
  return new Promise((resolve) => {
    const channel = host.open();
    const decoder = new FrameDecoder(MAX_RESPONSE_BYTES);
    channel.on('error', () => {});
    channel.on('data', (chunk: Buffer) => {
      for (const frame of decoder.push(chunk)) {
        const { result } = frame as { result?: Results['hello'] };
        if (result) resolve(result.kernel.release);
        channel.destroy();
      }
    });
    const request = { id: 1, method: 'hello', params: { protocol: PROTOCOL_VERSION, client: 'vm relay' } };
    for (const part of encodeFrame(request, 4096)) channel.write(part);
  });
}

/** Listens on a socket in the private directory; each connection becomes a channel. Resolves with the path. */
function serve(socketPath: string, mux: ChannelMux): Promise<string> {
  const server = net.createServer((socket) => {
    const channel = mux.open();
    socket.on('error', () => channel.destroy());
    channel.on('error', () => socket.destroy());
    socket.on('close', () => channel.destroy());
    channel.on('close', () => socket.destroy());
    socket.pipe(channel).pipe(socket);
  });
  return new Promise((resolve, reject) => {
    server.on('error', reject);
    server.listen(socketPath, () => resolve(socketPath));
  });
}
