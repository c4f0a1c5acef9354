/**
 * `.BTF.ext`: which instruction belongs to which function and source position, and the CO-RE relocations.
 * Format: Documentation/bpf/btf.rst, "BTF.ext".
 */
import { fail, succeed } from '../problem';
import type { Outcome } from '../problem';
import type { Btf } from './btf';
import { BTF_MAGIC } from './kinds';

export interface FuncInfo {
  /** Index of the function's first instruction within its ELF section. */
  insn: number;
  /** Type id of a FUNC. */
  type: number;
}
export interface LineInfo {
  /** Index of the first instruction of the line: within the ELF section, or within the loaded program. */
  insn: number;
  /** String offsets into the object's BTF. */
  fileOffset: number;
  textOffset: number;
  /** One-based, as clang counts. */
  line: number;
  /** One-based; 0 when the compiler knows none. */
  column: number;
}
export interface CoreRelocation {
  insn: number;
  type: number;
  /** Access string, e.g. `0:1:2`: members by index from the root type. */
  access: string;
  /** `enum bpf_core_relo_kind`. */
  kind: number;
}
export interface BtfExt {
  functions: Map<string, FuncInfo[]>;
  lines: Map<string, LineInfo[]>;
  relocations: Map<string, CoreRelocation[]>;
}

const damaged = 'Build the object again with: clang -O2 -g -target bpf -c FILE.bpf.c -o FILE.o';

/** Parses `.BTF.ext`; each map is keyed by ELF section name. */
export function parseBtfExt(bytes: Uint8Array, btf: Btf): Outcome<BtfExt> {
  const result: BtfExt = { functions: new Map(), lines: new Map(), relocations: new Map() };
  const bad = (how: string) =>
    fail('btf/ext-corrupt', `The object's .BTF.ext section is damaged: ${how}.`, damaged);
  if (bytes.length < 24) return bad(`it has ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const littleEndian = view.getUint16(0, true) === BTF_MAGIC;
  if (!littleEndian && view.getUint16(0, false) !== BTF_MAGIC) return bad('it has no magic number');
  const u32 = (at: number) => view.getUint32(at, littleEndian);
  const header = u32(4);

  /** Reads one of the three tables; false when it does not fit into the section. */
  const table = (headerAt: number, minimum: number, each: (section: string, at: number) => void): boolean => {
    if (headerAt + 8 > header || headerAt + 8 > bytes.length) return true;
    const length = u32(headerAt + 4);
    if (length === 0) return true;
    let at = header + u32(headerAt);
    const end = at + length;
    if (end > bytes.length || length < 4) return false;
    const recordSize = u32(at);
    if (recordSize < minimum || recordSize > 1024) return false;
    at += 4;
    while (at + 8 <= end) {
      const section = btf.string(u32(at));
      const count = u32(at + 4);
      at += 8;
      if (at + count * recordSize > end) return false;
      for (let index = 0; index < count; index++, at += recordSize) each(section, at);
    }
    return true;
  };
  const add = <T>(map: Map<string, T[]>, section: string, value: T) => {
    const list = map.get(section);
    if (list) list.push(value);
    else map.set(section, [value]);
  };

  const readable =
    table(8, 8, (section, at) =>
      add(result.functions, section, { insn: Math.floor(u32(at) / 8), type: u32(at + 4) }),
    ) &&
    table(16, 16, (section, at) => add(result.lines, section, lineInfo(view, at, littleEndian, 8))) &&
    table(24, 16, (section, at) =>
      add(result.relocations, section, {
        insn: Math.floor(u32(at) / 8),
        type: u32(at + 4),
        access: btf.string(u32(at + 8)),
        kind: u32(at + 12),
      }),
    );
  return readable ? succeed(result) : bad('a table ends beyond the section');
}

/**
 * `struct bpf_line_info[]` as the kernel takes and returns it: 16 bytes each, `insn_off` counted in instructions.
 * A cut-off last record is left out.
 */
export function parseLineInfo(bytes: Uint8Array, littleEndian = true): LineInfo[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const lines: LineInfo[] = [];
  for (let at = 0; at + 16 <= bytes.length; at += 16) lines.push(lineInfo(view, at, littleEndian, 1));
  return lines;
}

function lineInfo(view: DataView, at: number, littleEndian: boolean, unit: number): LineInfo {
  const u32 = (offset: number) => view.getUint32(at + offset, littleEndian);
  const lineColumn = u32(12);
  return {
    insn: Math.floor(u32(0) / unit),
    fileOffset: u32(4),
    textOffset: u32(8),
    line: lineColumn >>> 10,
    column: lineColumn & 0x3ff,
  };
}

/** The entry that covers an instruction: an entry holds until the next one begins. `lines` ascend by `insn`. */
export function lineAt<T extends { insn: number }>(lines: readonly T[], insn: number): T | undefined {
  let low = 0;
  let high = lines.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((lines[middle] as T).insn <= insn) low = middle + 1;
    else high = middle;
  }
  return lines[low - 1];
}
