import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openKernel, type OpenedKernel } from '../../../kernel/client/open';
import type { LoadedMap } from '../../../kernel/protocol';
import { startCommand } from '../../../test/cli/command-line';
import { compileTemplate, dist } from '../../../test/support/bpf-object';
import { readMap } from '../../../test/support/maps';
import { createNetworkPair, type NetworkEnd, type NetworkPair } from '../../../test/support/network';
import { describeAsRoot } from '../../../test/support/root';

const TCP = 6;
const UDP = 17;
const ethernet = 14;
const tcpWithTimestamps = 32;
/** A SYN has MSS, SACK permitted and window scale on top of the timestamps. */
const moreInSyn = 8;

interface Flow {
  key: { local_port: number; remote_port: number; protocol: number };
  values: Stats[];
}
interface Stats {
  ingress_packets: number;
  ingress_bytes: number;
  egress_packets: number;
  egress_bytes: number;
}

describeAsRoot('tc/flow-stats on a veth', () => {
  let kernel: OpenedKernel;
  let network: NetworkPair;
  let object: Uint8Array;

  beforeAll(async () => {
    const opened = await openKernel({
      target: { kind: 'local' },
      name: 'test',
      distDirectory: dist,
      elevate: 'never',
      log: () => {},
    });
    if (!('client' in opened)) throw new Error(`${opened.message} ${opened.hint}`);
    kernel = opened;
    network = createNetworkPair({ ipv6: true });
    object = await compileTemplate(kernel.client, 'bpf-templates/tc/flow-stats/flow-stats.bpf.c');
  });
  afterAll(async () => {
    network?.dispose();
    await kernel?.dispose();
  });

  /** Both programs on one end's interface; returns how to read the flows. */
  async function watch(end: NetworkEnd, implementation: 'tcx' | 'clsact') {
    const { client } = kernel;
    const opened = await client.request('objectOpen', { object });
    const loaded = await client.request('objectLoad', { object: opened.object, log: 'rejected' });
    for (const direction of ['ingress', 'egress'] as const) {
      const program = loaded.programs.find(({ name }) => name === `count_${direction}`)!;
      const { interface: device, netns } = end;
      const spec = { hook: 'tc', interface: device, direction, implementation, netns } as const;
      await client.request('attach', { program: program.handle, spec });
    }
    const map = (name: string): LoadedMap => loaded.maps.find((each) => each.name === name)!;
    return {
      flows: async (name: 'flows_v4' | 'flows_v6', protocol: number) =>
        ((await readMap(client, object, map(name))) as Flow[]).filter(({ key }) => key.protocol === protocol),
      close: () => client.request('objectClose', { object: opened.object }),
    };
  }

  /**
   * One connection from near to far that carries `bytes`, closed in order by both. Resolves with the payload that the
   * kernel says it sent: a busy machine makes it send some of it again.
   */
  async function sendTcp(address: string, port: number, bytes: number): Promise<number> {
    const server = `
import socket
s = socket.create_server(("${address}", ${port}), family=socket.${address.includes(':') ? 'AF_INET6' : 'AF_INET'})
print("listening", flush=True)
s.settimeout(60)
c, _ = s.accept()
n = 0
while chunk := c.recv(65536): n += len(chunk)
print(n)
`;
    const client = `
import socket
c = socket.create_connection(("${address}", ${port}), 60)
c.sendall(bytes(${bytes})); c.shutdown(socket.SHUT_WR); c.recv(1)
info = c.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
# tcpi_bytes_sent
print(int.from_bytes(info[200:208], "little")); c.close()
`;
    const receiver = startCommand(['nsenter', `--net=${network.far.netns}`, 'python3', '-c', server], {});
    await receiver.seen(/listening/);
    const sent = await network.near.run('python3', '-c', client);
    expect(sent.stderr).toBe('');
    expect((await receiver.finished).stdout).toBe(`listening\n${bytes}\n`);
    return Number(sent.stdout);
  }

  it.each([
    ['clsact', 'flows_v4', 20],
    ['tcx', 'flows_v6', 40],
  ] as const)(
    'counts merged segments as what is on the wire: %s, %s',
    async (implementation, map, ipHeader) => {
      const near = await watch(network.near, implementation);
      const far = await watch(network.far, implementation);
      const payload = 2_000_000;
      const port = map === 'flows_v4' ? 7004 : 7006;
      const onTheWire = await sendTcp(
        map === 'flows_v4' ? network.far.ipv4 : network.far.ipv6,
        port,
        payload,
      );

      const stats = async (end: typeof near) => (await end.flows(map, TCP)).map(({ values }) => values[0]!);
      const mirrored = async () =>
        (await stats(near)).map((flow) => ({
          ingress_packets: flow.egress_packets,
          ingress_bytes: flow.egress_bytes,
          egress_packets: flow.ingress_packets,
          egress_bytes: flow.ingress_bytes,
        }));
      // The last words of a connection may still be on their way.
      await expect
        .poll(async () => [await stats(far), await mirrored()])
        .toSatisfy(([there, here]) => isDeepStrictEqual(there, here));
      const [sender, ...others] = await stats(near);
      await near.close();
      await far.close();

      expect(others).toEqual([]);
      const headers = ethernet + ipHeader + tcpWithTimestamps;
      expect(sender!.egress_bytes).toBe(onTheWire + sender!.egress_packets * headers + moreInSyn);
      expect(sender!.egress_packets).toBeGreaterThanOrEqual(
        Math.ceil(payload / (1500 - ipHeader - tcpWithTimestamps)),
      );
    },
  );

  it('counts fragments under their addresses, with ports only in the first', async () => {
    const near = await watch(network.near, 'tcx');
    const payload = 4000;
    const send = `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("${network.near.ipv4}", 7100))
s.setsockopt(socket.IPPROTO_IP, 10, 0)
s.sendto(bytes(${payload}), ("${network.far.ipv4}", 9))
`;
    expect((await network.near.run('python3', '-c', send)).stderr).toBe('');
    const flows = await near.flows('flows_v4', UDP);
    await near.close();
    // The neighbour is known, so that what was sent has left.
    const withPorts = flows.filter(({ key }) => key.local_port !== 0);
    const rest = flows.filter(({ key }) => key.local_port === 0);
    expect(withPorts.map(({ values }) => values[0]!.egress_packets)).toEqual([1]);
    expect(rest.map(({ values }) => values[0]!.egress_packets)).toEqual([2]);
    const bytes = [...withPorts, ...rest].reduce((sum, { values }) => sum + values[0]!.egress_bytes, 0);
    expect(bytes).toBe(payload + 8 + 3 * (ethernet + 20));
  });
});
