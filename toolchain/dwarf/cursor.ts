/**
 * Reads a section from a position on. Reading past the end gives zeros and sets {@link Cursor.failed}: who reads a
 * structure looks at that once, at its end.
 */
export class Cursor {
  failed = false;

  constructor(
    readonly view: DataView,
    readonly littleEndian: boolean,
    public at: number,
    readonly end = view.byteLength,
  ) {}

  /** Whether anything is left to be read. */
  get more(): boolean {
    return !this.failed && this.at < this.end;
  }

  u8(): number {
    return this.has(1) ? this.view.getUint8(this.at++) : 0;
  }

  u16(): number {
    if (!this.has(2)) return 0;
    this.at += 2;
    return this.view.getUint16(this.at - 2, this.littleEndian);
  }

  u24(): number {
    const [a, b, c] = [this.u8(), this.u8(), this.u8()];
    return this.littleEndian ? a | (b << 8) | (c << 16) : (a << 16) | (b << 8) | c;
  }

  u32(): number {
    if (!this.has(4)) return 0;
    this.at += 4;
    return this.view.getUint32(this.at - 4, this.littleEndian);
  }

  u64(): bigint {
    if (!this.has(8)) return 0n;
    this.at += 8;
    return this.view.getBigUint64(this.at - 8, this.littleEndian);
  }

  /** An unsigned integer of 1, 2, 4 or 8 bytes; 0 for other sizes, which are a failure. */
  unsigned(size: number): bigint {
    if (size === 8) return this.u64();
    if (size === 1) return BigInt(this.u8());
    if (size === 2) return BigInt(this.u16());
    if (size === 4) return BigInt(this.u32());
    this.failed = true;
    return 0n;
  }

  /** LEB128 whose value is known to be small; larger ones lose their upper bits' exactness, not their length. */
  uleb(): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80 || this.failed) return value;
      scale *= 128;
    }
  }

  sleb(): number {
    return Number(this.sleb64());
  }

  uleb64(): bigint {
    return BigInt.asUintN(64, this.leb().value);
  }

  sleb64(): bigint {
    const { value, bits } = this.leb();
    return BigInt.asIntN(64, bits < 64 ? BigInt.asIntN(bits, value) : value);
  }

  bytes(length: number): Uint8Array {
    if (!this.has(length)) return new Uint8Array();
    this.at += length;
    return new Uint8Array(this.view.buffer, this.view.byteOffset + this.at - length, length);
  }

  skip(length: number) {
    if (this.has(length)) this.at += length;
  }

  skipLeb() {
    while (this.u8() >= 0x80 && !this.failed);
  }

  private leb(): { value: bigint; bits: number } {
    let value = 0n;
    let bits = 0;
    for (;;) {
      const byte = this.u8();
      // Ten bytes hold 64 bits; what a damaged file puts after them is read and dropped.
      if (bits < 70) value |= BigInt(byte & 0x7f) << BigInt(bits);
      bits += 7;
      if (byte < 0x80 || this.failed) return { value, bits: Math.min(bits, 70) };
    }
  }

  private has(length: number): boolean {
    if (!(length >= 0) || this.at + length > this.end) this.failed = true;
    return !this.failed;
  }
}
