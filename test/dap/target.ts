/** One kernel host for the tests of a file, on whichever target they are about. */
import path from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { startTarget } from '../../kernel/targets/index';
import type { RunningTarget, TargetSpec } from '../../kernel/targets/target';

export interface SharedTarget {
  /** What a launch configuration needs to use the host. */
  readonly configuration: { hostSocket: string };
  readonly running: RunningTarget;
}

export function sharedTarget(spec: TargetSpec = { kind: 'local' }): SharedTarget {
  let running: RunningTarget | undefined;
  const lines: string[] = [];
  beforeAll(async () => {
    const started = await startTarget(spec, {
      distDirectory: path.resolve(import.meta.dirname, '../../dist'),
      elevate: 'never',
      log: (line) => lines.push(line),
    });
    if ('code' in started) throw new Error(`${started.message} ${started.hint}\n${lines.join('\n')}`);
    running = started;
  });
  afterAll(() => running?.dispose());
  return {
    get running() {
      if (!running) throw new Error('the target has not been started');
      return running;
    },
    get configuration() {
      return { hostSocket: this.running.socketPath };
    },
  };
}
