/**
 * Reading verifier logs against bpfvv's parser (github.com/theihor/bpfvv), on logs that this machine's kernel wrote.
 * Each reader works in a process of its own, so that neither's memory nor its compiled code is the other's.
 */
import { execFile } from 'node:child_process';
import { createReadStream, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { readLog } from '../../toolchain/verifier/logIndex';
import { followPath } from '../../toolchain/verifier/path';
import { run, skippedLine, type Line } from './measure';
import type { Workshop } from './workshop';

const SIZES = { '1 k': 1000, '50 k': 50_000, '1 M': 1_000_000 };
const MAX_MIB = 300;

/** What a reading process reports. */
interface Reading {
  lines: number;
  milliseconds: number;
  peakMiB: number;
}

/** Lines per second for three lengths of log, and the memory for the longest. */
export async function logReading(workshop: Workshop, bpfvv: string | undefined): Promise<Line[]> {
  const parser =
    bpfvv === undefined ? undefined : await bundled(path.join(bpfvv, 'parser.ts'), workshop.directory);
  const lines: Line[] = [];
  for (const [label, wanted] of Object.entries(SIZES)) {
    const name = `verifier log of ${label} lines: time / bpfvv's`;
    const file = await writeLog(workshop, wanted);
    const ours = await read('ours', file);
    if (parser === undefined) {
      const how = 'clone github.com/theihor/bpfvv and give its directory: npm run bench -- --bpfvv DIRECTORY';
      lines.push(skippedLine(name, 0.2, how));
    } else {
      const theirs = await read('bpfvv', file, parser);
      lines.push({
        name: `${name}, ${theirs.peakMiB.toFixed(0)} MiB there`,
        bound: 0.2,
        ours: speed(ours),
        theirs: speed(theirs),
        value: ours.milliseconds / ours.lines / (theirs.milliseconds / theirs.lines),
      });
    }
    if (wanted !== 1_000_000) continue;
    const { peakMiB, lines: count } = await read('memory', file);
    const memory = `memory of a process that follows a log of ${count.toLocaleString('en')} lines, MiB`;
    lines.push({ name: memory, bound: MAX_MIB, ours: '', theirs: '', value: peakMiB });
  }
  return lines;
}

function speed({ lines, milliseconds }: Reading): string {
  return `${(lines / milliseconds / 1000).toFixed(2)} M lines/s`;
}

/** The verifier ends at a million instructions; a log that is to be longer is the same one several times over. */
const LONGEST = 50_000;

/** A log of level 2 of so many lines: a loop that the verifier walks round for round. */
async function writeLog({ client, clang, include, directory }: Workshop, lines: number): Promise<string> {
  const rounds = Math.ceil(Math.min(lines, LONGEST) / 17);
  const source = path.join(directory, `log-${lines}.bpf.c`);
  const object = path.join(directory, `log-${lines}.o`);
  writeFileSync(
    source,
    `#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32); __type(value, __u64); } sums SEC(".maps");
SEC("tc") int program(struct __sk_buff *skb)
{
	__u32 key = 0;
	__u64 *sum = bpf_map_lookup_elem(&sums, &key);
	if (!sum)
		return 0;
	for (int i = 0; i < ${rounds}; i++) {
		__u32 hash = skb->hash, mark = skb->mark & 0xff;
		*sum += hash > mark ? hash * i : mark;
		asm volatile("" ::: "memory");
	}
	return 0;
}
char LICENSE[] SEC("license") = "Dual MIT/GPL";
`,
  );
  await run(clang, ['-O2', '-g', '-target', 'bpf', ...include, '-c', source, '-o', object]);
  const { programs } = await client.request('verify', { object: readFileSync(object), log: 'states' });
  const log = programs[0]?.log;
  if (!log) throw new Error(`no log of ${lines} lines: ${programs[0]?.message}`);
  const file = path.join(directory, `log-${lines}.txt`);
  const some = log.trimEnd().split('\n');
  const all = Array.from({ length: lines }, (_, line) => some[line % some.length]);
  writeFileSync(file, `${all.join('\n')}\n`);
  return file;
}

async function bundled(entry: string, directory: string): Promise<string> {
  const outfile = path.join(directory, 'bpfvv-parser.mjs');
  await build({
    entryPoints: [entry],
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile,
    logLevel: 'error',
  });
  return outfile;
}

async function read(reader: string, file: string, parser = ''): Promise<Reading> {
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--max-old-space-size=8192',
    process.argv[1] as string,
    READER_ARGUMENT,
    reader,
    file,
    parser,
  ]);
  return JSON.parse(stdout) as Reading;
}

export const READER_ARGUMENT = '--read-log';

/**
 * The reading process: reads a log several times, keeping what is read until the reading ends, and reports the
 * shortest time, since whatever else the machine does only adds to it.
 */
export async function readerProcess([reader, file, parser]: string[]): Promise<void> {
  let lines = 0;
  const times = [Infinity];
  if (reader === 'memory') {
    const index = await readLog(createReadStream(file as string));
    lines = followPath(index).lines;
  } else {
    const text = readFileSync(file as string, 'utf8');
    const module = parser ? ((await import(parser)) as { parseLine(line: string): unknown }) : undefined;
    const work = module ? () => text.split('\n').map(module.parseLine).length : () => followPath(text).lines;
    for (const until = performance.now() + 2000; performance.now() < until || times.length < 4;) {
      const started = performance.now();
      lines = work();
      times.push(performance.now() - started);
    }
  }
  const peakMiB = process.resourceUsage().maxRSS / 1024;
  process.stdout.write(JSON.stringify({ lines, milliseconds: Math.min(...times), peakMiB }));
}
