import { fail, succeed } from '../problem';
import type { Outcome } from '../problem';
import { Btf } from './btf';
import { BTF_MAGIC, Kind } from './kinds';

const MIN_HEADER = 24;
/** BTF_MAX_TYPE, include/uapi/linux/btf.h. */
const MAX_TYPES = 0x000f_ffff;

const damaged = 'Build the object again with: clang -O2 -g -target bpf -c FILE.bpf.c -o FILE.o';

/** Bytes after the common 12 that a type's record has for each `vlen` entry, by kind. */
const perEntry: Partial<Record<Kind, number>> = {
  [Kind.Struct]: 12,
  [Kind.Union]: 12,
  [Kind.Enum]: 8,
  [Kind.FuncProto]: 8,
  [Kind.Datasec]: 12,
  [Kind.Enum64]: 12,
};
/** Bytes after the common 12 that do not depend on `vlen`. */
const fixed: Partial<Record<Kind, number>> = {
  [Kind.Int]: 4,
  [Kind.Array]: 12,
  [Kind.Var]: 4,
  [Kind.DeclTag]: 4,
};
/** `perEntry` and `fixed` as arrays, which the indexing loop reads 150,000 times. */
const entryBytes = Uint8Array.from({ length: 32 }, (_, kind) => perEntry[kind as Kind] ?? 0);
const fixedBytes = Uint8Array.from({ length: 32 }, (_, kind) => fixed[kind as Kind] ?? 0);

/**
 * Indexes a `.BTF` section, or the whole of /sys/kernel/btf/vmlinux. A module's split BTF needs `base`, the
 * kernel's. Problems: `btf/truncated`, `btf/corrupt`, `btf/newer` (a kind this reader does not know: types after
 * it cannot be found).
 */
export function parseBtf(bytes: Uint8Array, base?: Btf): Outcome<Btf> {
  if (bytes.length < MIN_HEADER)
    return truncated(`its header needs ${MIN_HEADER} bytes, it has ${bytes.length}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const littleEndian = view.getUint16(0, true) === BTF_MAGIC;
  if (!littleEndian && view.getUint16(0, false) !== BTF_MAGIC) {
    return fail('btf/corrupt', 'This is not BTF: it does not begin with the magic number 0xeb9f.', damaged);
  }
  const u32 = (at: number) => view.getUint32(at, littleEndian);
  const headerLength = u32(4);
  const typesStart = headerLength + u32(8);
  const typesEnd = typesStart + u32(12);
  const stringsStart = headerLength + u32(16);
  const stringsEnd = stringsStart + u32(20);
  if (headerLength < MIN_HEADER || typesEnd > bytes.length || stringsEnd > bytes.length) {
    return truncated(
      `its types end at byte ${typesEnd}, its strings at ${stringsEnd}, the data at ${bytes.length}`,
    );
  }

  // The smallest record has 12 bytes, which bounds the index by the size of what was read.
  const positions = new Uint32Array(Math.min(MAX_TYPES, Math.floor((typesEnd - typesStart) / 12)));
  let count = 0;
  for (let at = typesStart; at < typesEnd;) {
    if (at + 12 > typesEnd)
      return truncated(`type ${count + 1} begins ${typesEnd - at} bytes before the end`);
    const info = u32(at + 4);
    const kind = (info >>> 24) & 0x1f;
    if (kind === 0 || kind > Kind.Enum64) {
      return fail(
        'btf/newer',
        `Type ${count + 1} of the BTF is of kind ${kind}, which BPF Studio does not know.`,
        'The BTF was written by a newer compiler or kernel: update BPF Studio.',
      );
    }
    if (count === positions.length) {
      return fail('btf/corrupt', `The BTF has more than ${MAX_TYPES} types, the format's limit.`, damaged);
    }
    positions[count++] = at;
    at += 12 + (fixedBytes[kind] as number) + (info & 0xffff) * (entryBytes[kind] as number);
    if (at > typesEnd) return truncated(`type ${count} ends ${at - typesEnd} bytes beyond the type section`);
  }
  const strings = bytes.subarray(stringsStart, stringsEnd);
  return succeed(new Btf(littleEndian, base, view, strings, positions.slice(0, count)));
}

function truncated(how: string) {
  return fail('btf/truncated', `The BTF is cut short: ${how}.`, damaged);
}
