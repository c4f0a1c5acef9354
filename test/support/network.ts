/**
 * Two network namespaces joined by a veth pair, for tests that need real packets on a real hook. Nothing is on the wire
 * but what a test sends: each end knows the other's link address, and IPv6 is off unless it is asked for.
 */
import { execFile, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { PATIENCE_MS } from './until';

const run = promisify(execFile);

export interface NetworkEnd {
  /** Of the namespace, as ip(8) lists it. */
  name: string;
  /** Path for `netns` of attach specifications. */
  netns: string;
  interface: string;
  ipv4: string;
  ipv6: string;
  /** Runs ip(8) in the namespace; throws when it fails. */
  ip(...args: string[]): string;
  /** Runs a command in the namespace; resolves with its exit status and output, whatever they are. */
  run(command: string, ...args: string[]): Promise<{ status: number; stdout: string; stderr: string }>;
  /** The qdiscs of the interface, as tc(8) lists them. */
  qdiscs(): string;
  /** Id of the XDP program on the interface. */
  xdpProgram(): number | undefined;
}

export interface NetworkPair {
  near: NetworkEnd;
  far: NetworkEnd;
  /** Sends echo requests from near to far, and returns when they were answered. */
  ping(count: number): void;
  /** Sends echo requests with a payload of so many bytes, and waits a little for answers: how many had none. */
  pingLost(count: number, bytes: number): number;
  /** Sends UDP datagrams with a payload of so many bytes from near to far, where nobody listens. */
  send(count: number, bytes: number): void;
  dispose(): void;
}

/** Where nothing listens: the port of the discard service. */
const PORT = 9;
const SENDER = `
  const [count, bytes, address] = process.argv.slice(1);
  const socket = require('node:dgram').createSocket('udp4');
  let left = Number(count);
  const next = () =>
    left-- > 0 ? socket.send(Buffer.alloc(Number(bytes)), ${PORT}, address, next) : socket.close();
  next();`;

/** Where a network is to be. */
export interface Place {
  /** Runs a command there; returns what it printed, throws unless it ended with status 0. */
  run(...command: [string, ...string[]]): string;
  /** Path of Node there. */
  node: string;
}

export const thisMachine: Place = {
  run: (file, ...args) => execFileSync(file, args, { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' }),
  node: process.execPath,
};

/**
 * Needs root. The namespaces' names begin with `bpfs-`, and everything in them goes when they do. Elsewhere than on this
 * machine the ends have no `run` of their own.
 */
export function createNetworkPair({
  ipv6 = false,
  place = thisMachine,
}: { ipv6?: boolean; place?: Place } = {}): NetworkPair {
  const ip = (...args: string[]) => place.run('ip', ...args);
  const name = `bpfs-${process.pid}-${randomBytes(3).toString('hex')}`;
  const ends = [endOf(`${name}n`, 1, place), endOf(`${name}f`, 2, place)] as const;
  const [near, far] = ends;
  const dispose = () => {
    // What could not be made is not there to be removed.
    for (const { name: each } of ends) place.run('sh', '-c', `ip netns del ${each} 2>&1 || true`);
  };
  try {
    for (const { name: each } of ends) ip('netns', 'add', each);
    for (const { name: each } of ends) quieten(place, each, ipv6);
    near.ip('link', 'add', near.interface, 'type', 'veth', 'peer', 'name', far.interface, 'netns', far.name);
    for (const end of ends) {
      const { interface: device } = end;
      // Without an address of its own making the interface has nothing to tell the others of.
      if (ipv6) end.ip('link', 'set', device, 'addrgenmode', 'none');
      end.ip('addr', 'add', `${end.ipv4}/24`, 'dev', device);
      // Without duplicate address detection the address is usable at once.
      if (ipv6) end.ip('addr', 'add', `${end.ipv6}/64`, 'dev', device, 'nodad');
      end.ip('link', 'set', 'lo', 'up');
      end.ip('link', 'set', device, 'up');
    }
    introduce(near, far, ipv6);
    introduce(far, near, ipv6);
  } catch (error) {
    dispose();
    throw error;
  }
  const inNear = (...command: string[]) => ['netns', 'exec', near.name, ...command];
  return {
    near,
    far,
    ping: (count) => {
      ip(...inNear('ping', '-q', '-i', '0.01', '-w', '30', '-c', String(count), far.ipv4));
    },
    pingLost: (count, bytes) => {
      const options = ['-q', '-i', '0.01', '-W', '0.2', '-s', String(bytes), '-c', String(count)];
      // ping ends with status 1 when an answer is missing, which is what is asked here.
      const lossy = ['sh', '-c', '"$@" || test $? -eq 1', 'sh', 'ping', ...options, far.ipv4];
      const stdout = ip(...inNear(...lossy));
      return count - Number(/(\d+) received/.exec(stdout)?.[1]);
    },
    send: (count, bytes) => {
      ip(...inNear(place.node, '-e', SENDER, String(count), String(bytes), far.ipv4));
    },
    dispose,
  };
}

/** Interfaces made in the namespace from here on say nothing of themselves. */
function quieten({ run: runThere }: Place, name: string, ipv6: boolean): void {
  const settings = ipv6
    ? ['router_solicitations=0', 'accept_ra=0', 'accept_dad=0']
    : // A kernel without IPv6 has no such file.
      ['disable_ipv6=1'];
  const set = settings
    .map((setting) => setting.split('='))
    .map(
      ([key, value]) => `f=/proc/sys/net/ipv6/conf/default/${key}; if [ -e $f ]; then echo ${value} > $f; fi`,
    );
  runThere('ip', 'netns', 'exec', name, 'sh', '-c', set.join('; '));
}

/** Tells one end the other's link address, so that nobody has to ask for it, now or when it is old. */
function introduce(end: NetworkEnd, other: NetworkEnd, ipv6: boolean): void {
  const address = /link\/ether (\S+)/.exec(other.ip('link', 'show', other.interface))![1]!;
  for (const each of [other.ipv4, ...(ipv6 ? [other.ipv6] : [])])
    end.ip('neigh', 'replace', each, 'lladdr', address, 'dev', end.interface, 'nud', 'permanent');
}

function endOf(name: string, host: number, place: Place): NetworkEnd {
  const ip = (...args: string[]) => place.run('ip', '-n', name, ...args);
  const device = 'veth0';
  const netns = `/run/netns/${name}`;
  return {
    name,
    netns,
    interface: device,
    ipv4: `10.77.0.${host}`,
    ipv6: `fd77::${host}`,
    ip,
    async run(command, ...args) {
      return run('nsenter', [`--net=${netns}`, command, ...args], { timeout: 2 * PATIENCE_MS }).then(
        ({ stdout, stderr }) => ({ status: 0, stdout, stderr }),
        (error: { code?: number; stdout?: string; stderr?: string }) => ({
          status: error.code ?? -1,
          stdout: error.stdout ?? '',
          stderr: error.stderr ?? '',
        }),
      );
    },
    qdiscs: () => place.run('tc', '-n', name, 'qdisc', 'show', 'dev', device),
    xdpProgram() {
      const [link] = JSON.parse(ip('-j', 'link', 'show', device)) as [{ xdp?: { prog: { id: number } } }];
      return link.xdp?.prog.id;
    },
  };
}
