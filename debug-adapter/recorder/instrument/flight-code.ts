/** Code of the flight recorder: where a run begins and ends, and how its records are told from those of other runs. */
import type { AddressLoad } from './address-loads';
import { slotsOf } from '../../../toolchain/insn/insn';
import type { Insn } from '../../../toolchain/insn/insn';
import { Alu, Class, Jump, R10, SOURCE_REGISTER } from '../../../toolchain/insn/opcodes';
import { TRACE_HEADER, alu, ldx, stx } from './emit';
import type { RecordWriter, TraceLayout } from './emit';
import { RECORD_HEADER, freeAt } from './records';
import type { RegisterFacts, TraceRecord } from './records';
import {
  HELPER,
  RING,
  add64,
  call,
  copy,
  mapValue,
  number32,
  restore,
  save,
  set,
  slotOffset,
  store32,
  sum,
  take,
} from './ring';
import { PACKET, copyPacket } from './snapshot-code';
import type { PacketFields } from './snapshot-code';
import { bit } from '../../../toolchain/insn/effects';
import { registersIn } from './points';

/** Words that it uses below a subprogram's stack: two that any recording spills to, the position, the run's start. */
export const FLIGHT_SLOTS = 4;
const POSITION_SLOT = 2;
const START_SLOT = 3;

/** Every record: number, and the low half of R10, which tells runs on several CPUs apart. Then fields. */
export const FLIGHT = { ID: 8, FRAME: 12, FIELDS: 16 } as const;
/** The first record of a run. */
export const START = { FRAME: 16, CONTEXT: 24, TIME: 32, CPU: 40, PACKET: 48 } as const;
/** Enough for the headers of most packets; copying costs time on every run. */
export const START_PACKET_LENGTH = 64;
/** Its last: what it returned, and the first word of its first record. */
export const END = { RETURNED: 16, START: 24, SIZE: 32 } as const;
/** Numbers of these records; the others follow. */
export const START_ID = 1;
export const END_ID = 2;
export const FIRST_ID = 3;

/** What a run has to have returned, as a number of 32 bits; tried in the kernel. */
export interface ReturnCondition {
  operator: '==' | '!=' | '<' | '<=' | '>' | '>=';
  /** Comparisons with a negative number are signed. */
  value: number;
}

/** How records of the program's own points are begun. */
export function flightWriter(
  ring: TraceLayout,
  facts: RegisterFacts,
  depth: (insn: number) => number,
): RecordWriter {
  return {
    firstField: () => TRACE_HEADER + FLIGHT.FIELDS,
    reserve(record, spill) {
      const { address, scratch, spilled, id } = record;
      const first = record.points[0]!;
      const third = registersIn(freeAt(first, facts) & ~bit(address) & ~bit(scratch))[0];
      const slot = slotOffset(depth(first.insn), POSITION_SLOT);
      const size = sizeOf(record);
      const kept = third === undefined ? [save(scratch, slot)] : [copy(third, scratch)];
      return [
        ...spilled.map((register) => spill.save(register, register === address ? 0 : 1)),
        mapValue(address, ring.map),
        set(scratch, size),
        add64(address, RING.POSITION, scratch, true),
        ...kept,
        alu(Alu.AND, scratch, ring.capacity - 8),
        sum(address, scratch),
        ...(third === undefined ? [restore(scratch, slot)] : []),
        number32(address, TRACE_HEADER + FLIGHT.ID, id),
        store32(address, TRACE_HEADER + FLIGHT.FRAME, R10),
        // Behind what it stands for: whoever finds it finds the record's number too. Fields are there when the run ends.
        stx(address, third ?? scratch, TRACE_HEADER),
        ...spilled.filter((register) => register === scratch).map((register) => spill.restore(register, 1)),
      ];
    },
  };
}

/** Bytes of a record in the ring. */
export function sizeOf({ size }: Pick<TraceRecord, 'size'>): number {
  return size - RECORD_HEADER + FLIGHT.FIELDS;
}

