/** `verify --kernels` on an old and a new kernel at once: verdicts, what is missing where, the second opinion. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bpfStudio, start, type Finished } from '../cli/command-line';
import { kernelAtHand } from './kernels-at-hand';
import { isRunning, parentOf, processesWith } from '../support/processes';
import { until } from '../support/until';

const old = kernelAtHand('5.10');
const recent = kernelAtHand('7.3');

/** Atomic operations that fetch came with 5.12, bpf_loop with 5.17,
 * task_struct.__state with 5.14 (before it was `state`), BPF_MAP_TYPE_ARENA with 6.9. */
const source = `#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
char LICENSE[] SEC("license") = "Dual MIT/GPL";
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); __type(key, __u32); __type(value, __u64); } counts SEC(".maps");
struct task_struct___before { long state; } __attribute__((preserve_access_index));
static long each(__u32 index, void *context) { return 0; }

SEC("xdp") int unchecked(struct xdp_md *ctx)
{
	__u32 key = 1;
	__u64 *count = bpf_map_lookup_elem(&counts, &key);
	*count += 1; // #ERR
	return XDP_PASS;
}
__u64 total;
SEC("xdp") int fetching(struct xdp_md *ctx) { return __sync_fetch_and_add(&total, 1) & 1; }
SEC("xdp") int fine(struct xdp_md *ctx) { return XDP_PASS; }
SEC("xdp") int looping(struct xdp_md *ctx) { bpf_loop(4, each, 0, 0); return XDP_PASS; }
SEC("tp_btf/sched_switch") int renamed(__u64 *ctx)
{
	struct task_struct *task = (void *)ctx[1];
	return task->__state != 0;
}
SEC("tp_btf/sched_switch") int guarded(__u64 *ctx)
{
	struct task_struct *task = (void *)ctx[1];
	if (bpf_core_field_exists(task->__state)) return task->__state != 0;
	return ((struct task_struct___before *)task)->state != 0;
}
`;
const arena = `#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
struct { __uint(type, BPF_MAP_TYPE_ARENA); __uint(map_flags, BPF_F_MMAPABLE); __uint(max_entries, 4); } shared SEC(".maps");
SEC("xdp") int with_arena(struct xdp_md *ctx) { return XDP_PASS + (bpf_map_lookup_elem(&shared, ctx) != 0); }
char LICENSE[] SEC("license") = "Dual MIT/GPL";
`;

interface Line {
  file: string;
  kernel: string;
  compiledWith: string;
  error?: { code: string; message: string };
  missing: { kind: string; name: string; programs: string[]; firstSeenIn?: string }[];
  programs: {
    name: string;
    verdict: string;
    stats?: { insns: number };
    secondOpinion?: { kernel: string; verdict: string; report?: string };
    diagnostics: { range: { start: { line: number } }; code: string }[];
  }[];
}

