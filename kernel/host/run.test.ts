import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { KernelClient } from '../client/client';
import type { Loaded } from './testing';
import { Compiler, inKernelFor, load, openTestKernel } from './testing';
import { lastCpu } from '../../test/support/cpus';
import { until } from '../../test/support/until';

let kernel: Awaited<ReturnType<typeof openTestKernel>>;
let client: KernelClient;
let object: Loaded;

const OBJECT = `
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 1 << 18); } ring SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY); __uint(key_size, 4); __uint(value_size, 4); } perf SEC(".maps");
u64 count = 0;
SEC("xdp") int flip(struct xdp_md *c) {
  u8 *data = (u8 *)(long)c->data, *end = (u8 *)(long)c->data_end;
  if (data + 1 > end) return XDP_ABORTED;
  data[0] ^= 0xff;
  return c->ingress_ifindex == 1 ? XDP_TX : XDP_DROP;
}
SEC("xdp") int grow(struct xdp_md *c) { return bpf_xdp_adjust_head(c, -4) ? XDP_ABORTED : XDP_PASS; }
SEC("tc") int marked(struct __sk_buff *s) { s->priority = s->mark + 1; return s->mark; }
SEC("raw_tp") int rawargs(struct bpf_raw_tracepoint_args *c) { return c->args[0] + c->args[1]; }
SEC("syscall") int sys(u64 *c) { c[0] = c[0] * 2; return 5; }
SEC("sk_lookup") int look(struct bpf_sk_lookup *c) { return c->local_port == 80 ? SK_DROP : SK_PASS; }
SEC("flow_dissector") int dissect(struct __sk_buff *s) { return BPF_OK; }
SEC("socket") int filter(struct __sk_buff *s) { return s->len; }
SEC("cgroup_skb/egress") int egress(struct __sk_buff *s) { return 1; }
SEC("tc") int emit(struct __sk_buff *s) {
  u64 value = __sync_fetch_and_add(&count, 1);
  bpf_ringbuf_output(&ring, &value, sizeof(value), 0);
  bpf_perf_event_output(s, &perf, BPF_F_CURRENT_CPU, &value, sizeof(value));
  return 0;
}
SEC("tc") int emit_quietly(struct __sk_buff *s) {
  u64 value = __sync_fetch_and_add(&count, 1);
  bpf_ringbuf_output(&ring, &value, sizeof(value), BPF_RB_NO_WAKEUP);
  return 0;
}
`;

beforeAll(async () => {
  kernel = await openTestKernel();
  ({ client } = kernel);
  object = await load(client, await (await Compiler.create(client)).compile(OBJECT));
});
afterAll(() => kernel.dispose());

const packet = Buffer.alloc(64, 0x11);
// An IPv4 header after Ethernet's: the kernel looks at it for flow_dissector and cgroup_skb.
packet.writeUInt16BE(0x0800, 12);
packet[14] = 0x45;

function run(
  name: string,
  input: { data?: Uint8Array; context?: Uint8Array; repeat?: number; cpu?: number; flags?: number },
) {
  return client.request('testRun', {
    program: object.program(name).handle,
    dataOutSize: input.data ? 256 : 0,
    contextOutSize: input.context && name !== 'rawargs' ? input.context.length : 0,
    ...input,
  });
}

