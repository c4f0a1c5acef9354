/** A network namespace with a veth pair whose other end answers, for programs that are attached to real hooks. */
import type { SharedTarget } from './target';

export interface Network {
  /** Path for attach specifications. */
  netns: string;
  /** Interface inside the namespace that programs are attached to. */
  interface: string;
  /** Sends echo requests through the interface; resolves when they are answered. */
  ping(count: number): void;
  /** Sends so many echo requests with a payload of so many bytes, and waits a little for answers: how many were lost. */
  send(size: number, count: number): number;
  /** Id of the XDP program at the interface. */
  xdpProgram(): number | undefined;
  deleteInterface(): void;
  dispose(): void;
}

let made = 0;

/** Where the target's host runs: on this machine or in its VM. */
export function makeNetwork(target: Pick<SharedTarget, 'run'>): Network {
  const id = `bpfs-dap-${process.pid}-${++made}`;
  const peer = `${id}-p`;
  const ip = (...args: string[]) => target.run('ip', ...args);
  ip('netns', 'add', id);
  ip('netns', 'add', peer);
  ip('-n', id, 'link', 'add', 'veth0', 'type', 'veth', 'peer', 'name', 'veth1', 'netns', peer);
  ip('-n', id, 'addr', 'add', '10.77.0.1/24', 'dev', 'veth0');
  ip('-n', peer, 'addr', 'add', '10.77.0.2/24', 'dev', 'veth1');
  ip('-n', id, 'link', 'set', 'veth0', 'up');
  ip('-n', peer, 'link', 'set', 'veth1', 'up');
  return {
    netns: `/run/netns/${id}`,
    interface: 'veth0',
    ping(count) {
      // From the peer, so that the requests arrive at the interface.
      ip('netns', 'exec', peer, 'ping', '-q', '-i', '0.01', '-w', '5', '-c', String(count), '10.77.0.1');
    },
    send(size, count) {
      const options = ['-q', '-i', '0.01', '-W', '0.2', '-s', String(size), '-c', String(count)];
      const words = ['ip', 'netns', 'exec', peer, 'ping', ...options, '10.77.0.1'];
      // ping ends with status 1 when packets were lost, which is what is asked here.
      const stdout = target.run('sh', '-c', '"$@" || test $? -eq 1', 'sh', ...words);
      return count - Number(/(\d+) received/.exec(stdout)?.[1]);
    },
    xdpProgram() {
      const words = ['-j', '-n', id, 'link', 'show', 'veth0'];
      const [link] = JSON.parse(ip(...words)) as [{ xdp?: { prog: { id: number } } }];
      return link.xdp?.prog.id;
    },
    deleteInterface() {
      ip('-n', id, 'link', 'del', 'veth0');
    },
    dispose() {
      for (const name of [id, peer]) ip('netns', 'del', name);
    },
  };
}
