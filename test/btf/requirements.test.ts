/** What an object needs of a kernel, read from objects that clang made, and looked for in the running kernel's BTF. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseBtf } from '../../toolchain/btf/parse';
import { readBpfObject } from '../../toolchain/elf/object';
import { missingIn, provides } from '../../toolchain/requirements/availability';
import { needsOf, type Need } from '../../toolchain/requirements/requirements';
import { clangAtHand } from '../support/clang';
import { dist } from '../support/bpf-object';

/** Types of its own, so that nothing here depends on the kernel that the tests run on. */
const source = `
typedef unsigned char __u8;
typedef unsigned short __u16, __be16;
typedef unsigned int __u32, __be32, __wsum;
typedef unsigned long long __u64;
typedef int __s32;
typedef long long __s64;
enum { BPF_MAP_TYPE_HASH = 1, BPF_MAP_TYPE_NOBODY_HAS = 4242 };
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
char LICENSE[] SEC("license") = "Dual MIT/GPL";
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 1); __type(key, __u32); __type(value, __u64); } plain SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_NOBODY_HAS); __uint(max_entries, 1); } odd SEC(".maps");

struct inner { int nested; } __attribute__((preserve_access_index));
struct task_struct___flavored {
  union { struct { int pid; int no_such_member; }; };
} __attribute__((preserve_access_index));
struct no_such_struct { struct inner in[4]; } __attribute__((preserve_access_index));
enum pid_type { PIDTYPE_PID, PIDTYPE_OF_NOBODY = 77 };

extern void bpf_task_release(void *task) __ksym;
extern void kernel_has_not(void) __ksym;
extern void kernel_may_have(void) __ksym __weak;

static int helper_in_text(void *arg) { return bpf_get_prandom_u32(); }
static __attribute__((noinline)) int second(void *arg) { return helper_in_text(arg) + bpf_get_smp_processor_id(); }
__attribute__((noinline)) int global_function(void *arg) { return second(arg); }
static long callback(__u32 index, void *arg) { return bpf_ktime_get_ns(); }

struct ops_of_nobody { int (*call)(void); };
SEC("struct_ops/call") int call(void *ctx) { return 0; }
SEC(".struct_ops") struct ops_of_nobody ops = { .call = (void *)call };

__u64 total;
SEC("syscall") int added(signed char *ctx) { return __sync_fetch_and_add(&total, *ctx / (ctx[1] | 1)); }
SEC("syscall") int plain_add(void *ctx) { __sync_fetch_and_add(&total, 1); return 0; }

SEC("fentry/no_such_function") int calls(void *ctx) { return global_function(ctx); }
SEC("tp_btf/sched_switch") int loops(void *ctx) { bpf_loop(4, callback, 0, 0); return 0; }
SEC("xdp") int kernel_functions(void *ctx) { kernel_has_not(); if (kernel_may_have) kernel_may_have(); return 0; }
SEC("kprobe") int fields(struct { void *a; } *ctx)
{
  struct task_struct___flavored *task = ctx->a;
  struct no_such_struct *none = ctx->a;
  if (bpf_core_field_exists(none->in[2].nested)) return 1;
  return task->no_such_member + task->pid + none->in[2].nested + bpf_core_enum_value(enum pid_type, PIDTYPE_OF_NOBODY);
}
`;

let needs: Need[];
let directory: string;

