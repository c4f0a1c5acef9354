/**
 * Memory as far as a run has shown it: bytes by their address in the kernel, each known or not. Every change can be
 * taken back, in the reverse order, which is how a replay goes backward.
 */
const PAGE = 4096;

interface Page {
  bytes: Uint8Array;
  /** 1 for each byte whose content is known. */
  known: Uint8Array;
}

/** Bytes, and 1 for each that is known. */
export interface Shown {
  bytes: Uint8Array;
  known: Uint8Array;
}

/** Addresses are two 32-bit halves: 64-bit integers of JavaScript cost a hundred times as much. */
export class Memory {
  private readonly pages = new Map<number, Page>();
  private lastNumber = -1;
  private lastPage: Page | undefined;
  private readonly found = new Int32Array(2);
  /** What each change replaced: page, offset in it, and eight bytes with their knownness. */
  private undoPages: Page[] = [];
  private undoOffsets = new Uint16Array(1024);
  private undoBytes = new Uint8Array(1024 * 8);
  private undoKnown = new Uint8Array(1024 * 8);
  private undoSizes = new Uint8Array(1024);

  /** Number of changes so far; what {@link undoTo} takes. */
  get changes(): number {
    return this.undoPages.length;
  }

  /** Up to 8 bytes, little endian, into `into` (low and high half); false unless all of them are known. */
  read(lo: number, hi: number, size: number, into: Int32Array): boolean {
    const offset = lo & (PAGE - 1);
    const page = this.find(lo, hi);
    if (!page || offset + size > PAGE) return page !== undefined && this.readSlowly(lo, hi, size, into);
    const { bytes, known } = page;
    for (let index = 0; index < size; index++) if (!known[offset + index]) return false;
    into[0] = partOf(bytes, offset, Math.min(size, 4));
    into[1] = size > 4 ? partOf(bytes, offset + 4, size - 4) : 0;
    return true;
  }

  /** Up to 8 bytes as an unsigned number; undefined unless all of them are known. */
  number(address: bigint, size: number): bigint | undefined {
    const [lo, hi] = halves(address);
    return this.read(lo, hi, size, this.found)
      ? joined(this.found[0] as number, this.found[1] as number)
      : undefined;
  }

  private readSlowly(lo: number, hi: number, size: number, into: Int32Array): boolean {
    let low = 0;
    let high = 0;
    for (let index = 0; index < size; index++) {
      const [byteLo, byteHi] = add(lo, hi, index);
      const page = this.find(byteLo, byteHi);
      const offset = byteLo & (PAGE - 1);
      if (!page?.known[offset]) return false;
      const byte = page.bytes[offset] as number;
      if (index < 4) low |= byte << (8 * index);
      else high |= byte << (8 * (index - 4));
    }
    into[0] = low;
    into[1] = high;
    return true;
  }

  /** Writes up to 8 bytes; with `known` false their content is forgotten instead. */
  write(lo: number, hi: number, size: number, valueLo: number, valueHi: number, known = true): void {
    const offset = lo & (PAGE - 1);
    if (offset + size > PAGE) {
      const first = PAGE - offset;
      this.write(lo, hi, first, valueLo, valueHi, known);
      const [restLo, restHi] = add(lo, hi, first);
      const [shiftedLo, shiftedHi] = shiftRight(valueLo, valueHi, first * 8);
      this.write(restLo, restHi, size - first, shiftedLo, shiftedHi, known);
      return;
    }
    const page = this.find(lo, hi) ?? this.create(lo, hi);
    this.remember(page, offset, size);
    for (let index = 0; index < size; index++) {
      page.bytes[offset + index] = index < 4 ? valueLo >>> (8 * index) : valueHi >>> (8 * (index - 4));
      page.known[offset + index] = known ? 1 : 0;
    }
  }

