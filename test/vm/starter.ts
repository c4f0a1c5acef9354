/** Starts a VM, prints where it is, and holds it: for tests that kill the process which started a VM. */
import path from 'node:path';
import { startVm } from '../../kernel/targets/vm/start';

async function main(): Promise<void> {
  const [kernel, dist] = process.argv.slice(2) as [string, string];
  const options = { distDirectory: path.resolve(dist), elevate: 'never', log: () => {} } as const;
  const vm = await startVm({ kind: 'vm', kernel }, options);
  console.log(JSON.stringify('code' in vm ? vm : { socketPath: vm.socketPath, relay: vm.pid }));
}

void main();
