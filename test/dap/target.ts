/**
 * One kernel host for the tests of a file: on this machine, or on the target that BPF_STUDIO_TEST_TARGET names
 * (`vm:PATH-TO-VMLINUZ`).
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { startTarget } from '../../kernel/targets/index';
import { parseTarget, type RunningTarget, type TargetSpec } from '../../kernel/targets/target';
import { startGuest, type Guest } from '../vm/guest';

export interface SharedTarget {
  /** What a launch configuration needs to use the host. */
  readonly configuration: { hostSocket: string };
  readonly running: RunningTarget;
  /** Whether the host runs in a VM, where this machine's interfaces and processes are not. */
  readonly isGuest: boolean;
  /** Runs a command where the host runs; waits for its end. Throws when its status is not 0. */
  run(...command: [string, ...string[]]): string;
}

function specOfTests(): TargetSpec {
  const spec = parseTarget(process.env.BPF_STUDIO_TEST_TARGET ?? 'local');
  if ('problem' in spec) throw new Error(spec.problem);
  return spec;
}

export function sharedTarget(spec: TargetSpec = specOfTests()): SharedTarget {
  let running: RunningTarget | Guest | undefined;
  const lines: string[] = [];
  const start = async () => {
    // With the agent in it that carries out a test's commands.
    if (spec.kind === 'vm' && spec.kernel !== undefined) return startGuest(spec.kernel);
    const started = await startTarget(spec, {
      distDirectory: path.resolve(import.meta.dirname, '../../dist'),
      elevate: 'never',
      log: (line) => lines.push(line),
    });
    if ('code' in started) throw new Error(`${started.message} ${started.hint}\n${lines.join('\n')}`);
    return started;
  };
  beforeAll(async () => {
    running = await start();
  });
  afterAll(() => running?.dispose());
  return {
    isGuest: spec.kind === 'vm',
    get running() {
      if (!running) throw new Error('the target has not been started');
      return running;
    },
    get configuration() {
      return { hostSocket: this.running.socketPath };
    },
    run(...command) {
      const { running: where } = this;
      if ('runSync' in where) return (where as Guest).runSync(...command);
      const [file, ...args] = command;
      return execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    },
  };
}

/** tracefs carries bpf_printk; machines that were just set up have it unmounted. It stays mounted, others use it. */
export function mountTracefs(): void {
  if (existsSync('/sys/kernel/tracing/trace_pipe')) return;
  execFileSync('mount', ['-t', 'tracefs', 'tracefs', '/sys/kernel/tracing']);
}
