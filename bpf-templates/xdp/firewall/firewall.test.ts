import { afterAll, beforeAll, expect, it } from 'vitest';
import type { KernelClient } from '../../../kernel/client/client';
import { openKernel, type OpenedKernel } from '../../../kernel/client/open';
import type { LoadedMap } from '../../../kernel/protocol';
import { compileTemplate, dist, rodataWith } from '../../../test/support/bpf-object';
import { readMap } from '../../../test/support/maps';
import { createNetworkPair, type NetworkPair } from '../../../test/support/network';
import { buildPacket } from '../../../toolchain/packet/build';
import { describeAsRoot, isRoot } from '../../../test/support/root';

const XDP_DROP = 1;
const XDP_PASS = 2;

let kernel: OpenedKernel;
let object: Uint8Array;

beforeAll(async () => {
  if (!isRoot) return;
  const opened = await openKernel({
    target: { kind: 'local' },
    name: 'test',
    distDirectory: dist,
    elevate: 'never',
    log: () => {},
  });
  if (!('client' in opened)) throw new Error(`${opened.message} ${opened.hint}`);
  kernel = opened;
  object = await compileTemplate(kernel.client, 'bpf-templates/xdp/firewall/firewall.bpf.c');
});
afterAll(() => kernel?.dispose());

/** The firewall, loaded with a rate; its maps by name. */
async function load(client: KernelClient, packetsPerSecond: bigint, burstPackets: bigint) {
  const rodata = rodataWith(object, { packets_per_second: packetsPerSecond, burst_packets: burstPackets });
  const opened = await client.request('objectOpen', { object, globals: { '.rodata': rodata } });
  const loaded = await client.request('objectLoad', { object: opened.object, log: 'rejected' });
  const program = loaded.programs[0]!;
  const map = (name: string): LoadedMap => {
    const found = loaded.maps.find((each) => each.name === name);
    if (!found) throw new Error(`no map ${name}`);
    return found;
  };
  return {
    program,
    map,
    close: () => client.request('objectClose', { object: opened.object }),
    /** Packets by verdict, all CPUs together. */
    async verdicts(): Promise<Record<string, number>> {
      const entries = await readMap(client, object, map('verdicts'));
      return Object.fromEntries(
        entries.map(({ key, values }) => [
          key as string,
          values.reduce<number>((sum, value) => sum + (value as { packets: number }).packets, 0),
        ]),
      );
    },
    async judge(packet: Uint8Array): Promise<number> {
      const run = { program: program.handle, data: packet, dataOutSize: 2048, contextOutSize: 0 };
      return (await client.request('testRun', run)).returnValue;
    },
    /** `prefix` is an address's bytes, 4 or 16. */
    async block(prefix: number[], length: number): Promise<void> {
      const key = new Uint8Array([length, 0, 0, 0, ...prefix]);
      const name = prefix.length === 4 ? 'blocklist_v4' : 'blocklist_v6';
      await client.request('mapUpdate', {
        map: map(name).handle,
        key,
        value: new Uint8Array(8),
        flags: 'any',
      });
    },
  };
}

function packet(...layers: Record<string, unknown>[]): Uint8Array {
  const built = buildPacket([{ type: 'ethernet' }, ...layers]);
  if (!built.ok) throw new Error(JSON.stringify(built.problems));
  return built.value;
}

