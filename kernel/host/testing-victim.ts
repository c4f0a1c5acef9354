/** A client process for cleanup.test.ts to kill: holds one of everything, then waits. */
import { readFileSync } from 'node:fs';
import { openKernel } from '../client/open';
import { holdEverything } from './testing-hold';

async function main(): Promise<void> {
  const { dist, object, netns } = JSON.parse(process.argv[2] ?? '{}') as Record<
    'dist' | 'object' | 'netns',
    string
  >;
  const kernel = await openKernel({ name: 'victim', distDirectory: dist, elevate: 'never', log: () => {} });
  if ('code' in kernel) throw new Error(kernel.message);
  const { client } = kernel;
  await holdEverything(client, readFileSync(object), netns);
  process.stdout.write(`${/pid (\d+)/.exec(client.hello.host)?.[1]}\n`);
  await client.gone;
}

void main();
