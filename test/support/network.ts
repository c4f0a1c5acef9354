/** Two network namespaces joined by a veth pair, for tests that need real packets on a real hook. */
import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);
let serial = 0;

export interface NetworkEnd {
  /** Path for `netns` of attach specifications. */
  netns: string;
  interface: string;
  ipv4: string;
  ipv6: string;
  /** Runs a command in the namespace; resolves with its exit status and output, whatever they are. */
  run(command: string, ...args: string[]): Promise<{ status: number; stdout: string; stderr: string }>;
}

export interface NetworkPair {
  near: NetworkEnd;
  far: NetworkEnd;
  dispose(): void;
}

/** Needs root. The namespaces' names begin with `bpfs-`, and everything in them goes when they do. */
export function createNetworkPair(): NetworkPair {
  const name = `bpfs-${process.pid}-${serial++}`;
  const names = { near: `${name}n`, far: `${name}f` };
  const ip = (...args: string[]) => execFileSync('ip', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const dispose = () => {
    for (const each of Object.values(names)) ip('netns', 'del', each);
  };
  for (const each of Object.values(names)) ip('netns', 'add', each);
  try {
    ip(
      'link',
      'add',
      'veth0',
      'netns',
      names.near,
      'type',
      'veth',
      'peer',
      'name',
      'veth0',
      'netns',
      names.far,
    );
    for (const [index, each] of Object.values(names).entries()) {
      ip('-n', each, 'addr', 'add', `10.77.0.${index + 1}/24`, 'dev', 'veth0');
      // Without duplicate address detection the address is usable at once.
      ip('-n', each, 'addr', 'add', `fd77::${index + 1}/64`, 'dev', 'veth0', 'nodad');
      ip('-n', each, 'link', 'set', 'lo', 'up');
      ip('-n', each, 'link', 'set', 'veth0', 'up');
    }
  } catch (error) {
    dispose();
    throw error;
  }
  const end = (namespace: string, host: number): NetworkEnd => ({
    netns: `/run/netns/${namespace}`,
    interface: 'veth0',
    ipv4: `10.77.0.${host}`,
    ipv6: `fd77::${host}`,
    async run(command, ...args) {
      const words = [`--net=/run/netns/${namespace}`, command, ...args];
      return run('nsenter', words, { timeout: 30_000 }).then(
        ({ stdout, stderr }) => ({ status: 0, stdout, stderr }),
        (error: { code?: number; stdout?: string; stderr?: string }) => ({
          status: error.code ?? -1,
          stdout: error.stdout ?? '',
          stderr: error.stderr ?? '',
        }),
      );
    },
  });
  return { near: end(names.near, 1), far: end(names.far, 2), dispose };
}