describeAsRoot('xdp/firewall on described packets', () => {
  it('drops by longest prefix, IPv4 and IPv6, behind VLAN tags and in fragments', async () => {
    const firewall = await load(kernel.client, 0n, 0n);
    await firewall.block([10, 1, 0, 0], 16);
    await firewall.block([0xfd, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 32);

    const tags = [
      { type: 'vlan', id: 1 },
      { type: 'vlan', id: 2 },
    ];
    const udp = [{ type: 'udp' }, { type: 'payload', length: 32 }];
    const dropped = [
      packet({ type: 'ipv4', source: '10.1.2.3' }, ...udp),
      packet(...tags, { type: 'ipv4', source: '10.1.255.255' }, ...udp),
      packet(
        { type: 'ipv4', source: '10.1.2.3', fragmentOffset: 64, protocol: 17 },
        { type: 'payload', length: 64 },
      ),
      packet({ type: 'ipv6', source: 'fd01::7' }, ...udp),
      packet(tags[0]!, { type: 'ipv6', source: 'fd01:0:ffff::1' }, { type: 'fragment', offset: 64 }, ...udp),
    ];
    const passed = [
      packet({ type: 'ipv4', source: '10.2.0.1' }, ...udp),
      packet(...tags, { type: 'ipv6', source: 'fd02::1' }, ...udp),
      packet({ type: 'arp', senderIp: '10.1.2.3' }),
    ];
    for (const each of dropped) expect(await firewall.judge(each)).toBe(XDP_DROP);
    for (const each of passed) expect(await firewall.judge(each)).toBe(XDP_PASS);
    expect(await firewall.verdicts()).toEqual({
      VERDICT_DROPPED_BLOCKLIST: 5,
      VERDICT_PASSED: 2,
      VERDICT_PASSED_NOT_IP: 1,
    });
    await firewall.close();
  });

  it('drops IP packets whose header is cut off or makes no sense', async () => {
    const firewall = await load(kernel.client, 0n, 0n);
    const whole = packet({ type: 'ipv4' }, { type: 'udp' });
    expect(await firewall.judge(whole.subarray(0, 14 + 19))).toBe(XDP_DROP);
    expect(await firewall.judge(packet({ type: 'ipv4', version: 5 }, { type: 'udp' }))).toBe(XDP_DROP);
    expect(await firewall.judge(packet({ type: 'ipv4', headerLength: 4 }, { type: 'udp' }))).toBe(XDP_DROP);
    expect(await firewall.judge(packet({ type: 'ipv6', version: 4 }, { type: 'udp' }))).toBe(XDP_DROP);
    expect(await firewall.verdicts()).toEqual({ VERDICT_DROPPED_MALFORMED: 4 });
    await firewall.close();
  });
});

describeAsRoot('xdp/firewall on a veth', () => {
  let network: NetworkPair;
  beforeAll(() => {
    network = createNetworkPair({ ipv6: true });
  });
  afterAll(() => network?.dispose());

  const attach = (program: number) =>
    kernel.client.request('attach', {
      program,
      spec: { hook: 'xdp', interface: network.far.interface, netns: network.far.netns, mode: 'native' },
    });
  /** Four echo requests; ends when they are answered, or after so many seconds. */
  const ping = (address: string, seconds = '30') =>
    network.near.run('ping', '-n', '-c', '4', '-i', '0.2', '-w', seconds, address);

  it('lets ping through until its source is blocked, and again afterwards', async () => {
    const firewall = await load(kernel.client, 0n, 0n);
    const { link } = await attach(firewall.program.handle);
    expect((await ping(network.far.ipv4)).status).toBe(0);
    expect((await ping(network.far.ipv6)).status).toBe(0);
    const { VERDICT_DROPPED_BLOCKLIST: before = 0, VERDICT_PASSED: passed = 0 } = await firewall.verdicts();
    expect(before).toBe(0);
    expect(passed).toBeGreaterThanOrEqual(8);

    await firewall.block([10, 77, 0, 0], 24);
    const blocked = await ping(network.far.ipv4, '2');
    expect(blocked.status).toBe(1);
    const sent = Number(/^(\d+) packets transmitted/m.exec(blocked.stdout)?.[1]);
    await expect.poll(async () => (await firewall.verdicts()).VERDICT_DROPPED_BLOCKLIST).toBe(sent);
    const rules = await readMap(kernel.client, object, firewall.map('blocklist_v4'));
    expect(rules.map(({ values }) => values)).toEqual([[{ dropped_packets: sent }]]);

    await kernel.client.request('detach', { link });
    expect((await ping(network.far.ipv4)).status).toBe(0);
    await firewall.close();
  });

  it('lets a burst pass and drops what exceeds the rate, counting every packet', async () => {
    const [burst, flood] = [20, 500];
    const firewall = await load(kernel.client, 1n, BigInt(burst));
    const { link } = await attach(firewall.program.handle);
    const counts = async () => {
      const { VERDICT_PASSED: passed = 0, VERDICT_DROPPED_RATE_LIMIT: dropped = 0 } =
        await firewall.verdicts();
      return { passed, dropped };
    };
    const started = performance.now();
    // In pieces that the veth's ring holds, so that none is lost on the way when its CPU is busy elsewhere.
    const piece = 100;
    for (let sent = piece; sent <= flood; sent += piece) {
      network.send(piece, 100);
      const judged = () => counts().then(({ passed, dropped }) => passed + dropped);
      await expect.poll(judged).toBeGreaterThanOrEqual(sent);
    }
    const seconds = (performance.now() - started) / 1000;
    const { passed, dropped } = await counts();
    await kernel.client.request('detach', { link });
    const sources = await readMap(kernel.client, object, firewall.map('sources'));
    await firewall.close();

    expect(sources.length).toBeGreaterThanOrEqual(1);
    // One token a second comes back, and two CPUs may each let one too many pass. IPv6 speaks now and then.
    expect(passed).toBeGreaterThanOrEqual(burst);
    expect(passed).toBeLessThanOrEqual(burst + Math.ceil(seconds) + 2 + (passed + dropped - flood));
  });
});