beforeAll(async () => {
  directory = mkdtempSync(path.join(os.tmpdir(), 'bpf-studio-needs-'));
  const file = path.join(directory, 'needs.bpf.c');
  writeFileSync(file, source);
  const flags = ['-O2', '-g', '-target', 'bpf', '-mcpu=v4', '-w', '-isystem', path.join(dist, 'include')];
  execFileSync(await clangAtHand(), [...flags, '-c', file, '-o', `${file}.o`]);
  const object = readBpfObject(new Uint8Array(readFileSync(`${file}.o`)));
  if (!object.ok) throw new Error(object.problem.message);
  needs = needsOf(object.value, [
    { name: 'calls', type: 'tracing', typeNumber: 26, attachType: 'trace_fentry' },
    { name: 'kernel_functions', type: 'nobody', typeNumber: 4242, attachType: 'xdp' },
  ]);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Names of the needs of a kind, with who needs them. */
function needed(kind: string): Record<string, string[]> {
  return Object.fromEntries(
    needs
      .filter(({ requirement }) => requirement.kind === kind)
      .map(({ requirement, programs }) => {
        const { number, name, type, path: members } = requirement as Record<string, unknown>;
        const what = number ?? (members ? `${String(type)}.${(members as string[]).join('.')}` : name);
        return [String(what), programs];
      }),
  );
}

test('helpers count for the programs that reach them, through subprograms and callbacks', () => {
  // enum bpf_func_id: ktime_get_ns 5, get_prandom_u32 7, get_smp_processor_id 8, loop 181.
  expect(needed('helper')).toEqual({ 7: ['calls'], 8: ['calls'], 181: ['loops'], 5: ['loops'] });
});

test('kfuncs that are weak are the program’s own question', () => {
  expect(needed('kfunc')).toEqual({ kernel_has_not: ['kernel_functions'] });
});

test('fields have their C names, without flavors and anonymous members; questions of existence are left out', () => {
  expect(needed('field')).toEqual({
    'struct task_struct.no_such_member': ['fields'],
    'struct task_struct.pid': ['fields'],
    'struct no_such_struct.in.nested': ['fields'],
  });
  expect(needed('enumerator')).toEqual({ PIDTYPE_OF_NOBODY: ['fields'] });
});

test('additions to the instruction set are told from what 5.10 knows', () => {
  const users = needed('instructions');
  expect(users['atomic operations other than add (-mcpu=v3)']).toEqual(['added']);
  expect(users['sign-extending loads (-mcpu=v4)']).toEqual(['added']);
  expect(users['signed division (-mcpu=v4)']).toEqual(['added']);
  expect(Object.values(users).flat()).not.toContain('plain_add');
});

test('map types are needed by all, attach targets by their program', () => {
  const all = ['calls', 'loops', 'kernel_functions', 'fields', 'call', 'added', 'plain_add'];
  expect(Object.keys(needed('mapType')).sort()).toEqual(['1', '2', '4242']);
  expect([...needed('mapType')['4242']!].sort()).toEqual(all.sort());
  expect(needed('attachTarget')).toEqual({ no_such_function: ['calls'], sched_switch: ['loops'] });
  expect(needed('structOps')).toEqual({ ops_of_nobody: ['call'] });
  expect(needed('programType')).toEqual({ 26: ['calls'], 4242: ['kernel_functions'] });
});

describe.skipIf(!existsSync('/sys/kernel/btf/vmlinux'))(
  'in the running kernel’s BTF (needs /sys/kernel/btf)',
  () => {
    function kernelBtf() {
      const parsed = parseBtf(new Uint8Array(readFileSync('/sys/kernel/btf/vmlinux')));
      if (!parsed.ok) throw new Error(parsed.problem.message);
      return parsed.value;
    }

    test('exactly what no kernel has is missing', () => {
      const missing = missingIn(needs, [{ release: '1.0', btf: kernelBtf() }]);
      expect(missing.map(({ word, name }) => `${word} ${name}`).sort()).toEqual(
        [
          'attach target no_such_function',
          'enumerator PIDTYPE_OF_NOBODY of enum pid_type',
          'field struct no_such_struct.in.nested',
          'field struct task_struct.no_such_member',
          'kfunc kernel_has_not',
          'map type number 4242 (map odd)',
          'program type nobody',
          'struct_ops type ops_of_nobody',
        ].sort(),
      );
      expect(
        missing.every(({ missingIn: where, firstSeenIn }) => where[0] === '1.0' && firstSeenIn === undefined),
      ).toBe(true);
    });

    test('a kernel without BTF is not said to lack anything', () => {
      expect(missingIn(needs, [{ release: '1.0', btf: undefined }])).toEqual([]);
    });

    test('the first that has it is named, in the order given', () => {
      const empty = parseBtf(
        // A header, one anonymous int and the empty string: a kernel that lacks everything but says nothing of enums.
        Uint8Array.from(
          Buffer.from(
            '9feb0100180000000000000010000000100000000100000000000000000000010400000020000000' + '00',
            'hex',
          ),
        ),
      );
      if (!empty.ok) throw new Error(empty.problem.message);
      const pid = needs.filter(
        ({ requirement }) => requirement.kind === 'field' && requirement.path[0] === 'pid',
      );
      expect(pid).toHaveLength(1);
      const btf = kernelBtf();
      const [missing] = missingIn(pid, [
        { release: '1.0', btf: empty.value },
        { release: '2.0', btf },
        { release: '3.0', btf },
      ]);
      expect(missing).toMatchObject({
        missingIn: ['1.0'],
        firstSeenIn: '2.0',
        name: 'struct task_struct.pid',
      });
      expect(provides(empty.value, { kind: 'helper', number: 1 })).toBeUndefined();
    });
  },
);
