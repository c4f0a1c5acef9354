/** A cursor over packet bytes that collects fields; every read is bounds-checked by the caller through `has`. */
import { viewOf } from './bytes';

export interface DissectedField {
  /** Stable name, e.g. `ttl`; the same as in a layers description where that has the field. */
  name: string;
  /** From the packet's first byte. */
  offset: number;
  /** In bytes; a bit field has the bytes that it lies in. */
  length: number;
  /** The value for programs: numbers for numbers, text for addresses. */
  value: number | string;
  /** The value for people: `0x0800 (ipv4)`, `SYN ACK`. */
  text: string;
  /** Checksums only, when all bytes that they cover are at hand. */
  checksum?: { correct: boolean; expected: number };
}

export interface DissectedLayer {
  /** Type names of a layers description, and `malformed` for bytes that a header should be in but is not. */
  type: string;
  /** One line: `IPv4 10.0.0.1 → 10.0.0.2`. */
  title: string;
  offset: number;
  /** Of the layer's own header, or of the payload. */
  length: number;
  fields: DissectedField[];
}

export class FieldReader {
  readonly fields: DissectedField[] = [];
  private readonly view: DataView;

  constructor(
    readonly bytes: Uint8Array,
    readonly start: number,
    /** End of the enclosing layer's payload: padding behind it belongs to no inner layer. */
    readonly end: number,
  ) {
    this.view = viewOf(bytes);
  }

  has(length: number): boolean {
    return this.start + length <= this.end;
  }

  /** A big-endian number of 1, 2 or 4 bytes at `at` from the layer's start. */
  peek(at: number, size: 1 | 2 | 4): number {
    const offset = this.start + at;
    if (size === 1) return this.view.getUint8(offset);
    return size === 2 ? this.view.getUint16(offset) : this.view.getUint32(offset);
  }

  number(name: string, at: number, size: 1 | 2 | 4, text: (value: number) => string = String): number {
    const value = this.peek(at, size);
    this.add(name, at, size, value, text(value));
    return value;
  }

  slice(at: number, length: number): Uint8Array {
    return this.bytes.subarray(this.start + at, this.start + at + length);
  }

  address(name: string, at: number, length: number, format: (bytes: Uint8Array) => string): string {
    const text = format(this.slice(at, length));
    this.add(name, at, length, text, text);
    return text;
  }

  add(name: string, at: number, length: number, value: number | string, text = String(value)): void {
    this.fields.push({ name, offset: this.start + at, length, value, text });
  }

  /** A checksum field with its verdict; `expected` is undefined when the bytes it covers are not all there. */
  checksum(at: number, expected: number | undefined): void {
    const value = this.peek(at, 2);
    const correct = value === expected;
    const verdict =
      expected === undefined
        ? ' (not checked: bytes it covers are missing)'
        : correct
          ? ' (correct)'
          : ` (wrong, should be ${hex16(expected)})`;
    this.fields.push({
      name: 'checksum',
      offset: this.start + at,
      length: 2,
      value,
      text: hex16(value) + verdict,
      ...(expected === undefined ? {} : { checksum: { correct, expected } }),
    });
  }

  layer(type: string, title: string, length: number): DissectedLayer {
    return { type, title, offset: this.start, length, fields: this.fields };
  }
}

export function hex16(value: number): string {
  return `0x${value.toString(16).padStart(4, '0')}`;
}
