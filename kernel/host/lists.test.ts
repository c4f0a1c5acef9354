import { existsSync, readFileSync } from 'node:fs';
import os from 'node:os';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { KernelClient } from '../client/client';
import type { Loaded } from './testing';
import { Compiler, load, openTestKernel } from './testing';
import { until } from '../../test/support/until';

let kernel: Awaited<ReturnType<typeof openTestKernel>>;
let client: KernelClient;
let compiler: Compiler;
let object: Loaded;
let hostPid: number;

beforeAll(async () => {
  kernel = await openTestKernel();
  ({ client } = kernel);
  hostPid = Number(/pid (\d+)/.exec(client.hello.host)?.[1]);
  compiler = await Compiler.create(client);
  object = await load(
    client,
    await compiler.compile(`
      struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); __type(key, u32); __type(value, u64); } lstmap SEC(".maps");
      SEC("xdp") int lstprog(struct xdp_md *c) {
        u32 key = 0;
        bpf_printk("bpfs test %d", ${process.pid});
        return bpf_map_lookup_elem(&lstmap, &key) ? XDP_DROP : XDP_PASS;
      }`),
  );
});
afterAll(() => kernel.dispose());

test('hello says which kernel speaks', () => {
  const [major, minor] = os.release().split('.').map(Number);
  expect(client.hello.kernel).toMatchObject({ release: os.release(), version: { major, minor } });
  expect(client.hello.capabilities).toMatchObject({
    load: { ok: true },
    btf: { ok: true },
    network: { ok: true },
  });
});

describe('what is loaded', () => {
  test('programs, with their maps and who holds them', async () => {
    const { programs } = await client.request('listPrograms', {});
    const ours = programs.find((one) => one.id === object.program('lstprog').id);
    expect(ours).toMatchObject({
      name: 'lstprog',
      type: 'xdp',
      tag: object.program('lstprog').tag,
      // Who lists programs at the same time holds each for a moment.
      pids: expect.arrayContaining([hostPid]),
    });
    expect(ours?.mapIds).toContain(object.map('lstmap').id);
    // Loaded within the last minute, by this machine's clock.
    expect(Math.abs(Date.now() / 1000 - (ours?.loadedAtSeconds ?? 0))).toBeLessThan(60);
  });

  test('maps, BTF and links', async () => {
    const { maps } = await client.request('listMaps', {});
    expect(maps.find((one) => one.id === object.map('lstmap').id)).toMatchObject({
      name: 'lstmap',
      type: 'hash',
      keySize: 4,
      valueSize: 8,
      pids: expect.arrayContaining([hostPid]),
    });
    const { btfs } = await client.request('listBtf', {});
    expect(btfs.find((one) => one.name === 'vmlinux')).toMatchObject({ kernel: true });
    const spec = { hook: 'rawTracepoint', name: 'sched_switch' } as const;
    const raw = await load(client, await compiler.compile('SEC("raw_tp") int lstraw(void *c) { return 0; }'));
    const { link, id } = await client.request('attach', { program: raw.program('lstraw').handle, spec });
    const { links } = await client.request('listLinks', {});
    expect(links.find((one) => one.id === id)).toMatchObject({
      type: 'raw_tracepoint',
      programId: raw.program('lstraw').id,
      description: 'raw_tracepoint sched_switch',
    });
    await client.request('detach', { link });
  });

  test('links that come and go while they are listed', async () => {
    const spec = { hook: 'rawTracepoint', name: 'sched_switch' } as const;
    const raw = await load(client, await compiler.compile('SEC("raw_tp") int lstraw(void *c) { return 0; }'));
    const program = raw.program('lstraw').handle;
    let listing = true;
    const coming = async () => {
      while (listing) {
        const { link } = await client.request('attach', { program, spec });
        await client.request('detach', { link });
      }
    };
    const changes = [coming(), coming()];
    try {
      for (let look = 0; look < 100; look++)
        expect(await client.request('listLinks', {})).toHaveProperty('links');
    } finally {
      listing = false;
      await Promise.all(changes);
    }
  });

  test('a program’s instructions as the kernel has them', async () => {
    const dump = await client.request('programDump', { program: object.program('lstprog').handle });
    expect(dump.instructions.length % 8).toBe(0);
    // The last instruction is exit (0x95).
    expect(dump.instructions.at(-8)).toBe(0x95);
    expect(dump.jitedSize).toBeGreaterThan(0);
    expect(dump.lineInfo.length % 16).toBe(0);
    expect(dump.funcInfo).toHaveLength(8);
  });
});

