/** The running kernel's BTF, with bpftool as the second reader. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { beforeAll, expect, test } from 'vitest';
import { cpuMilliseconds } from '../../test/support/cpu-time';
import type { Btf } from './btf';
import { parseBtf } from './parse';
import { declaration, prototype, typeName } from './spell';

const run = promisify(execFile);
let bytes: Uint8Array;
let btf: Btf;

beforeAll(async () => {
  bytes = new Uint8Array(await readFile('/sys/kernel/btf/vmlinux'));
  const outcome = parseBtf(bytes);
  if (!outcome.ok) throw new Error(outcome.problem.message);
  btf = outcome.value;
});

test("the kernel's BTF is indexed in moments", () => {
  const times = Array.from({ length: 5 }, () => cpuMilliseconds(() => parseBtf(bytes)));
  // Some 20 ms; reading each type takes a hundred times as long.
  expect(Math.min(...times)).toBeLessThan(500);
});

test('every type reads as bpftool reads it', async () => {
  const { stdout } = await run('bpftool', ['btf', 'dump', 'file', '/sys/kernel/btf/vmlinux', '--json'], {
    maxBuffer: 1 << 28,
  });
  const { types } = JSON.parse(stdout) as { types: Record<string, never>[] };
  expect(types.length).toBe(btf.typeCount - 1);
  // Every seventh type is every kind many times over; all of them would take the test's time and find nothing else.
  for (let index = 0; index < types.length; index += 7) {
    const theirs = types[index] as unknown as {
      id: number;
      kind: string;
      name: string;
      size?: number;
      members?: { name: string; type_id: number; bits_offset: number; bitfield_size?: number }[];
      values?: { name: string; val: number }[];
      params?: { name: string; type_id: number }[];
    };
    const ours = btf.type(theirs.id);
    expect(ours.kind).toBe(theirs.kind.toLowerCase());
    expect(ours.name).toBe(theirs.name === '(anon)' || theirs.name === undefined ? '' : theirs.name);
    if ('size' in ours && theirs.size !== undefined) expect(ours.size).toBe(theirs.size);
    if ('members' in ours) {
      expect(ours.members).toEqual(
        theirs.members?.map((one) => ({
          name: one.name === '(anon)' ? '' : one.name,
          type: one.type_id,
          bitOffset: one.bits_offset,
          bitSize: one.bitfield_size ?? 0,
        })),
      );
    }
    if (ours.kind === 'enum') {
      const values = theirs.values ?? [];
      expect(ours.enumerators.map((one) => one.name)).toEqual(values.map((one) => one.name));
      for (const [at, { val }] of values.entries()) {
        // bpftool prints a few values sign-extended to 64 bits, which JSON numbers cannot hold.
        if (Number.isSafeInteger(val))
          expect(BigInt.asUintN(32, ours.enumerators[at]?.value ?? 0n)).toBe(BigInt.asUintN(32, BigInt(val)));
      }
    }
    if (ours.kind === 'func_proto') {
      expect(ours.parameters.map((one) => one.type)).toEqual(theirs.params?.map((one) => one.type_id));
    }
  }
});

test('types are found by name, and spelled as in the kernel’s headers', () => {
  const task = btf.find('struct', 'task_struct');
  expect(task?.members.some((member) => member.name === 'pid')).toBe(true);
  expect(btf.find('struct', 'no_such_struct_anywhere')).toBeUndefined();
  const comm = task?.members.find((member) => member.name === 'comm');
  expect(declaration(btf, comm?.type ?? 0, 'comm')).toBe('char comm[16]');
  const proto = prototype(btf, btf.find('func', 'tcp_sendmsg')?.id ?? 0);
  expect(proto).toBe('int tcp_sendmsg(struct sock *sk, struct msghdr *msg, size_t size)');
  const operations = btf.find('struct', 'file_operations');
  const release = operations?.members.find((member) => member.name === 'release');
  expect(typeName(btf, release?.type ?? 0)).toBe('int (*)(struct inode *, struct file *)');
});

test('cut or altered BTF is a problem or readable, never an exception', () => {
  expect(parseBtf(bytes.subarray(0, 10))).toMatchObject({ ok: false, problem: { code: 'btf/truncated' } });
  expect(parseBtf(bytes.subarray(0, 100_000))).toMatchObject({
    ok: false,
    problem: { code: 'btf/truncated' },
  });
  expect(parseBtf(new Uint8Array(64))).toMatchObject({ ok: false, problem: { code: 'btf/corrupt' } });
});
