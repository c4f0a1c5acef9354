/** From a prepared guest to a kernel host that answers, or to words about why there is none. */
import { spawn, type ChildProcess } from 'node:child_process';
import type { Duplex } from 'node:stream';
import { FrameDecoder, MAX_RESPONSE_BYTES, encodeFrame } from '../../client/framing';
import { ChannelMux } from '../../client/mux';
import type { ResponseFrame, Results } from '../../protocol';
import { PROTOCOL_VERSION } from '../../protocol-version';
import type { TargetProblem } from '../target';
import type { Share } from './boot-plan';
import { Console } from './console';
import { now, type RelayRequest, type Tell } from './messages';
import { HOST_FD, TEST_FD, launcher, qemuArguments, type Accelerator } from './qemu';

/** Emulation on a slow, busy machine takes its time; a guest that hangs should still be told apart. */
const BOOT_MS = 90_000;
/**
 * By then the guest's first process has printed its first line, or never will: in some containers KVM opens and
 * runs nothing, and once in many starts under emulation a 5.10 kernel hung before its console was up.
 */
const SIGN_OF_LIFE_MS = { kvm: 5_000, tcg: 30_000 };

export interface PreparedGuest {
  /** What QEMU starts: an unpacked vmlinux or a bzImage. */
  image: string;
  initramfs: string;
  shares: readonly Share[];
}

export interface BootedVm {
  host: ChannelMux;
  /** Only with a test agent. */
  test?: ChannelMux;
  /** Resolves with the reason, in plain words. */
  ended: Promise<string>;
}

/** A start that failed before the guest's first process ran, which under emulation a second one seldom does. */
export interface Again {
  again: string;
}

/**
 * Starts QEMU and waits for the first answer of the kernel host. {@link Again} is answered early, and only when
 * `mayRetry`. `started` gets the process at once, so that it can be killed at any time; unless the VM is up, it
 * has been killed when this resolves.
 */
export async function boot(
  request: RelayRequest,
  guest: PreparedGuest,
  accelerator: Accelerator,
  mayRetry: boolean,
  tell: Tell,
  started: (qemu: ChildProcess) => void,
): Promise<BootedVm | TargetProblem | Again> {
  const machine = { accelerator, kernel: guest.image, initramfs: guest.initramfs, shares: guest.shares };
  const testPort = request.testAgent !== undefined;
  const [program, ...rest] = [
    ...launcher(request.dist),
    request.qemu,
    ...qemuArguments({ ...machine, testPort }),
  ];
  // Node makes a "pipe" of a child's stdio from a socket pair, which is what QEMU wants for its ports.
  const qemu = spawn(program!, rest, { stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe'] });
  started(qemu);
  tell({ event: 'phase', name: 'qemu', ms: now() });

  const console = new Console(tell);
  qemu.stdout!.on('data', (chunk: Buffer) => console.guestWrote(chunk));
  qemu.stderr!.on('data', (chunk: Buffer) => console.qemuWrote(chunk));
  const ended = new Promise<string>((resolve) => {
    qemu.on('error', (error) => resolve(`QEMU could not be run: ${error.message}`));
    qemu.on('close', (status, signal) => resolve(console.reasonOfEnd(status, signal)));
  });
  const host = channelsOn(qemu, HOST_FD);
  const test = testPort ? channelsOn(qemu, TEST_FD) : undefined;

  const problem = (what: string): TargetProblem => ({
    code: 'bootFailed',
    message: `The VM with Linux ${request.kernel.release} did not start: ${what}.${console.lastLines()}`,
    hint: 'Choose another kernel (BPF: Select Kernel in the editor, --target vm:PATH-TO-VMLINUZ in a terminal).',
  });
  const outcome = await new Promise<BootedVm | TargetProblem | Again>((resolve) => {
    hello(host).then(
      () => resolve({ host, ...(test ? { test } : {}), ended }),
      (error: Error) => resolve(problem(error.message)),
    );
    void ended.then((reason) =>
      resolve(mayRetry && console.panickedAtBoot ? { again: reason } : problem(reason)),
    );
    const seconds = BOOT_MS / 1000;
    setTimeout(() => resolve(problem(`its kernel host did not answer within ${seconds} s`)), BOOT_MS).unref();
    const checkLife = (): void => void (console.isSilent && resolve({ again: 'no sign of life' }));
    if (mayRetry) setTimeout(checkLife, SIGN_OF_LIFE_MS[accelerator]).unref();
  });
  if ('host' in outcome) tell({ event: 'phase', name: 'hello', ms: now() });
  else qemu.kill('SIGKILL');
  return outcome;
}

function channelsOn(qemu: ChildProcess, fd: number): ChannelMux {
  const port = qemu.stdio[fd] as unknown as Duplex;
  // The guest opens no channels. That the stream ended says less than QEMU's end, which follows.
  return new ChannelMux(
    port,
    port,
    (channel) => channel.destroy(),
    () => {},
  );
}

/**
 * Asks the kernel host to introduce itself, in a session of its own that ends with the answer. Before the guest has
 * opened its port the question waits in the socket, so it needs to be asked only once.
 */
function hello(host: ChannelMux): Promise<Results['hello']> {
  return new Promise((resolve, reject) => {
    const channel = host.open();
    const decoder = new FrameDecoder(MAX_RESPONSE_BYTES);
    // A VM that ends is reported with QEMU's end.
    channel.on('error', () => {});
    channel.on('data', (chunk: Buffer) => {
      try {
        for (const frame of decoder.push(chunk)) {
          const response = frame as ResponseFrame;
          if ('error' in response) reject(new Error(`its kernel host refused: ${response.error.message}`));
          else resolve(response.result as Results['hello']);
          channel.destroy();
        }
      } catch (error) {
        reject(new Error(`its kernel host answered nonsense: ${(error as Error).message}`));
        channel.destroy();
      }
    });
    const request = { id: 1, method: 'hello', params: { protocol: PROTOCOL_VERSION, client: 'vm relay' } };
    for (const part of encodeFrame(request, 4096)) channel.write(part);
  });
}
