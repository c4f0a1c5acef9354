/**
 * What the kernel faulted on, so that it is not given the same again by somebody who only waits for verdicts: an editor
 * asks with every pause in typing, and each oops costs the kernel a thread, and whatever that thread had locked.
 */
import { createHash } from 'node:crypto';
import os from 'node:os';

export class Faults {
  private readonly keys: Set<string>;

  /** `tell` gets what is added to the keys in `known`; this process may be stuck or ended soon after. */
  constructor(
    known: readonly string[],
    private readonly tell: (key: string) => void,
  ) {
    this.keys = new Set(known);
  }

  has(object: Uint8Array, program: string): boolean {
    return this.keys.size > 0 && this.keys.has(keyOf(object, program));
  }

  add(object: Uint8Array, program: string): void {
    const key = keyOf(object, program);
    if (this.keys.has(key)) return;
    this.keys.add(key);
    this.tell(key);
  }
}

/** The verdict's words on a program that is not loaded, because the kernel faulted on it before. */
export function notAskedAgain(program: string): string {
  return `Linux ${os.release()} was not asked again: at the load of program ${program} it had ended the thread that asked, as a kernel does when its own code faults (an oops)`;
}

/** ELF64's section header table and the fields of its entries, little-endian; see elf(5). */
const SHOFF = 40;
const SHENTSIZE = 58;
const SHNUM = 60;
const SHF_ALLOC = 2n;
const SYMTAB = 2;
const STRTAB = 3;
const REL = 9;

/** A program of an object, by what is loaded of the object: the same after an edit of a comment. */
function keyOf(object: Uint8Array, program: string): string {
  const hash = createHash('sha256').update(program);
  for (const part of loadedParts(object)) hash.update(`${part.length},`).update(part);
  return hash.digest('hex');
}

/**
 * Sections with code and data, their relocations, and symbols; not DWARF and BTF, which hold the source's lines. All of
 * it when it is not laid out as clang does.
 */
function loadedParts(object: Uint8Array): Uint8Array[] {
  const bytes = Buffer.from(object.buffer, object.byteOffset, object.byteLength);
  try {
    const table = Number(bytes.readBigUInt64LE(SHOFF));
    const size = bytes.readUInt16LE(SHENTSIZE);
    const sections = Array.from({ length: bytes.readUInt16LE(SHNUM) }, (_, index) => {
      const at = table + index * size;
      const offset = Number(bytes.readBigUInt64LE(at + 24));
      return {
        type: bytes.readUInt32LE(at + 4),
        isLoaded: (bytes.readBigUInt64LE(at + 8) & SHF_ALLOC) !== 0n,
        contents: bytes.subarray(offset, offset + Number(bytes.readBigUInt64LE(at + 32))),
        /** Of relocations: index of the section that they are for. */
        info: bytes.readUInt32LE(at + 44),
      };
    });
    return sections
      .filter(({ type, isLoaded, info }) => {
        return isLoaded || type === SYMTAB || type === STRTAB || (type === REL && sections[info]?.isLoaded);
      })
      .map(({ contents }) => contents);
  } catch (error) {
    if (error instanceof RangeError) return [bytes];
    throw error;
  }
}
