/** Every map type in the Maps scope, written and evaluated, on the machine's kernel. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DapClient, objectOf } from './client';
import { sharedTarget } from './target';

const target = sharedTarget();

describe('a map of every type', () => {
  let dap: DapClient;
  beforeAll(async () => {
    const program = objectOf('maps.bpf.c');
    dap = await DapClient.started('launch', { ...target.configuration, program, entry: 'fill' });
  });
  afterAll(() => dap.close());

  it('lists all maps with type, size and number of entries', async () => {
    const rows = await dap.variables(await dap.scope('Maps'));
    const shown = Object.fromEntries(rows.map(({ name, type, value }) => [name, `${type}: ${value}`]));
    expect(shown).toMatchObject({
      hash: 'hash<struct flow, struct point>: hash, 1 entry of at most 16',
      lru: 'lru_hash<__u32, __u64>: lru_hash, 1 entry of at most 16',
      array: 'array<__u32, struct point>: array, 4 elements',
      queue: 'queue<__u32>: queue, not empty, at most 8 elements',
    });
    expect(Object.keys(shown)).toHaveLength(21);
  });

  it.each([
    ['hash', ['[{saddr = 16777226 (10.0.0.1), sport = 47873 (host order 443), pad = 0}] = {x = -3, y = 4}']],
    ['lru', ['[7] = 1152921504606846976']],
    [
      'array',
      ['[0] = {x = 0, y = 0}', '[1] = {x = -3, y = 4}', '[2] = {x = 0, y = 0}', '[3] = {x = 0, y = 0}'],
    ],
    ['trie', ['[10.0.0.0/8] = 7']],
    ['queue', ['head = 7', expect.stringMatching(/^rest = only the element that a pop would return/)]],
    ['stack', ['head = 8', expect.stringMatching(/^rest = /)]],
    ['bloom', [expect.stringMatching(/^not listed = it keeps hashes only/)]],
    ['outer', [expect.stringMatching(/^\[1\] = map with id \d+$/)]],
    ['tails', [expect.stringMatching(/^\[1\] = program leaf with id \d+$/)]],
    ['tasks', [expect.stringMatching(/^not listed = entries belong to tasks/)]],
    ['sockets', [expect.stringMatching(/^not listed = entries belong to sockets/)]],
    ['ring', [expect.stringMatching(/^not listed = records are consumed by reading/)]],
    ['perf', [expect.stringMatching(/^not listed = records are consumed by reading/)]],
    ['sockhash', []],
    ['devices', []],
    ['cpus', []],
    ['stacks', []],
    ['sealed', ['[0] = 7']],
  ])('%s', async (name, rows) => {
    expect(await dap.tree('Maps', name)).toEqual(rows);
  });

  it('per-CPU values: one child a CPU, integers summed and said to be', async () => {
    const [first] = await dap.tree('Maps', 'percpu');
    expect(first).toMatch(/^\[0\] = sum over CPUs 5 \{/);
    const cpus = await dap.tree('Maps', 'percpu', '[0]');
    expect(cpus.every((cpu, i) => cpu.startsWith(`cpu ${i} = `))).toBe(true);
    expect(cpus.filter((cpu) => cpu.endsWith(' = 5'))).toHaveLength(1);
    const points = await dap.tree('Maps', 'percpu_hash', '[7]');
    expect(points).toHaveLength(cpus.length);
    expect(points.filter((point) => point.endsWith('{x = -3, y = 4}'))).toHaveLength(1);
  });

  it('opens the inner map of a map of maps', async () => {
    const rows = await dap.tree('Maps', 'outer', '[1]');
    expect(rows).toEqual(['inner_one = array, 2 elements']);
    expect(await dap.tree('Maps', 'outer', '[1]', 'inner_one')).toEqual(['[0] = 0', '[1] = 7']);
    // A refresh that finds nothing new says nothing, and leaves references good.
    const inner = await dap.row('Maps', 'outer', '[1]', 'inner_one');
    const seen = dap.events.length;
    await dap.request('bpf/refresh');
    expect(dap.events.slice(seen).filter(({ event }) => event === 'invalidated')).toEqual([]);
    expect(await dap.variables(inner.variablesReference)).toHaveLength(2);
  });

  it('a structured key opens beside the value', async () => {
    const [entry] = await dap.variables((await dap.row('Maps', 'hash')).variablesReference);
    const rows = await dap.variables(entry!.variablesReference);
    expect(rows.map(({ name }) => name)).toEqual(['(key)', 'x', 'y']);
    const key = await dap.variables(rows[0]!.variablesReference);
    expect(key.map(({ name, value }) => `${name} = ${value}`)).toEqual([
      'saddr = 16777226 (10.0.0.1)',
      'sport = 47873 (host order 443)',
      'pad = 0',
    ]);
  });

  it('evaluates maps, entries and members', async () => {
    const value = async (expression: string) =>
      (await dap.request<{ result: string }>('evaluate', { expression, context: 'watch' })).result;
    expect(await value('lru[7]')).toBe('1152921504606846976');
    expect(await value('array[1].x')).toBe('-3');
    expect(await value('array[1] -> y')).toBe('4');
    expect(await value('trie["10.0.0.0/8"]')).toBe('7');
    expect(await value('hash[{saddr = 10.0.0.1, sport = htons(443)}].y')).toBe('4');
    expect(await value('hash[{"saddr": "10.0.0.1", "sport": "htons(443)"}].y')).toBe('4');
    expect(await value('percpu[0]')).toMatch(/^sum over CPUs 5/);
    expect(await value('bloom[7]')).toBe('perhaps in the filter');
    expect(await value('bloom[0x12345678]')).toBe('not in the filter');
    const [entry] = await dap.variables((await dap.row('Maps', 'hash')).variablesReference);
    expect(await value(entry!.evaluateName!)).toBe('{x = -3, y = 4}');
  });

  it.each([
    ['nope', /There is no variable, map or enumerator "nope" here. There are .*hash, lru/],
    ['lru[8]', /lru has no entry 8/],
    ['lru.x', /lru is a map; write lru\[KEY\]/],
    ['array[1].z', /array\[1\] has no member z/],
    ['lru["x"]', /"x".* does not fit lru/],
    ['1 +', /is not a C expression. It ends too early/],
    ['array[1].x = 2', /would change a value/],
    ['bloom["x"]', /"x".* does not fit bloom/],
    ['array[1', /lacks a closing bracket/],
  ])('says why %s has no value', async (expression, reason) => {
    await expect(dap.request('evaluate', { expression })).rejects.toThrow(reason);
  });

  it('writes values to the kernel, by row and by expression', async () => {
    const array = await dap.row('Maps', 'array', '[2]');
    const set = await dap.request<{ value: string }>('setVariable', {
      variablesReference: array.variablesReference,
      name: 'y',
      value: '-99',
    });
    expect(set.value).toBe('-99');
    await dap.request('setExpression', { expression: 'array[3]', value: '{ .x = 5 }' });
    // The client is told to ask for the rows above again, which show the written value too.
    const seen = dap.events.length;
    const last = (await dap.tree('Maps', 'percpu', '[0]')).length - 1;
    await dap.request('setExpression', { expression: `percpu[0].cpu${last}`, value: '40' });
    await dap.event('invalidated', (body) => String(body.areas) === 'variables', seen);
    const [sum] = await dap.tree('Maps', 'percpu');
    expect(sum).toMatch(/^\[0\] = sum over CPUs 4[05] \{.*\b40\b/);
    expect(await dap.tree('Maps', 'array')).toEqual([
      '[0] = {x = 0, y = 0}',
      '[1] = {x = -3, y = 4}',
      '[2] = {x = 0, y = -99}',
      '[3] = {x = 5, y = 0}',
    ]);
    expect((await dap.tree('Maps', 'percpu', '[0]'))[last]).toBe(`cpu ${last} = 40`);
  });

  it.each([
    ['sealed[0]', '1', /read-only for user space \(BPF_F_RDONLY\)/],
    ['outer[1]', '1', /its values are maps, set by file descriptor/],
    ['array[0].x', 'many', /"many" is not a value of int/],
    ['array[0].x', '99999999999', /99999999999 does not fit into x/],
  ])('says why %s cannot be set to %s', async (expression, value, reason) => {
    await expect(dap.request('setExpression', { expression, value })).rejects.toThrow(reason);
  });

  it('adds and deletes entries', async () => {
    await dap.request('bpf/setMapEntry', {
      map: 'trie',
      key: '192.168.0.0/16',
      value: '3',
      flags: 'noexist',
    });
    expect(await dap.tree('Maps', 'trie')).toContain('[192.168.0.0/16] = 3');
    await expect(
      dap.request('bpf/setMapEntry', { map: 'trie', key: '192.168.0.0/16', value: '4', flags: 'noexist' }),
    ).rejects.toThrow(/EEXIST/);
    expect(await dap.request('bpf/deleteMapEntry', { map: 'trie', key: '192.168.0.0/16' })).toEqual({
      deleted: true,
    });
    expect(await dap.request('bpf/deleteMapEntry', { map: 'trie', key: '192.168.0.0/16' })).toEqual({
      deleted: false,
    });
    expect(await dap.tree('Maps', 'trie')).toEqual(['[10.0.0.0/8] = 7']);
  });

  it('an entry that the program deleted is not brought back by an edit', async () => {
    const row = await dap.row('Maps', 'lru', '[7]');
    expect(row.value).toBe('1152921504606846976');
    await dap.request('bpf/deleteMapEntry', { map: 'lru', key: '7' });
    const lru = (await dap.row('Maps', 'lru')).variablesReference;
    await expect(
      dap.request('setVariable', { variablesReference: lru, name: '[7]', value: '1' }),
    ).rejects.toThrow(/no row|no longer exists/);
  });

  it('reads memory behind a value', async () => {
    const { memoryReference } = await dap.row('Maps', 'array', '[1]');
    const memory = await dap.request<{ data: string; unreadableBytes: number }>('readMemory', {
      memoryReference,
      offset: 4,
      count: 16,
    });
    expect(Array.from(Buffer.from(memory.data, 'base64'))).toEqual([4, 0, 0, 0]);
    expect(memory.unreadableBytes).toBe(12);
  });
});

describe('stack traces', () => {
  it('open into the functions of their addresses', async () => {
    const program = objectOf('maps.bpf.c');
    const dap = await DapClient.started('launch', {
      ...target.configuration,
      program,
      entry: 'walk',
      context: { args: [0, 0] },
    });
    try {
      const [stack] = await dap.variables((await dap.row('Maps', 'stacks')).variablesReference);
      expect(stack!.value).toMatch(/^stack of \d+ frames$/);
      const frames = await dap.variables(stack!.variablesReference);
      expect(frames[0]!.name).toBe('#0');
      // The program itself runs first, called by what tests it for bpf(2); some kernel function or other each.
      const values = frames.map((frame) => frame.value);
      for (const value of values)
        expect(value).toMatch(/^\S+\+0x[0-9a-f]+( \[\w+\])? \(0xffff[0-9a-f]{12}\)$/);
      expect(values.join('\n')).toMatch(/^bpf_prog_\w+_walk\+0x[0-9a-f]+ \[bpf\]/m);
    } finally {
      await dap.close();
    }
  });
});

describe('10,000 entries', () => {
  let dap: DapClient;
  beforeAll(async () => {
    dap = await DapClient.started('launch', { ...target.configuration, program: objectOf('many.bpf.c') });
  });
  afterAll(() => dap.close());

  it('are shown in ranges when the client does not page, each entry once', async () => {
    const many = await dap.row('Maps', 'many');
    expect(many).toMatchObject({ value: 'hash, 10,000 entries of at most 20,000', indexedVariables: 10_000 });
    const ranges = await dap.variables(many.variablesReference);
    expect(ranges).toHaveLength(100);
    expect(ranges[3]!.name).toBe('[300..399]');
    const keys = new Set<string>();
    for (const range of ranges)
      for (const { name, value } of await dap.variables(range.variablesReference)) {
        keys.add(name);
        const key = Number(name.slice(1, -1));
        expect(value).toBe(String(key * key));
      }
    expect(keys.size).toBe(10_000);
  });

  it('are paged for a client that asks for a part', async () => {
    const many = await dap.row('Maps', 'many');
    const page = { filter: 'indexed', start: 9_990, count: 100 };
    expect(await dap.variables(many.variablesReference, page)).toHaveLength(10);
    const wide = await dap.row('Maps', 'wide');
    const rows = await dap.variables(wide.variablesReference, { filter: 'indexed', start: 9_998, count: 2 });
    expect(rows.map(({ name, value }) => `${name} = ${value}`)).toEqual([
      '[9998] = 99960004',
      '[9999] = 99980001',
    ]);
    expect(await dap.variables(wide.variablesReference, { filter: 'named' })).toEqual([]);
  });
});