  /** Writes any number of bytes. */
  writeBytes(lo: number, hi: number, bytes: Uint8Array): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at < bytes.length; at += 8) {
      const size = Math.min(8, bytes.length - at);
      const [toLo, toHi] = add(lo, hi, at);
      let low = 0;
      let high = 0;
      if (size === 8) {
        low = view.getInt32(at, true);
        high = view.getInt32(at + 4, true);
      } else {
        for (let index = 0; index < size; index++) {
          const byte = bytes[at + index] as number;
          if (index < 4) low |= byte << (8 * index);
          else high |= byte << (8 * (index - 4));
        }
      }
      this.write(toLo, toHi, size, low, high);
    }
  }

  /** Forgets a range that something may have written, or that begins a new life as a stack frame. */
  forget(lo: number, hi: number, length: number): void {
    for (let at = 0; at < length; at += 8) {
      const [fromLo, fromHi] = add(lo, hi, at);
      this.write(fromLo, fromHi, Math.min(8, length - at), 0, 0, false);
    }
  }

  /** Bytes of a range, and which of them are known. */
  bytes(address: bigint, length: number): Shown {
    const bytes = new Uint8Array(length);
    const known = new Uint8Array(length);
    for (let at = 0; at < length;) {
      const [lo, hi] = halves(address + BigInt(at));
      const offset = lo & (PAGE - 1);
      const count = Math.min(PAGE - offset, length - at);
      const page = this.find(lo, hi);
      if (page) {
        bytes.set(page.bytes.subarray(offset, offset + count), at);
        known.set(page.known.subarray(offset, offset + count), at);
      }
      at += count;
    }
    return { bytes, known };
  }

  /** Writes what is known of a range, and forgets the rest of it. */
  writeShown(address: bigint, { bytes, known }: Shown): void {
    let [lo, hi] = halves(address);
    for (let at = 0; at < bytes.length; at++) {
      this.write(lo, hi, 1, bytes[at] as number, 0, known[at] === 1);
      [lo, hi] = add(lo, hi, 1);
    }
  }

  /** Takes back all changes but the first so many. */
  undoTo(changes: number): void {
    for (let index = this.undoPages.length - 1; index >= changes; index--) {
      const page = this.undoPages[index] as Page;
      const offset = this.undoOffsets[index] as number;
      const size = this.undoSizes[index] as number;
      for (let byte = 0; byte < size; byte++) {
        page.bytes[offset + byte] = this.undoBytes[index * 8 + byte] as number;
        page.known[offset + byte] = this.undoKnown[index * 8 + byte] as number;
      }
    }
    this.undoPages.length = Math.min(this.undoPages.length, changes);
  }

  private remember(page: Page, offset: number, size: number): void {
    const index = this.undoPages.length;
    if (index === this.undoOffsets.length) this.growUndo();
    this.undoPages.push(page);
    this.undoOffsets[index] = offset;
    this.undoSizes[index] = size;
    for (let byte = 0; byte < size; byte++) {
      this.undoBytes[index * 8 + byte] = page.bytes[offset + byte] as number;
      this.undoKnown[index * 8 + byte] = page.known[offset + byte] as number;
    }
  }

  private growUndo(): void {
    const size = this.undoOffsets.length * 2;
    const grown = <T extends Uint8Array | Uint16Array>(fresh: T, old: T): T => {
      fresh.set(old);
      return fresh;
    };
    this.undoOffsets = grown(new Uint16Array(size), this.undoOffsets);
    this.undoSizes = grown(new Uint8Array(size), this.undoSizes);
    this.undoBytes = grown(new Uint8Array(size * 8), this.undoBytes);
    this.undoKnown = grown(new Uint8Array(size * 8), this.undoKnown);
  }

  private find(lo: number, hi: number): Page | undefined {
    const number = pageNumber(lo, hi);
    if (number === this.lastNumber) return this.lastPage;
    const page = this.pages.get(number);
    if (page) {
      this.lastNumber = number;
      this.lastPage = page;
    }
    return page;
  }

  private create(lo: number, hi: number): Page {
    const page = { bytes: new Uint8Array(PAGE), known: new Uint8Array(PAGE) };
    this.pages.set(pageNumber(lo, hi), page);
    return page;
  }
}

/** Up to four bytes, little endian. */
function partOf(bytes: Uint8Array, offset: number, size: number): number {
  let value = 0;
  for (let index = size - 1; index >= 0; index--) value = (value << 8) | (bytes[offset + index] as number);
  return value;
}

/** Exact as a double: 52 bits. */
function pageNumber(lo: number, hi: number): number {
  return (hi >>> 0) * 0x100000 + (lo >>> 12);
}

/** Halves of a 64-bit number plus a small one. */
export function add(lo: number, hi: number, offset: number): [number, number] {
  return [(lo + offset) | 0, highOf(lo, hi, offset)];
}
/** The high half of such a sum. */
export function highOf(lo: number, hi: number, offset: number): number {
  const sum = (lo >>> 0) + offset;
  return sum < 0 ? hi - 1 : sum > 0xffff_ffff ? (hi + 1) | 0 : hi;
}

function shiftRight(lo: number, hi: number, bits: number): [number, number] {
  if (bits >= 32) return [hi >>> (bits - 32), 0];
  if (bits === 0) return [lo, hi];
  return [(lo >>> bits) | (hi << (32 - bits)), hi >>> bits];
}

export function halves(value: bigint): [number, number] {
  return [Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n))];
}
export function joined(lo: number, hi: number): bigint {
  return (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);
}
