/**
 * One kernel host for the tests of a file: on this machine, or on the target that BPF_STUDIO_TEST_TARGET names
 * (`vm:PATH-TO-VMLINUZ`).
 */
import path from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { startTarget } from '../../kernel/targets/index';
import { parseTarget, type RunningTarget, type TargetSpec } from '../../kernel/targets/target';
import { thisMachine, type Place } from '../support/network';
import { GUEST_NODE, startGuest, type Guest } from '../vm/guest';

export interface SharedTarget {
  /** What a launch configuration needs to use the host. */
  readonly configuration: { hostSocket: string };
  readonly running: RunningTarget;
  /** Where the host runs. */
  readonly place: Place;
}

function specOfTests(): TargetSpec {
  const spec = parseTarget(process.env.BPF_STUDIO_TEST_TARGET ?? 'local');
  if ('problem' in spec) throw new Error(spec.problem);
  return spec;
}

export function sharedTarget(spec: TargetSpec = specOfTests()): SharedTarget {
  let running: (RunningTarget & { runSync?: Guest['runSync'] }) | undefined;
  const lines: string[] = [];
  const start = async () => {
    // With the agent in it that carries out a test's commands.
    if (spec.kind === 'vm' && spec.kernel !== undefined) return startGuest(spec.kernel);
    const local = await startTarget(spec, {
      distDirectory: path.resolve(import.meta.dirname, '../../dist'),
      elevate: 'never',
      log: (line) => lines.push(line),
    });
    if ('code' in local) throw new Error(`${local.message} ${local.hint}\n${lines.join('\n')}`);
    return local;
  };
  beforeAll(async () => {
    running = await start();
  });
  afterAll(() => running?.dispose());
  const started = () => {
    if (!running) throw new Error('the target has not been started');
    return running;
  };
  return {
    get running() {
      return started();
    },
    get configuration() {
      return { hostSocket: started().socketPath };
    },
    get place() {
      const { runSync } = started();
      return runSync ? { run: runSync, node: GUEST_NODE } : thisMachine;
    },
  };
}
