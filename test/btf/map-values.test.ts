/** Values of a real map, as this decodes them and as bpftool does. */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { openKernel } from '../../kernel/client/open';
import { encode } from '../../toolchain/btf/encode';
import { toJson } from '../../toolchain/btf/format';
import { decode } from '../../toolchain/btf/value';
import { readBpfObject } from '../../toolchain/elf/object';
import { compileBpf, repository } from '../verifier/compile';

const run = promisify(execFile);

test('a value that was typed in reads the same from the kernel through bpftool', async () => {
  const bytes = await compileBpf(path.join(repository, 'test/fixtures/btf/layout.bpf.c'));
  const object = readBpfObject(bytes);
  if (!object.ok || !object.value.btf) throw new Error('the fixture has no BTF');
  const { btf, maps } = object.value;
  const { valueTypeId = 0, valueSize } = maps.find((map) => map.name === 'records') ?? {};
  const opened = await openKernel({
    target: { kind: 'local' },
    name: 'map values',
    distDirectory: path.join(repository, 'dist'),
    elevate: 'never',
    log: () => {},
  });
  if ('code' in opened) throw new Error(`${opened.message} ${opened.hint}`);
  try {
    const { client } = opened;
    const { object: handle } = await client.request('objectOpen', { object: bytes });
    const loaded = await client.request('objectLoad', { object: handle, log: 'rejected' });
    const map = loaded.maps.find((one) => one.name === 'records');
    if (!map) throw new Error('the map was not created');
    expect(map.valueSize).toBe(valueSize);
    const value = encode(
      btf,
      valueTypeId,
      `{ .action = ACT_NEGATIVE, .bits = { .low = 5, .middle = 1234, .negative = -7, .high = 301, .across = 0xabcdef0123, .tail = 1 },
         .anonymous = { .before = 1, .low_half = 0x1234, .inner_b = 10, .after = -1 }, .packed = { .second = 77 },
         .matrix = { { 1, 2, 3 }, { 4, 5, 6 } }, .yes = true }`,
    );
    if (!value.ok) throw new Error(value.problem.message);
    await client.request('mapUpdate', {
      map: map.handle,
      key: new Uint8Array([7, 0, 0, 0]),
      value: value.value,
      flags: 'any',
    });
    const { stdout } = await run('bpftool', ['--json', 'map', 'dump', 'id', `${map.id}`]);
    const [entry] = JSON.parse(stdout) as { formatted: { value: Record<string, unknown> } }[];
    const theirs = entry?.formatted.value as Record<string, Record<string, unknown>>;
    const ours = toJson(decode(btf, valueTypeId, value.value)) as typeof theirs;
    expect(ours.action).toBe('ACT_NEGATIVE');
    // bpftool writes enums and bools by number, and unnamed members under an empty name.
    expect(theirs).toMatchObject({ matrix: ours.matrix, packed: ours.packed });
    for (const name of ['low', 'middle', 'high', 'across', 'tail']) {
      expect([name, Number(theirs.bits?.[name])]).toEqual([name, ours.bits?.[name]]);
    }
    expect(theirs.anonymous).toMatchObject({ before: ours.anonymous?.before, after: ours.anonymous?.after });
    expect(JSON.stringify(theirs.anonymous)).toContain('"inner_b":10');
  } finally {
    await opened.dispose();
  }
});