describe('what there is to attach to', () => {
  test('interfaces, processes, functions', async () => {
    const { interfaces } = await client.request('listInterfaces', {});
    expect(interfaces.find((one) => one.name === 'lo')).toMatchObject({
      kind: 'loopback',
      addresses: expect.arrayContaining(['127.0.0.1/8']),
    });
    const { processes } = await client.request('listProcesses', {});
    expect(processes.find((one) => one.pid === process.pid)).toMatchObject({
      executable: process.execPath,
      arguments: readFileSync('/proc/self/cmdline', 'utf8').replaceAll('\0', ' ').trimEnd().slice(0, 1024),
    });
    const { functions, total } = await client.request('listKernelFunctions', {
      contains: 'tcp_sendmsg',
      limit: 3,
    });
    expect(functions).toHaveLength(3);
    expect(total).toBeGreaterThan(3);
    expect(
      (await client.request('listKernelFunctions', { contains: 'tcp_sendmsg', limit: 999 })).functions,
    ).toContain('tcp_sendmsg');
  });

  test('padding in front of functions is not offered', async () => {
    const everything = { contains: '', limit: 0xffff_ffff };
    const { functions } = await client.request('listKernelFunctions', everything);
    expect(functions.length).toBeGreaterThan(1000);
    expect(functions.filter((name) => /^__(pfx|cfi)_/.test(name))).toEqual([]);
  });

  test('functions of kernel addresses', async () => {
    const table = readFileSync('/proc/kallsyms', 'utf8');
    const [, digits] = /^([0-9a-f]{16}) T tcp_sendmsg$/m.exec(table)!;
    const start = BigInt(`0x${digits}`);
    const addresses = [start + 5n, 0x5555_5555_0000n, start];
    expect(await client.request('symbolize', { addresses })).toEqual({
      symbols: [{ name: 'tcp_sendmsg', offset: 5 }, null, { name: 'tcp_sendmsg', offset: 0 }],
    });
  });

  test('a file that is no executable', async () => {
    await expect(
      client.request('listBinarySymbols', { binary: '/etc/passwd', contains: '', limit: 1 }),
    ).rejects.toMatchObject({ message: expect.stringContaining('/etc/passwd is not an ELF file') });
  });

  test('tracepoints, or how to mount tracefs', async () => {
    const listed = client.request('listTracepoints', { contains: 'sched_swit', limit: 10 });
    if (existsSync('/sys/kernel/tracing/events')) {
      expect((await listed).tracepoints).toContainEqual({ category: 'sched', name: 'sched_switch' });
    } else {
      await expect(listed).rejects.toMatchObject({
        message: expect.stringContaining('sudo mount -t tracefs'),
      });
    }
  });
});

describe('what the kernel has', () => {
  test('program and map types by probing, configuration by reading', async () => {
    const features = await client.request('features', {});
    expect(features.programTypes).toMatchObject({ xdp: true, sched_cls: true });
    expect(features.mapTypes).toMatchObject({ hash: true, ringbuf: true });
    if (features.configSource) expect(features.config['CONFIG_BPF_SYSCALL']).toBe('y');
    else console.log('the kernel’s configuration is not readable here');
  });

  test('its BTF, and the object’s', async () => {
    const { data } = await client.request('btf', { source: { module: 'vmlinux' } });
    expect(Buffer.compare(data, readFileSync('/sys/kernel/btf/vmlinux'))).toBe(0);
    const map = await client.request('mapOpenById', { id: object.map('lstmap').id });
    const own = await client.request('btf', { source: { id: map.btfId! } });
    // BTF's magic number.
    expect(Buffer.from(own.data).readUInt16LE(0)).toBe(0xeb9f);
    await expect(client.request('btf', { source: { module: '../../../etc/passwd' } })).rejects.toMatchObject({
      message: expect.stringContaining('no BTF of a module'),
    });
  });

  test('its types as a header that clang compiles, with CO-RE and kfuncs', async () => {
    const core = await compiler.compile(
      `SEC("raw_tp/sched_switch") int lstcore(void *c) {
        struct task_struct *task = (void *)bpf_get_current_task();
        return BPF_CORE_READ(task, real_parent, tgid);
      }
      SEC("tp_btf/sched_switch") int lstkfunc(void *c) {
        struct task_struct *init = bpf_task_from_pid(1);
        if (init) bpf_task_release(init);
        return 0;
      }`,
      { vmlinux: true },
    );
    const { programs } = await client.request('verify', { object: core, log: 'rejected' });
    expect(programs.map((one) => [one.name, one.verdict, one.message])).toEqual([
      ['lstcore', 'accepted', undefined],
      ['lstkfunc', 'accepted', undefined],
    ]);
  });
});

test('bpf_printk lines come from an instance of our own', async () => {
  if (!existsSync('/sys/kernel/tracing/instances')) {
    console.log('tracefs is not mounted here: only the error is tested');
    await expect(client.request('tracePipeOpen', {})).rejects.toMatchObject({
      message: expect.stringContaining('sudo mount -t tracefs'),
    });
    return;
  }
  await client.request('tracePipeOpen', {});
  const lines: string[] = [];
  const listener = client.on('tracePipe', (event) => lines.push(...event.lines));
  await client.request('testRun', {
    program: object.program('lstprog').handle,
    data: new Uint8Array(64),
    dataOutSize: 0,
    contextOutSize: 0,
  });
  const line = await until('the line', () => lines.find((one) => one.includes(`bpfs test ${process.pid}`)));
  expect(line).toMatch(/bpf_trace_printk: bpfs test \d+$/);
  const instance = `/sys/kernel/tracing/instances/bpf-studio-${hostPid}-1`;
  expect(existsSync(instance)).toBe(true);
  listener.dispose();
  await client.request('tracePipeClose', {});
  expect(existsSync(instance)).toBe(false);
});
