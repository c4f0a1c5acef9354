/** Code that takes a snapshot where a program comes by: registers, stack and packet, with the time and the CPU. */
import { bit } from '../../../toolchain/insn/effects';
import type { Insn } from '../../../toolchain/insn/insn';
import { Alu, Class, Jump, Mode, R10, SOURCE_REGISTER } from '../../../toolchain/insn/opcodes';
import { TRACE_HEADER, alu, ldx, stx } from './emit';
import type { TraceLayout } from './emit';
import type { FrameFacts } from './frame';
import type { Flow } from './flow';
import { registersIn } from './points';
import type { RegisterFacts } from './records';
import {
  HELPER,
  RING,
  add64,
  call,
  copy,
  goto,
  jumpBetween,
  lengthOf,
  mapValue,
  number32,
  restore,
  save,
  set,
  slotOffset,
  store32,
  take,
} from './ring';

/** How much of a moment is taken; what a kernel or a program does not allow is left out. */
export interface SnapshotDetail {
  /** All of the function's stack, which before 6.3 may be read only where it was written; or none of it. */
  stack: 'all' | 'written' | 'none';
  /** Time and CPU, which have to be asked for by calls of helpers. */
  stamped: boolean;
  packet: false | PacketCopy;
}

/**
 * How the packet's bytes are had: by bpf_probe_read_kernel, which is for programs under the GPL, or by
 * bpf_xdp_load_bytes (5.18) or bpf_skb_load_bytes, which are for all.
 */
export type PacketCopy = 'probe_read' | 'load_bytes';

/** Where a snapshot is taken. */
export interface SnapshotPoint {
  /** Number in the ring, from 1 on, and of its counter. */
  id: number;
  insn: number;
}

/** What is where in a snapshot's record; offsets in bytes from its beginning. */
export interface SnapshotLayout extends SnapshotPoint {
  size: number;
  stamped: boolean;
  registers: { register: number; offset: number }[];
  /** Words of the stack by their offset from R10. */
  stack: { from: number; offset: number }[];
  packet?: number;
}

/** Where each record has its number, and, if it is stamped, CPU and time. */
export const SNAPSHOT = { ID: 8, CPU: 12, TIME: 16, FIELDS: 24 } as const;
/** Of the packet: address, end, result of the copy (0 when it was made), and its first bytes. */
export const PACKET = { DATA: 0, END: 8, RESULT: 16, BYTES: 24 } as const;
export const PACKET_LENGTH = 128;

/** Where a context says where the packet is, how wide these fields are, and what copies from there. */
export interface PacketFields {
  data: number;
  end: number;
  size: 4 | 8;
  /** Helper that takes the context, an offset, a buffer and its size; absent: bpf_probe_read_kernel. */
  loadBytes?: number;
}

/**
 * `struct xdp_md`, `struct __sk_buff` and `struct sk_msg_md`; other contexts lead to no packet. Undefined, too, for a
 * type that has no helper to copy in that way.
 */
export function packetFields(programType: string, copy: PacketCopy = 'probe_read'): PacketFields | undefined {
  const copiedBy = (fields: PacketFields, loadBytes: number | undefined) => {
    if (copy === 'probe_read') return fields;
    return loadBytes === undefined ? undefined : { ...fields, loadBytes };
  };
  if (programType === 'xdp') return copiedBy({ data: 0, end: 4, size: 4 }, HELPER_XDP_LOAD_BYTES);
  if (programType === 'sk_msg') return copiedBy({ data: 0, end: 8, size: 8 }, undefined);
  const skb = ['sched_cls', 'sched_act', 'cgroup_skb', 'sk_skb', 'lwt_in', 'lwt_out', 'lwt_xmit', 'netkit'];
  return skb.includes(programType)
    ? copiedBy({ data: 76, end: 80, size: 4 }, HELPER_SKB_LOAD_BYTES)
    : undefined;
}
const HELPER_SKB_LOAD_BYTES = 26;
const HELPER_XDP_LOAD_BYTES = 189;

/** What is needed of the program around a point. */
export interface SnapshotPlace {
  flow: Flow;
  facts: RegisterFacts;
  frame: FrameFacts;
  /** Bytes of stack by subprogram. */
  depth(subprogram: number): number;
  /** Words below the subprogram's own stack that something else uses. */
  slotsTaken: number;
  /** Word in the main program's frame that keeps the context. */
  contextSlot?: number | undefined;
  packet?: PacketFields | undefined;
}