/** Writes the addresses once, to the header; an address is never 0. */
function tellAddresses({ map }: TraceLayout, loads: readonly AddressLoad[]): Insn[] {
  if (loads.length === 0) return [];
  const stores = loads.flatMap(({ insn }, index) => [
    { ...insn, dst: 2 },
    stx(1, 2, RING.ADDRESSES + 8 * index),
  ]);
  const length = stores.reduce((sum, insn) => sum + slotsOf(insn), 0);
  return [
    mapValue(1, map),
    ldx(2, 1, RING.ADDRESSES, 8),
    { code: Class.JMP | Jump.JNE, dst: 2, src: 0, off: length, imm: 0, high: 0 },
    // The first is what tells that all are there.
    ...stores.slice(2),
    ...stores.slice(0, 2),
  ];
}

/** At the program's entry, where R6 to R9 hold nothing. */
export function startCode(
  ring: TraceLayout,
  depth: number,
  packet: PacketFields | undefined,
  addresses: readonly AddressLoad[],
): Insn[] {
  const size = packet ? START.PACKET + PACKET.BYTES + START_PACKET_LENGTH : START.PACKET;
  const [context, time, position, address] = [6, 7, 8, 9] as const;
  const keep = (register: number, offset: number) => stx(address, register, TRACE_HEADER + offset);
  return [
    copy(context, 1),
    ...tellAddresses(ring, addresses),
    call(HELPER.KTIME_GET_NS),
    copy(time, 0),
    call(HELPER.GET_SMP_PROCESSOR_ID),
    ...take(ring, size, address, 1, position),
    save(position, slotOffset(depth, START_SLOT)),
    number32(address, TRACE_HEADER + FLIGHT.ID, START_ID),
    store32(address, TRACE_HEADER + FLIGHT.FRAME, R10),
    keep(position, 0),
    keep(R10, START.FRAME),
    keep(context, START.CONTEXT),
    keep(time, START.TIME),
    keep(0, START.CPU),
    ...(packet ? copyPacket(packet, START.PACKET, START_PACKET_LENGTH, { address, position, context }) : []),
    copy(1, context),
  ];
}

/**
 * Which runs are told to whoever looks for one: none, all, or those that returned something. Every word that is counted
 * up by all CPUs costs time, so that there is but one for each run.
 */
export type Told = 'none' | 'all' | ReturnCondition;

/** Before the program's `exit`, where all registers but R0 are at nobody's service any more. */
export function endCode(ring: TraceLayout, depth: number, told: Told): Insn[] {
  const keep = (register: number, offset: number) => stx(1, register, TRACE_HEADER + offset);
  const count = (offset: number, fetch: boolean) => [
    mapValue(1, ring.map),
    set(2, 1),
    add64(1, offset, 2, fetch),
  ];
  const matched = [
    ...count(RING.MATCHES, true),
    alu(Alu.AND, 2, RING.MATCHED_COUNT - 1),
    alu(Alu.LSH, 2, 3),
    sum(1, 2),
    stx(1, 3, RING.MATCHED),
  ];
  const length = matched.reduce((sum, insn) => sum + slotsOf(insn), 0);
  return [
    ...take(ring, END.SIZE, 1, 2, 3),
    number32(1, TRACE_HEADER + FLIGHT.ID, END_ID),
    store32(1, TRACE_HEADER + FLIGHT.FRAME, R10),
    keep(0, END.RETURNED),
    restore(2, slotOffset(depth, START_SLOT)),
    keep(2, END.START),
    // Last: with it the run is complete.
    keep(3, 0),
    ...(told === 'all' ? [] : count(RING.RUNS, false)),
    ...(typeof told === 'object' ? [unless(told, length)] : []),
    ...(told === 'none' ? [] : matched),
  ];
}

const OPPOSITE = {
  '==': Jump.JNE,
  '!=': Jump.JEQ,
  '<': Jump.JGE,
  '<=': Jump.JGT,
  '>': Jump.JLE,
  '>=': Jump.JLT,
};
const SIGNED_OPPOSITE = { ...OPPOSITE, '<': Jump.JSGE, '<=': Jump.JSGT, '>': Jump.JSLE, '>=': Jump.JSLT };

/** Skips so many instructions unless R0, of 32 bits, meets the condition. */
function unless({ operator, value }: ReturnCondition, length: number): Insn {
  const jump = (value < 0 ? SIGNED_OPPOSITE : OPPOSITE)[operator];
  return {
    code: (Class.JMP32 | jump) & ~SOURCE_REGISTER,
    dst: 0,
    src: 0,
    off: length,
    imm: value | 0,
    high: 0,
  };
}
