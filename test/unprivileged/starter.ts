/**
 * For tests, run as a user: starts this machine's host with privileges from `sudo` or `pkexec`, asks it who it is, and
 * ends it when standard input does. With `cancel FILE` it gives up as soon as FILE exists. Prints one line of JSON for
 * each step.
 */
import { KernelClient } from '../../kernel/client/client';
import { startLocal } from '../../kernel/targets/local';
import type { StartOptions } from '../../kernel/targets/target';
import { existsSync } from 'node:fs';
import { until } from '../support/until';

const say = (value: object): void => console.log(JSON.stringify(value));

async function main(): Promise<void> {
  const [elevate, distDirectory, , whenAsked] = process.argv.slice(2) as [
    StartOptions['elevate'],
    ...string[],
  ];
  const abort = new AbortController();
  if (whenAsked) {
    void until(whenAsked, () => existsSync(whenAsked)).then(() => abort.abort());
  }
  const target = await startLocal({
    elevate,
    distDirectory: distDirectory!,
    log: () => {},
    signal: abort.signal,
  });
  if ('code' in target) return say(target);
  const client = await KernelClient.connect(target.socketPath, 'test');
  const { kernel, capabilities } = client.hello;
  say({ socketPath: target.socketPath, release: kernel.release, load: capabilities.load });
  await new Promise((resolve) => process.stdin.on('end', resolve).resume());
  client.dispose();
  await target.dispose();
  say({ gone: await target.gone });
}

void main();
