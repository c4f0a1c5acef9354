/**
 * Keystroke to syntax diagnostics in the server: how long the language server takes from reading a didChange to
 * having its publishDiagnostics written, on a generated file of 5,000 lines. Used by the benchmark, and by hand:
 * bundle it with esbuild and run it, see scripts/bench.mjs.
 */
import os from 'node:os';
import path from 'node:path';
import { Client } from './client';

export interface Latency {
  lines: number;
  keystrokes: number;
  /** Milliseconds from sending the change to receiving the diagnostics, both pipes and JSON included. */
  median: number;
  p95: number;
  worst: number;
}

/** Types `keystrokes` characters into the middle of a function, one by one, each after the answer to the last. */
export async function measureTyping(lines = 5_000, keystrokes = 400): Promise<Latency> {
  // Syntax only: the work of clang and the kernel has its own figure.
  const client = await Client.start({ initializationOptions: { trusted: false } });
  try {
    const text = generate(lines);
    const line = text
      .split('\n')
      .findIndex((one, number) => number > lines / 2 && one.includes('sum += value;'));
    const file = path.join(os.tmpdir(), 'bpf-studio-typing.bpf.c');
    const uri = await client.open(file, text);
    await client.until('the first findings', () => client.hasDiagnostics(uri));
    const typed = '\tif (sum > 10)\n\t\tsum = helper(sum, value);\n';
    const times: number[] = [];
    let position = { line, character: 0 };
    for (let count = 0; count < keystrokes; count++) {
      const key = typed[count % typed.length]!;
      const answered = client.nextDiagnostics(uri);
      const started = performance.now();
      await client.change(uri, key, { start: position, end: position });
      await answered;
      times.push(performance.now() - started);
      position =
        key === '\n'
          ? { line: position.line + 1, character: 0 }
          : { ...position, character: position.character + 1 };
    }
    times.sort((a, b) => a - b);
    const at = (part: number): number => times[Math.min(times.length - 1, Math.floor(times.length * part))]!;
    return { lines, keystrokes, median: at(0.5), p95: at(0.95), worst: at(1) };
  } finally {
    await client.stop();
  }
}

/** A BPF source of about this many lines: maps, helpers and programs as people write them. */
export function generate(lines: number): string {
  const parts = ['#include "vmlinux.h"\n#include <bpf/bpf_helpers.h>\n'];
  for (let number = 0; parts.join('').split('\n').length < lines && number < lines; number += 10) {
    for (let index = number; index < number + 10; index++) parts.push(unit(index));
  }
  parts.push('char LICENSE[] SEC("license") = "GPL";\n');
  return parts.join('\n');
}

function unit(index: number): string {
  return `struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ${64 + index});
	__type(key, __u32);
	__type(value, struct value_${index});
} map_${index} SEC(".maps");

/* Adds up what map ${index} holds for a key. */
static __always_inline __u64 sum_${index}(__u32 key)
{
	__u64 sum = 0;

	for (int i = 0; i < ${4 + (index % 8)}; i++) {
		__u64 *found = bpf_map_lookup_elem(&map_${index}, &key);
		if (!found)
			continue;
		__u64 value = *found & 0xff;
		sum += value;
	}
	return sum;
}

SEC("xdp")
int program_${index}(struct xdp_md *ctx)
{
	if (sum_${index}(ctx->ingress_ifindex) > ${index})
		return XDP_DROP;
	return XDP_PASS;
}
`;
}
