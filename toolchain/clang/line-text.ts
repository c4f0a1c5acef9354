/**
 * Source lines in BTF. LLVM copies the text of each line that has code into `.BTF`, so that the verifier can print
 * it, and reads it from disk by the file's name. For a buffer that is not saved that is another text, so the lines
 * are written anew from the buffer.
 */

const SECTION_HEADER = { name: 0, offset: 24, size: 32 } as const;
const LINE_RECORD = { file: 4, text: 8, lineAndColumn: 12 } as const;

interface Section {
  /** Offset of the section's header in the file. */
  header: number;
  offset: number;
  size: number;
}

/**
 * The object with the lines of `path` as they are in `text`. An object that has no BTF, or is not understood, is
 * returned as it is.
 */
export function withLinesOf(
  object: Uint8Array<ArrayBuffer>,
  path: string,
  text: string,
): Uint8Array<ArrayBuffer> {
  const view = new DataView(object.buffer, object.byteOffset, object.byteLength);
  const sections = findSections(object, view);
  const btf = sections.get('.BTF');
  const ext = sections.get('.BTF.ext');
  if (!btf || !ext) return object;
  const headerSize = view.getUint32(btf.offset + 4, true);
  const strings = btf.offset + headerSize + view.getUint32(btf.offset + 16, true);
  const stringsSize = view.getUint32(btf.offset + 20, true);
  // The strings are the last part of what LLVM writes; more can be put behind them.
  if (strings + stringsSize !== btf.offset + btf.size) return object;

  const patched = object.slice();
  const patchedView = new DataView(patched.buffer);
  const lines = text.split('\n');
  const added: Uint8Array[] = [];
  const offsets = new Map<string, number>();
  let end = stringsSize;
  for (const record of lineRecords(view, ext)) {
    if (stringAt(object, strings + view.getUint32(record + LINE_RECORD.file, true)) !== path) continue;
    const line = view.getUint32(record + LINE_RECORD.lineAndColumn, true) >>> 10;
    const content = (lines[line - 1] ?? '').replace(/\r$/, '');
    let offset = offsets.get(content);
    if (offset === undefined) {
      offset = content === '' ? 0 : end;
      offsets.set(content, offset);
      if (content !== '') {
        const bytes = Buffer.from(`${content}\0`, 'utf8');
        added.push(bytes);
        end += bytes.length;
      }
    }
    patchedView.setUint32(record + LINE_RECORD.text, offset, true);
  }
  if (added.length === 0) return patched;
  return withLargerBtf(patched, btf, Buffer.concat(added), end);
}

/** The file with the larger `.BTF` at its end; the old one stays where it was, without a name. */
function withLargerBtf(
  object: Uint8Array<ArrayBuffer>,
  btf: Section,
  added: Uint8Array,
  stringsSize: number,
): Uint8Array<ArrayBuffer> {
  const start = (object.length + 7) & ~7;
  const result = new Uint8Array(start + btf.size + added.length);
  result.set(object);
  result.set(object.subarray(btf.offset, btf.offset + btf.size), start);
  result.set(added, start + btf.size);
  const view = new DataView(result.buffer);
  view.setUint32(start + 20, stringsSize, true);
  view.setBigUint64(btf.header + SECTION_HEADER.offset, BigInt(start), true);
  view.setBigUint64(btf.header + SECTION_HEADER.size, BigInt(btf.size + added.length), true);
  return result;
}

/** Offsets in the file of every `struct bpf_line_info`. */
function* lineRecords(view: DataView, ext: Section): Generator<number> {
  const base = ext.offset + view.getUint32(ext.offset + 4, true);
  const start = base + view.getUint32(ext.offset + 16, true);
  const end = start + view.getUint32(ext.offset + 20, true);
  if (end > ext.offset + ext.size || start === end) return;
  const recordSize = view.getUint32(start, true);
  for (let at = start + 4; at + 8 <= end;) {
    const count = view.getUint32(at + 4, true);
    at += 8;
    for (let index = 0; index < count && at + recordSize <= end; index++, at += recordSize) yield at;
  }
}

/** Sections of a little-endian 64-bit ELF file by name; empty for any other. */
function findSections(object: Uint8Array, view: DataView): Map<string, Section> {
  const found = new Map<string, Section>();
  if (object.length < 64 || view.getUint32(0, true) !== 0x464c457f || object[4] !== 2 || object[5] !== 1)
    return found;
  const table = Number(view.getBigUint64(40, true));
  const entrySize = view.getUint16(58, true);
  const count = view.getUint16(60, true);
  if (table + count * entrySize > object.length) return found;
  const sectionAt = (index: number): Section => {
    const header = table + index * entrySize;
    const offset = Number(view.getBigUint64(header + SECTION_HEADER.offset, true));
    return { header, offset, size: Number(view.getBigUint64(header + SECTION_HEADER.size, true)) };
  };
  const names = sectionAt(view.getUint16(62, true));
  for (let index = 1; index < count; index++) {
    const section = sectionAt(index);
    if (section.offset + section.size > object.length) continue;
    found.set(stringAt(object, names.offset + view.getUint32(section.header, true)), section);
  }
  return found;
}

function stringAt(bytes: Uint8Array, offset: number): string {
  const end = bytes.indexOf(0, offset);
  return Buffer.from(bytes.subarray(offset, end < 0 ? bytes.length : end)).toString('utf8');
}