describe('test runs', () => {
  test('xdp: the packet that comes out, and its length when it grew', async () => {
    const flipped = await run('flip', { data: packet });
    expect(flipped.data[0]).toBe(0x11 ^ 0xff);
    expect(flipped.data).toHaveLength(64);
    expect((await run('grow', { data: packet })).data).toHaveLength(68);
  });

  test('xdp: fields of the context', async () => {
    const context = Buffer.alloc(24);
    context.writeUInt32LE(64, 4); // data_end, as an offset
    context.writeUInt32LE(1, 12); // ingress_ifindex: lo
    expect((await run('flip', { data: packet, context })).returnValue).toBe(3); // XDP_TX
  });

  test('tc: fields of __sk_buff in and out', async () => {
    const context = Buffer.alloc(192);
    context.writeUInt32LE(41, 8); // mark
    const result = await run('marked', { data: packet, context });
    expect(result.returnValue).toBe(41);
    expect(Buffer.from(result.context).readUInt32LE(32)).toBe(42); // priority
  });

  test('raw_tp on a chosen CPU', async () => {
    const context = Buffer.from(BigUint64Array.from([40n, 2n]).buffer);
    expect((await run('rawargs', { context, cpu: lastCpu(), flags: 1 })).returnValue).toBe(42);
  });

  test('syscall changes its context', async () => {
    const result = await run('sys', { context: Buffer.from(BigUint64Array.from([21n]).buffer) });
    expect(result.returnValue).toBe(5);
    expect(Buffer.from(result.context).readBigUInt64LE(0)).toBe(42n);
  });

  test('sk_lookup', async () => {
    const context = Buffer.alloc(72);
    context.writeUInt32LE(2, 8); // family: AF_INET
    context.writeUInt32LE(6, 12); // protocol: TCP
    context.writeUInt32LE(80, 60); // local_port
    expect((await run('look', { context })).returnValue).toBe(0); // SK_DROP
  });

  test.each(['dissect', 'filter', 'egress'])('%s', async (name) => {
    expect((await run(name, { data: packet })).returnValue).toBe({ dissect: 0, filter: 50, egress: 1 }[name]);
  });

  test('an average time of one run over many', async () => {
    expect((await run('marked', { data: packet, repeat: 10_000 })).duration).toBeGreaterThan(0);
  });

  test('an input that the kernel does not take is told as the kernel tells it', async () => {
    await expect(run('flip', { data: new Uint8Array(3) })).rejects.toMatchObject({
      code: 'kernel',
      operation: 'BPF_PROG_TEST_RUN',
      errno: 'EINVAL',
    });
  });

  test('a run that would take minutes stops when it is cancelled', async () => {
    const cancel = new AbortController();
    const request = client.request(
      'testRun',
      {
        program: object.program('marked').handle,
        data: packet,
        repeat: 0xffff_ffff,
        dataOutSize: 0,
        contextOutSize: 0,
      },
      { signal: cancel.signal },
    );
    await inKernelFor(client, 50);
    cancel.abort();
    // Confirmed by the host, whose work has ended, and not given up by the client after a time.
    await expect(request).rejects.toMatchObject({
      code: 'cancelled',
      message: expect.not.stringContaining('did not confirm'),
    });
  });
});

describe('records', () => {
  /** Reads a map from here on; each value with the CPU it is from, -1 for ring buffers. */
  async function read(kind: 'ringbuf' | 'perf', map: string) {
    const { reader } = await client.request('readerOpen', { map: object.map(map).handle, kind });
    const records: { cpu: number; value: bigint }[] = [];
    const listener = client.on('records', (event) => {
      if (event.reader !== reader) return;
      for (const { cpu, data } of event.records)
        records.push({ cpu, value: Buffer.from(data).readBigUInt64LE(0) });
    });
    const flush = () => client.request('readerFlush', { reader });
    // What was written before a ring buffer is read is in it still; a perf buffer starts with its reader.
    await flush();
    records.length = 0;
    const close = async () => {
      listener.dispose();
      await client.request('readerClose', { reader });
    };
    return { records, flush, close };
  }
  /** The next value that is written. */
  async function next(): Promise<bigint> {
    const map = object.map('.bss').handle;
    const { value } = await client.request('mapLookup', { map, key: new Uint8Array(4) });
    return Buffer.from(value!).readBigUInt64LE(0);
  }
  const from = (first: bigint, count: number) => Array.from({ length: count }, (_, i) => first + BigInt(i));

  test('of a ring buffer arrive in order, each once', async () => {
    const { records, close } = await read('ringbuf', 'ring');
    const expected = from(await next(), 500);
    await run('emit', { data: packet, repeat: 500 });
    await until('all records', () => records.length >= expected.length);
    expect(records.map(({ value }) => value)).toEqual(expected);
    await close();
  });

  test('of a perf event array arrive each once, in the order of their CPU', async () => {
    const { records, close } = await read('perf', 'perf');
    const expected = from(await next(), 500);
    await run('emit', { data: packet, repeat: 500 });
    await until('all records', () => records.length >= expected.length);
    // The scheduler may take a run of many to another CPU, whose buffer is read before the first one's.
    records.sort((one, other) => one.cpu - other.cpu);
    const cpus = new Set(records.map(({ cpu }) => cpu)).size;
    const steps = records.slice(1).filter(({ value }, index) => value < records[index]!.value);
    expect(steps.length).toBeLessThan(cpus);
    expect(records.map(({ value }) => value).sort((a, b) => Number(a - b))).toEqual(expected);
    await close();
  });

  test('have all come when a flush is answered, those too that woke nobody', async () => {
    const { records, flush, close } = await read('ringbuf', 'ring');
    const expected = from(await next(), 12_000);
    await run('emit_quietly', { data: packet, repeat: expected.length });
    await flush();
    expect(records.map(({ value }) => value)).toEqual(expected);
    await flush();
    await close();
  });

  test('a ring buffer is no perf event array', async () => {
    const request = client.request('readerOpen', { map: object.map('ring').handle, kind: 'perf' });
    await expect(request).rejects.toMatchObject({ message: 'map ring is a ringbuf, not a perf_event_array' });
  });
});
