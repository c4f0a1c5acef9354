/** A snapshot that a breakpoint in an attached program took: one hit, as much of it as was written to the ring. */
import { PACKET, PACKET_LENGTH, SNAPSHOT } from '../recorder/instrument/snapshot-code';
import type { SnapshotLayout } from '../recorder/instrument/snapshot-code';
import type { RingRecord } from './ring';

export interface TakenSnapshot {
  insn: number;
  /** Nanoseconds of the kernel's monotonic clock; absent, as the CPU, where no helper could be called. */
  time?: bigint;
  cpu?: number;
  registers: ReadonlyMap<number, bigint>;
  /** Words of the stack by address. */
  stack: ReadonlyMap<bigint, bigint>;
  packet?: { data: bigint; end: bigint; bytes: Uint8Array };
}

export function decodeSnapshot({ view, at }: RingRecord, layout: SnapshotLayout): TakenSnapshot {
  const word = (offset: number) => view.getBigUint64(at + offset, true);
  const registers = new Map(layout.registers.map(({ register, offset }) => [register, word(offset)]));
  const top = registers.get(10) ?? 0n;
  return {
    insn: layout.insn,
    ...(layout.stamped ? { time: word(SNAPSHOT.TIME), cpu: view.getUint32(at + SNAPSHOT.CPU, true) } : {}),
    registers,
    stack: new Map(layout.stack.map(({ from, offset }) => [top + BigInt(from), word(offset)])),
    ...(layout.packet === undefined ? {} : decodePacket(view, at + layout.packet, PACKET_LENGTH)),
  };
}

/** The packet's first bytes, if they could be copied: so many, or as many as there are. */
export function decodePacket(view: DataView, at: number, copied: number): Pick<TakenSnapshot, 'packet'> {
  const data = view.getBigUint64(at + PACKET.DATA, true);
  const end = view.getBigUint64(at + PACKET.END, true);
  if (view.getBigUint64(at + PACKET.RESULT, true) !== 0n || end < data) return {};
  const length = Math.min(copied, Number(end - data));
  const start = view.byteOffset + at + PACKET.BYTES;
  return { packet: { data, end, bytes: new Uint8Array(view.buffer.slice(start, start + length)) } };
}
