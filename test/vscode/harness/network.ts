/** A veth pair between two network namespaces of the test's own. Nothing else sees its traffic. */
import { execFileSync } from 'node:child_process';

export interface VethPair {
  /** Network namespace and interface to attach to, as attach specs write them. */
  netns: string;
  interface: string;
  /** Sends UDP packets of `bytes` payload from the other end. */
  send(count: number, bytes: number): void;
  /** Whether the kernel has an XDP program on the interface. */
  hasXdp(): boolean;
  remove(): void;
}

const ip = (...args: string[]) => execFileSync('ip', args, { stdio: ['ignore', 'pipe', 'pipe'] }).toString();

export function createVethPair(): VethPair {
  const here = `bpfs-e2e-${process.pid}-a`;
  const there = `bpfs-e2e-${process.pid}-b`;
  const remove = () => {
    for (const name of [here, there]) {
      if (ip('netns', 'list').includes(name)) ip('netns', 'del', name);
    }
  };
  try {
    for (const name of [here, there]) ip('netns', 'add', name);
    ip('-n', here, 'link', 'add', 'veth0', 'type', 'veth', 'peer', 'name', 'veth1', 'netns', there);
    ip('-n', here, 'addr', 'add', '10.99.0.1/24', 'dev', 'veth0');
    ip('-n', there, 'addr', 'add', '10.99.0.2/24', 'dev', 'veth1');
    ip('-n', here, 'link', 'set', 'veth0', 'up');
    ip('-n', there, 'link', 'set', 'veth1', 'up');
    // Without ARP, and so without packets that nobody sent on purpose.
    const mac = /link\/ether (\S+)/.exec(ip('-n', here, 'link', 'show', 'veth0'))?.[1] ?? '';
    ip('-n', there, 'neigh', 'replace', '10.99.0.1', 'lladdr', mac, 'dev', 'veth1');
  } catch (error) {
    remove();
    throw error;
  }
  const sender = `
    const socket = require('node:dgram').createSocket('udp4');
    let left = Number(process.argv[1]);
    const next = () => left-- > 0 ? socket.send(Buffer.alloc(Number(process.argv[2])), 9, '10.99.0.1', next) : socket.close();
    next();`;
  return {
    netns: `/run/netns/${here}`,
    interface: 'veth0',
    send: (count, bytes) => {
      ip('netns', 'exec', there, process.execPath, '-e', sender, String(count), String(bytes));
    },
    hasXdp: () => /prog\/xdp/.test(ip('-n', here, 'link', 'show', 'veth0')),
    remove,
  };
}