const CALL_CLOBBERS = 0x3f;
const NUMBERED = 0x3ff;

export interface SnapshotCode {
  code: Insn[];
  layout: SnapshotLayout;
  /** Words that it uses below the subprogram's own stack, those taken before included. */
  slots: number;
}

/** Undefined when no register can be had. */
export function snapshotCode(
  { id, insn }: SnapshotPoint,
  ring: TraceLayout,
  place: SnapshotPlace,
  detail: SnapshotDetail,
): SnapshotCode | undefined {
  const { flow, facts, frame } = place;
  const subprogram = flow.subprogramOf(insn).index;
  const depth = place.depth(subprogram);
  const live = facts.liveness.before(insn) & facts.may.before(insn) & NUMBERED;
  const must = facts.must.before(insn) & NUMBERED;
  // R0 behind a call counts as holding nothing, unless somebody reads it.
  const recorded = must | (live & bit(0));
  const [address, scratch, position] = chooseRegisters(detail.stamped, recorded, live);
  if (address === undefined || scratch === undefined || position === undefined) return undefined;
  const clobbered = detail.stamped ? CALL_CLOBBERS : bit(address) | bit(scratch) | bit(position);
  const saved = registersIn(clobbered & recorded);
  let slots = place.slotsTaken;
  const slot = () => slotOffset(depth, slots++);
  const kept = new Map(saved.map((register) => [register, slot()]));

  const layout: SnapshotLayout = {
    id,
    insn,
    size: SNAPSHOT.FIELDS,
    stamped: detail.stamped,
    registers: [],
    stack: [],
  };
  const field = (bytes: number) => (layout.size += bytes) - bytes;
  const code: Insn[] = saved.map((register) => save(register, kept.get(register)!));
  const time = detail.stamped ? slot() : 0;
  if (detail.stamped) code.push(call(HELPER.KTIME_GET_NS), save(0, time), call(HELPER.GET_SMP_PROCESSOR_ID));

  const fields: Insn[] = [];
  const keep = (register: number, offset: number) =>
    fields.push(stx(address, register, TRACE_HEADER + offset));
  if (detail.stamped) {
    fields.push(store32(address, TRACE_HEADER + SNAPSHOT.CPU, 0), restore(scratch, time));
    keep(scratch, SNAPSHOT.TIME);
  }
  for (const register of [...registersIn(recorded), R10]) {
    const offset = field(8);
    layout.registers.push({ register, offset });
    const from = kept.get(register);
    if (from !== undefined) fields.push(restore(scratch, from));
    keep(from === undefined ? register : scratch, offset);
  }
  for (const from of stackWords(insn, depth, frame, detail)) {
    const offset = field(8);
    layout.stack.push({ from, offset });
    fields.push(ldx(scratch, R10, from, 8));
    keep(scratch, offset);
  }
  // Copying it takes a call.
  const hasPacket =
    detail.stamped && detail.packet && subprogram === 0 && place.packet && place.contextSlot !== undefined;
  if (hasPacket) {
    layout.packet = field(PACKET.BYTES + PACKET_LENGTH);
    const context = slotOffset(depth, place.contextSlot!);
    const slotsFor = { address: slot(), position: slot() };
    fields.push(
      restore(4, context),
      ...copyPacket(place.packet!, layout.packet, PACKET_LENGTH, { address, position, context: 4 }, slotsFor),
    );
  }
  code.push(
    // Counted first: what is counted and not found in the ring was overwritten.
    mapValue(address, ring.map),
    set(scratch, 1),
    add64(address, RING.HITS + 8 * id, scratch, false),
    ...take(ring, layout.size, address, scratch, position),
    number32(address, TRACE_HEADER + SNAPSHOT.ID, id),
    ...fields,
    stx(address, position, TRACE_HEADER),
    ...saved
      .filter((register) => live & bit(register))
      .map((register) => restore(register, kept.get(register)!)),
  );
  return { code, layout, slots };
}

/**
 * Address of the record, a scratch register, and what its first word is to be. R1 to R3 where calls are made, after
 * which R0 is the CPU; otherwise those that cost least.
 */
