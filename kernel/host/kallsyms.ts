/** Kernel addresses as functions, from /proc/kallsyms: vmlinux, modules and BPF programs (module `bpf`). */
import { createReadStream } from 'node:fs';
import type { Results } from '../protocol';

type Answer = Results['symbolize'];
type Symbol = Answer['symbols'][number];

/** Modules and BPF programs come and go: a name is not believed for longer than this. */
const CACHE_MS = 10_000;
let cache = new Map<bigint, Symbol>();
let cachedAt = -Infinity;

/** No function is longer; an address this far behind the last one before it lies in none. */
const LONGEST_FUNCTION = 1 << 20;
const HIDDEN = '0000000000000000';

/** Functions of the given addresses; those of user space, and others that are no code of the kernel, are null. */
export async function symbolize(addresses: readonly bigint[]): Promise<Answer> {
  if (performance.now() - cachedAt > CACHE_MS) {
    cache = new Map();
    cachedAt = performance.now();
  }
  const unknown = [...new Set(addresses)].filter((address) => !cache.has(address));
  if (unknown.length > 0) {
    const unavailable = await lookUp(unknown, cache);
    if (unavailable !== undefined) return { symbols: addresses.map(() => null), unavailable };
  }
  return { symbols: addresses.map((address) => cache.get(address) ?? null) };
}

/**
 * One pass over the list, which is long and in no order, without keeping it. Addresses there are 16 hexadecimal
 * digits, so they compare as text. A line is noted with the first wanted address that is not before it; the closest
 * function before a wanted address is then the last of all lines noted so far.
 */
async function lookUp(addresses: readonly bigint[], found: Map<bigint, Symbol>): Promise<string | undefined> {
  const wanted = addresses.map((address) => address.toString(16).padStart(16, '0')).sort();
  const closest: (string | undefined)[] = wanted.map(() => undefined);
  let readable = false;
  try {
    for await (const lines of linesOf('/proc/kallsyms'))
      for (const line of lines) {
        if (!isFunction(line) || line.startsWith(HIDDEN)) continue;
        readable = true;
        const address = line.slice(0, 16);
        const at = firstNotBefore(wanted, address);
        const known = closest[at];
        if (at < wanted.length && (known === undefined || known.slice(0, 16) < address)) closest[at] = line;
      }
  } catch (error) {
    return `/proc/kallsyms cannot be read: ${(error as Error).message}`;
  }
  if (!readable)
    return 'the kernel hides its addresses from everybody; `sudo sysctl kernel.kptr_restrict=1` shows them to root';
  let before: string | undefined;
  for (const [at, digits] of wanted.entries()) {
    const line = closest[at];
    if (line !== undefined && (before === undefined || before < line)) before = line;
    const address = BigInt(`0x${digits}`);
    found.set(address, before === undefined ? null : symbolAt(before, address));
  }
  return undefined;
}

/** The type in column 18: `t` and `T` for functions, `w` and `W` for weak ones. */
function isFunction(line: string): boolean {
  return 'tTwW'.includes(line[17] ?? ' ');
}

/** From a line such as `ffffffffc0a01230 t nf_hook [nf_tables]`. */
function symbolAt(line: string, address: bigint): Symbol {
  const [, start, name, module] = /^([0-9a-f]{16}) . (\S+)(?:\s+\[(.+)\])?/.exec(line)!;
  const offset = Number(address - BigInt(`0x${start}`));
  if (offset >= LONGEST_FUNCTION) return null;
  return { name: name!, offset, ...(module === undefined ? {} : { module }) };
}

function firstNotBefore(sorted: readonly string[], text: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < text) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The lines of a file, as many at a time as were read. */
async function* linesOf(file: string): AsyncGenerator<string[]> {
  let rest = '';
  for await (const chunk of createReadStream(file, { encoding: 'latin1', highWaterMark: 1 << 20 })) {
    const lines = (rest + String(chunk)).split('\n');
    rest = lines.pop()!;
    yield lines;
  }
  if (rest !== '') yield [rest];
}