if (typeof old === 'string' || typeof recent === 'string') {
  test.skip(`(${[old, recent].filter((one) => typeof one === 'string').join('; ')})`, () => {});
} else {
  describe('bpf-studio verify --kernels', () => {
    let directory: string;
    let result: Finished;
    let lines: Line[];
    const on = (release: string, file = 'programs.bpf.c') =>
      lines.find((line) => line.kernel === release && line.file.endsWith(file))!;
    const program = (release: string, name: string) => on(release).programs.find((one) => one.name === name)!;

    beforeAll(async () => {
      directory = mkdtempSync(path.join(os.tmpdir(), 'bpf-studio-matrix-'));
      writeFileSync(path.join(directory, 'programs.bpf.c'), source);
      writeFileSync(path.join(directory, 'arena.bpf.c'), arena);
      // An image that begins like a kernel and ends early: its header is read, and it cannot be started.
      const damaged = path.join(directory, 'vmlinuz-damaged');
      writeFileSync(damaged, readFileSync(recent.image).subarray(0, 1 << 20));
      result = await bpfStudio(
        'verify',
        '--json',
        '--second-opinion',
        '--kernels',
        `7.3,vm:${damaged},5.10`,
        path.join(directory, 'programs.bpf.c'),
        path.join(directory, 'arena.bpf.c'),
      );
      lines = result.json() as unknown as Line[];
    });
    afterAll(() => rmSync(directory, { recursive: true, force: true }));

    test('there is a line a file and kernel, oldest kernel first, compiled once with the newest types', () => {
      expect(result.stderr).toBe('');
      expect(lines.map(({ file, kernel }) => [path.basename(file), kernel])).toEqual(
        ['programs.bpf.c', 'arena.bpf.c'].flatMap((file) => [
          [file, old.release],
          [file, recent.release],
          [file, recent.release],
        ]),
      );
      expect(new Set(lines.map(({ compiledWith }) => compiledWith))).toEqual(
        new Set([`Linux ${recent.release}`]),
      );
    });

    test('a kernel that does not start is a row with the reason, and the status says that not all was verified', () => {
      const failed = lines.filter(({ error }) => error !== undefined);
      expect(failed).toHaveLength(2);
      expect(failed[0]).toMatchObject({
        programs: [],
        error: { message: expect.stringMatching(/is damaged/) as string },
      });
      expect(result.status).toBe(2);
    });

    test('each program has its verdict and costs on each kernel', () => {
      const verdicts = (release: string) =>
        Object.fromEntries(on(release).programs.map(({ name, verdict }) => [name, verdict]));
      expect(verdicts(old.release)).toEqual({
        unchecked: 'rejected',
        fetching: 'rejected',
        fine: 'accepted',
        looping: 'rejected',
        renamed: 'rejected',
        guarded: 'accepted',
      });
      const usable = lines.find(({ kernel, error }) => kernel === recent.release && !error)!;
      expect(usable.programs.map(({ name, verdict }) => `${name} ${verdict}`)).toEqual([
        'unchecked rejected',
        'fetching accepted',
        'fine accepted',
        'looping accepted',
        'renamed accepted',
        'guarded accepted',
      ]);
      expect(program(old.release, 'fine').stats!.insns).toBe(2);
    });

    test('what the old kernel lacks is named, with the kernel that has it', () => {
      const missing = (file?: string) =>
        on(old.release, file).missing.map(({ kind, name, programs, firstSeenIn }) => [
          kind,
          name,
          programs.join(),
          firstSeenIn,
        ]);
      expect(missing()).toEqual(
        expect.arrayContaining([
          ['helper', 'bpf_loop', 'looping', recent.release],
          ['field', 'struct task_struct.__state', 'renamed,guarded', recent.release],
          ['instructions', 'atomic operations other than add (-mcpu=v3)', 'fetching', recent.release],
        ]),
      );
      expect(missing('arena.bpf.c')).toEqual([
        ['map type', 'BPF_MAP_TYPE_ARENA (map shared)', 'with_arena', recent.release],
      ]);
      // The older field is what the newer kernel lacks, and no older one than it has.
      const usable = lines.find(({ kernel, error }) => kernel === recent.release && !error)!;
      expect(usable.missing).toEqual([
        expect.objectContaining({ kind: 'field', name: 'struct task_struct.state' }),
      ]);
    });

    test('7.3’s own report stands beside our explanation of the old kernel’s rejection', () => {
      const rejected = program(old.release, 'unchecked');
      const line = source.split('\n').findIndex((text) => text.includes('#ERR'));
      expect(rejected.diagnostics).toMatchObject([{ code: 'bpf/null-deref', range: { start: { line } } }]);
      expect(rejected.secondOpinion).toMatchObject({ kernel: recent.release, verdict: 'rejected' });
      expect(rejected.secondOpinion!.report).toMatch(/^Verification failed: /);
      expect(rejected.secondOpinion!.report).toMatch(/Suggestion:/);
      expect(rejected.secondOpinion!.report).not.toMatch(/^processed /m);
      expect(program(old.release, 'looping').secondOpinion).toEqual({
        kernel: recent.release,
        verdict: 'accepted',
      });
    });

    test('Ctrl-C while kernels boot leaves nothing behind', async () => {
      const file = path.join(directory, 'programs.bpf.c');
      const command = start(['verify', '--kernels', '5.10,7.3', '-j', '2', file], {
        BPF_STUDIO_VERBOSE: '1',
      });
      const started = await until('a VM to be started', () => {
        const relays = processesWith('vm.js').filter((pid) => parentOf(pid) === command.pid);
        return relays.length > 0 && relays;
      });
      command.signal('SIGINT');
      expect((await command.finished).status).toBe(2);
      await until('the VMs to be gone', () => !started.some(isRunning));
    });
  });
}