function chooseRegisters(stamped: boolean, recorded: number, live: number): number[] {
  if (stamped) return [1, 2, 3];
  const free = registersIn(NUMBERED & ~recorded & ~live);
  const others = registersIn(recorded);
  return [...free, ...others].slice(0, 3);
}

function stackWords(insn: number, depth: number, frame: FrameFacts, { stack }: SnapshotDetail): number[] {
  if (stack === 'none') return [];
  const words = Array.from({ length: Math.ceil(depth / 8) }, (_, index) => -8 * (index + 1));
  if (stack === 'all') return words;
  const written = new Set(frame.wordsWritten(insn));
  return words.filter((word) => written.has(word));
}

/** Registers that hold a record's address and word and the program's context. */
interface PacketRegisters {
  address: number;
  position: number;
  context: number;
}

/** To R3 and R5: where the packet begins and ends. */
function packetBounds({ data, end, size }: PacketFields, context: number): Insn[] {
  const load = (to: number, off: number): Insn =>
    size === 8
      ? ldx(to, context, off, 8)
      : { code: Class.LDX | Mode.MEM, dst: to, src: context, off, imm: 0, high: 0 };
  return [load(3, data), load(5, end)];
}

/**
 * Copies the packet's first `length` bytes to a record's field at `offset`: more than there are when it is shorter, which its
 * end tells. `slots`: words of the stack that keep the two registers meanwhile, for calls lose them.
 */
export function copyPacket(
  packet: PacketFields,
  offset: number,
  length: number,
  { address, position, context }: PacketRegisters,
  slots?: { address: number; position: number },
): Insn[] {
  const at = TRACE_HEADER + offset;
  const { loadBytes } = packet;
  const buffer = (register: number) => [
    ...(address === register ? [] : [copy(register, address)]),
    alu(Alu.ADD, register, at + PACKET.BYTES),
  ];
  return [
    ...(slots ? [save(address, slots.address), save(position, slots.position)] : []),
    ...packetBounds(packet, context),
    stx(address, 3, at + PACKET.DATA),
    stx(address, 5, at + PACKET.END),
    ...(loadBytes === undefined
      ? [...buffer(1), set(2, length), call(HELPER.PROBE_READ_KERNEL)]
      : [
          difference(5, 3),
          ...buffer(3),
          copy(1, context),
          set(2, 0),
          // It copies all or nothing, and not nothing: of an empty packet a byte is asked for, which it refuses.
          copy(4, 5),
          skipOneIf(Jump.JLE, 4, length),
          set(4, length),
          skipOneIf(Jump.JGE, 4, 1),
          set(4, 1),
          call(loadBytes),
        ]),
    ...(slots ? [restore(address, slots.address), restore(position, slots.position)] : []),
    stx(address, 0, at + PACKET.RESULT),
  ];
}

/**
 * The same, by loads of the packet where it is long enough, which takes a third of the time of a call. R0, R2, R3 and
 * R5 have to be free, and the three registers have to outlive a call.
 */
export function copyPacketInline(
  packet: PacketFields,
  offset: number,
  length: number,
  registers: PacketRegisters,
): Insn[] {
  const { address, context } = registers;
  const at = TRACE_HEADER + offset;
  const words = Array.from({ length: length / 8 }, (_, index) => 8 * index);
  const call = copyPacket(packet, offset, length, registers);
  const inline = [
    stx(address, 3, at + PACKET.DATA),
    stx(address, 5, at + PACKET.END),
    ...words.flatMap((from) => [ldx(0, 3, from, 8), stx(address, 0, at + PACKET.BYTES + from)]),
    set(0, 0),
    stx(address, 0, at + PACKET.RESULT),
    goto(lengthOf(call)),
  ];
  return [
    ...packetBounds(packet, context),
    copy(2, 3),
    alu(Alu.ADD, 2, length),
    jumpBetween('>', 2, 5, lengthOf(inline)),
    ...inline,
    ...call,
  ];
}

function difference(to: number, from: number): Insn {
  return { code: Class.ALU64 | Alu.SUB | SOURCE_REGISTER, dst: to, src: from, off: 0, imm: 0, high: 0 };
}

function skipOneIf(jump: number, register: number, imm: number): Insn {
  return { code: Class.JMP | jump, dst: register, src: 0, off: 1, imm, high: 0 };
}
