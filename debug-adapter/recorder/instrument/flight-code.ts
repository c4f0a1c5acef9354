/** Code of the flight recorder: what begins and ends the record of a run, and what each place of the program adds. */
import type { AddressLoad } from './address-loads';
import { bit } from '../../../toolchain/insn/effects';
import type { Insn } from '../../../toolchain/insn/insn';
import { Alu, R10 } from '../../../toolchain/insn/opcodes';
import { TRACE_HEADER, alu, ldx, stx } from './emit';
import type { RecordWriter, TraceLayout } from './emit';
import { timeCode } from './flight-clock';
import { FLIGHT, START, START_ID, START_PACKET_LENGTH, looseSize, placedHeader } from './flight-layout';
import type { FlightLayout } from './flight-layout';
import { keepCode, unless } from './kept-code';
import type { KeptLayout, Told } from './kept-code';
import { registersIn } from './points';
import { freeAt } from './records';
import type { RegisterFacts, TraceRecord } from './records';
import {
  HELPER,
  RING,
  add64,
  call,
  copy,
  jump,
  lengthOf,
  mapValue,
  number32,
  position,
  restore,
  save,
  set,
  slotOffset,
  store32,
  sum,
  take,
} from './ring';
import { copyPacketInline } from './snapshot-code';
import type { PacketFields } from './snapshot-code';

/**
 * Words below a subprogram's stack: two that any recording spills to; in the program's own frame the run's word and
 * where its block is; and one for a record outside of the block that finds only two registers.
 */
export const FLIGHT_SLOTS = 5;
const WORD_SLOT = 2;
const BLOCK_SLOT = 3;
const POSITION_SLOT = 4;

/** How records of the program's own points are begun: in the run's block, where they have a place in it. */
export function flightWriter(
  ring: TraceLayout,
  layout: FlightLayout,
  facts: RegisterFacts,
  depth: (insn: number) => number,
): RecordWriter {
  const offsets = new Map(layout.placed.map(({ record, offset }) => [record, offset]));
  return {
    firstField: (record) => {
      const offset = offsets.get(record);
      return TRACE_HEADER + (offset === undefined ? FLIGHT.FIELDS : offset + placedHeader(layout));
    },
    reserve(record, spill) {
      const { address, scratch, spilled } = record;
      const offset = offsets.get(record);
      const below = depth(record.points[0]!.insn);
      return [
        ...spilled.map((register) => spill.save(register, register === address ? 0 : 1)),
        ...(offset === undefined
          ? beginLoose(ring, record, facts, below)
          : beginPlaced(ring, record, layout, TRACE_HEADER + offset, below)),
        ...spilled.filter((register) => register === scratch).map((register) => spill.restore(register, 1)),
      ];
    },
  };
}

function beginPlaced(
  ring: TraceLayout,
  { address, scratch }: TraceRecord,
  { endPosition }: FlightLayout,
  offset: number,
  depth: number,
): Insn[] {
  const order = [...position(ring, scratch), stx(address, scratch, offset + 8)];
  return [
    restore(address, slotOffset(depth, BLOCK_SLOT)),
    // Says what of the run was recorded outside of the block before.
    ...(endPosition === undefined ? [] : order),
    restore(scratch, slotOffset(depth, WORD_SLOT)),
    stx(address, scratch, offset),
  ];
}

function beginLoose(ring: TraceLayout, record: TraceRecord, facts: RegisterFacts, depth: number): Insn[] {
  const { address, scratch, id } = record;
  const third = registersIn(freeAt(record.points[0]!, facts) & ~bit(address) & ~bit(scratch))[0];
  const slot = slotOffset(depth, POSITION_SLOT);
  return [
    mapValue(address, ring.map),
    set(scratch, looseSize(record)),
    add64(address, RING.POSITION, scratch, true),
    third === undefined ? save(scratch, slot) : copy(third, scratch),
    alu(Alu.AND, scratch, ring.capacity - 8),
    sum(address, scratch),
    ...(third === undefined ? [restore(scratch, slot)] : []),
    number32(address, TRACE_HEADER + FLIGHT.ID, id),
    store32(address, TRACE_HEADER + FLIGHT.FRAME, R10),
    // Behind what it stands for: whoever finds it finds the record's number too. Fields are there when the run ends.
    stx(address, third ?? scratch, TRACE_HEADER),
  ];
}

/** Writes the addresses once, to the header; an address is never 0. */
function tellAddresses({ map }: TraceLayout, loads: readonly AddressLoad[]): Insn[] {
  if (loads.length === 0) return [];
  const stores = loads.flatMap(({ insn }, index) => [
    { ...insn, dst: 2 },
    stx(1, 2, RING.ADDRESSES + 8 * index),
  ]);
  return [
    mapValue(1, map),
    ldx(2, 1, RING.ADDRESSES, 8),
    jump('!=', 2, 0, lengthOf(stores)),
    // The first is what tells that all are there.
    ...stores.slice(2),
    ...stores.slice(0, 2),
  ];
}

/** At the program's entry, where R6 to R9 hold nothing. */
export function startCode(
  ring: TraceLayout,
  layout: FlightLayout,
  depth: number,
  packet: PacketFields | undefined,
  addresses: readonly AddressLoad[],
): Insn[] {
  const [context, time, word, address] = [6, 7, 8, 9] as const;
  const keep = (register: number, offset: number) => stx(address, register, TRACE_HEADER + offset);
  const place = { address, position: word, context };
  return [
    copy(context, 1),
    ...tellAddresses(ring, addresses),
    ...timeCode(ring),
    copy(time, 0),
    call(HELPER.GET_SMP_PROCESSOR_ID),
    ...take(ring, layout.size, address, 1, word),
    save(word, slotOffset(depth, WORD_SLOT)),
    save(address, slotOffset(depth, BLOCK_SLOT)),
    number32(address, TRACE_HEADER + FLIGHT.ID, START_ID),
    store32(address, TRACE_HEADER + FLIGHT.FRAME, R10),
    keep(word, 0),
    keep(R10, START.FRAME),
    keep(context, START.CONTEXT),
    keep(time, START.TIME),
    keep(0, START.CPU),
    ...(packet && layout.packet !== undefined
      ? copyPacketInline(packet, layout.packet, START_PACKET_LENGTH, place)
      : []),
    copy(1, context),
  ];
}

/** Before the program's `exit`, where all registers but R0 are at nobody's service any more. */
export function endCode(
  ring: TraceLayout,
  layout: FlightLayout,
  depth: number,
  told: Told,
  kept: KeptLayout | undefined,
): Insn[] {
  const run = { block: 7, word: 8, end: 9 } as const;
  const keep = (register: number, offset: number) => stx(run.block, register, TRACE_HEADER + offset);
  const { endPosition } = layout;
  const matched = kept ? keepCode(ring, layout, kept, run) : [];
  return [
    restore(run.block, slotOffset(depth, BLOCK_SLOT)),
    restore(run.word, slotOffset(depth, WORD_SLOT)),
    keep(0, START.RETURNED),
    ...(endPosition === undefined ? [] : [...position(ring, run.end), keep(run.end, endPosition)]),
    // Last: with it the run is complete.
    keep(run.word, START.END),
    ...(layout.countsEnds ? [mapValue(1, ring.map), set(2, 1), add64(1, RING.RUNS, 2, false)] : []),
    ...(typeof told === 'object' ? [unless(told, lengthOf(matched))] : []),
    ...matched,
  ];
}
