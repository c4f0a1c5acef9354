/** Hexdump rows of 16 bytes, as the Debug Console shows packets and undecoded records. */

export const BYTES_PER_ROW = 16;

/** `0010  45 00 00 54 00 00 40 00  40 01 26 a7 0a 00 00 01  E..T..@.@.&.....` */
export function hexdump(bytes: Uint8Array, limit = 512): string[] {
  const shown = bytes.subarray(0, limit);
  const rows: string[] = [];
  for (let offset = 0; offset < shown.length; offset += BYTES_PER_ROW) {
    const row = shown.subarray(offset, offset + BYTES_PER_ROW);
    rows.push(`${formatOffset(offset)}  ${hexColumns(row).padEnd(48)}  ${printable(row)}`);
  }
  if (bytes.length > limit) rows.push(`… ${bytes.length - limit} more bytes`);
  return rows;
}

export function formatOffset(offset: number): string {
  return offset.toString(16).padStart(4, '0');
}

/** Two digits a byte, one space between bytes, one more in the middle of a row; `undefined` leaves a hole. */
export function hexColumns(row: Iterable<number | undefined>): string {
  return Array.from(
    row,
    (byte, i) => (i === 8 ? ' ' : '') + (byte === undefined ? '  ' : hexByte(byte)),
  ).join(' ');
}

export function hexByte(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}

/** `0a00ff`: bytes as hex text without separators. */
export function hexText(bytes: Uint8Array): string {
  return Array.from(bytes, hexByte).join('');
}

function printable(row: Uint8Array): string {
  return Array.from(row, (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('');
}
