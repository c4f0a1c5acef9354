import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { RunningTarget, StartOptions, TargetProblem } from '../target';
import {
  defaultKernel,
  defaultSearchPaths,
  fetchHint,
  findKernels,
  inspectKernel,
  type VmKernel,
} from './kernels';
import type { Phase, RelayMessage, RelayRequest } from './messages';
import { locateQemu } from './qemu';

export interface RunningVm extends RunningTarget {
  readonly kernel: VmKernel;
  /** When each phase of the start was reached, in milliseconds since the start. */
  readonly phases: Partial<Record<Phase, number>>;
  /** Process id of the relay. */
  readonly pid: number;
  /** Only with a test agent. */
  readonly testSocketPath?: string;
}

/** After the relay's stdin was closed it has only QEMU to kill. */
const STOP_MS = 3_000;

/**
 * Starts a VM with the named kernel, or with {@link defaultKernel} when none is named, and resolves when the kernel
 * host in it has answered. Aborting `options.signal` ends a start that is under way.
 */
export async function startVm(
  spec: { kind: 'vm'; kernel?: string },
  options: StartOptions,
  testing: { testAgent?: string } = {},
): Promise<RunningVm | TargetProblem> {
  const qemu = locateQemu(options.qemu);
  const kernel = chooseKernel(spec.kernel);
  if (typeof qemu === 'object') return 'code' in kernel ? both(qemu, kernel) : qemu;
  if ('code' in kernel) return kernel;
  for (const needed of ['vm.js', 'vm-init', 'kernel-host.js']) {
    if (!existsSync(path.join(options.distDirectory, needed))) {
      const message = `${path.join(options.distDirectory, needed)} is missing.`;
      return { code: 'internal', message, hint: 'Build or install BPF Studio again (npm run build).' };
    }
  }
  if (options.signal?.aborted) return cancelled;
  const { testAgent } = testing;
  return startRelay(
    {
      kernel,
      qemu,
      node: process.execPath,
      electron: process.versions['electron'] !== undefined,
      dist: options.distDirectory,
      ...(testAgent ? { testAgent } : {}),
    },
    options,
  );
}

const cancelled: TargetProblem = {
  code: 'cancelled',
  message: 'Starting the VM was cancelled.',
  hint: 'Select the kernel again to start it.',
};

/** Two things to mend, said at once: whoever mends the first should not have to come back for the second. */
function both(first: TargetProblem, second: TargetProblem): TargetProblem {
  const { code } = first;
  return { code, message: `${first.message} ${second.message}`, hint: `${first.hint}\n${second.hint}` };
}

function chooseKernel(named: string | undefined): VmKernel | TargetProblem {
  if (named !== undefined) {
    const kernel = inspectKernel(path.resolve(named), true);
    if (kernel.usable.ok) return kernel;
    return { code: 'noKernel', message: `${kernel.usable.reason}.`, hint: kernel.usable.fix };
  }
  const kernels = findKernels();
  const chosen = defaultKernel(kernels);
  if (chosen) return chosen;
  const reasons = kernels.map(({ usable }) => (usable.ok ? '' : `\n  ${usable.reason}`)).join('');
  const message = reasons
    ? `None of the kernels found can run in a VM:${reasons}`
    : `There is no kernel image in ${defaultSearchPaths().join(', ')}.`;
  return { code: 'noKernel', message, hint: fetchHint };
}

function startRelay(request: RelayRequest, options: StartOptions): Promise<RunningVm | TargetProblem> {
  const relay = spawn(process.execPath, [path.join(options.distDirectory, 'vm.js')], {
    env: { ...process.env, ELECTRON_RUN_AS_NODE: '1' },
    stdio: ['pipe', 'pipe', 'pipe'],
    // A terminal's Ctrl-C is for the starter, which ends its targets in its own way.
    detached: true,
  });
  const phases: Partial<Record<Phase, number>> = {};
  let lastWords: string | undefined;
  let complaint = '';
  const gone = new Promise<string>((resolve) => {
    relay.on('error', (error) => resolve(`The VM's relay process could not be run: ${error.message}`));
    relay.on('close', (status, signal) =>
      resolve(
        lastWords ??
          `The VM's relay process ${signal ? `was killed by ${signal}` : `ended (${status})`}. ${complaint}`.trim(),
      ),
    );
  });
  const stop = async (): Promise<void> => {
    lastWords ??= 'The VM was stopped.';
    relay.stdin.end();
    const timer = setTimeout(() => relay.kill('SIGKILL'), STOP_MS);
    await gone;
    clearTimeout(timer);
  };
  relay.stdin.on('error', () => {});
  relay.stdin.write(`${JSON.stringify(request)}\n`);
  relay.stderr.on('data', (chunk: Buffer) => {
    complaint = (complaint + chunk.toString()).slice(-2000);
    options.log(`vm relay: ${chunk.toString().trimEnd()}`);
  });

  return new Promise((resolve) => {
    const onAbort = (): void => void stop().then(() => resolve(cancelled));
    options.signal?.addEventListener('abort', onAbort, { once: true });
    void gone.then((reason) => {
      const hint = 'Start it again; its console is in the log.';
      resolve(options.signal?.aborted ? cancelled : { code: 'bootFailed', message: reason, hint });
    });
    createInterface({ input: relay.stdout }).on('line', (line) => {
      const message = JSON.parse(line) as RelayMessage;
      if (message.event === 'log') options.log(message.line);
      else if (message.event === 'phase') phases[message.name] = message.ms;
      else if (message.event === 'problem') resolve(message.problem);
      else if (message.event === 'gone') lastWords = `The VM is gone: ${message.reason}.`;
      else {
        options.signal?.removeEventListener('abort', onAbort);
        const { socketPath, testSocketPath } = message;
        resolve({
          label: labelOf(request.kernel),
          socketPath,
          ...(testSocketPath ? { testSocketPath } : {}),
          kernel: request.kernel,
          phases,
          pid: relay.pid!,
          gone,
          dispose: stop,
        });
      }
    });
  });
}

/** The file's name says most, unless it is just `vmlinuz`, as in a modules' directory. */
function labelOf({ image, release }: VmKernel): string {
  const name = path.basename(image);
  return `vm ${/\d/.test(name) ? name : `Linux ${release}`}`;
}
