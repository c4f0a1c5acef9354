/** A client process for cleanup.test.ts to kill: holds programs, maps, links and a tc filter, then waits. */
import { openKernel } from '../client/open';

async function main(): Promise<void> {
  const { dist, object, netns } = JSON.parse(process.argv[2] ?? '{}') as Record<
    'dist' | 'object' | 'netns',
    string
  >;
  const kernel = await openKernel({ name: 'victim', distDirectory: dist, elevate: 'never', log: () => {} });
  if ('code' in kernel) throw new Error(kernel.message);
  const { client } = kernel;
  const opened = await client.request('objectOpen', { object: Buffer.from(object, 'base64') });
  const { programs } = await client.request('objectLoad', { object: opened.object, log: 'rejected' });
  const handle = (name: string) => programs.find((one) => one.name === name)?.handle ?? -1;
  const where = { interface: 'in1', netns };
  await client.request('attach', { program: handle('clnxdp'), spec: { hook: 'xdp', ...where } });
  await client.request('attach', { program: handle('clnraw'), spec: { hook: 'auto' } });
  await client.request('attach', {
    program: handle('clntc'),
    spec: { hook: 'tc', direction: 'ingress', implementation: 'clsact', ...where },
  });
  process.stdout.write(`${/pid (\d+)/.exec(client.hello.host)?.[1]}\n`);
  await client.gone;
}

void main();
