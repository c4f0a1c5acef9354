/** Follows a path's instructions forward, keeping what each register and stack slot holds. */
import type { Step } from '../path';
import { negated, turned } from './flow';
import type { Comparison, Flow, FlowValue, Frame, Slot, ValueKind } from './flow';
import { decode } from './instruction';
import type { Instruction, Operand } from './instruction';

/** Steps that are followed at most, from the end: a value older than that is none the reader remembers. */
const MAX_FOLLOWED = 60_000;
const MAX_HOLDERS = 6;

/** Helpers that write into memory they are given: which argument points to it, and which has the size, from 1. */
const writers: Record<string, { to: number; size: number }> = {
  bpf_probe_read: { to: 1, size: 2 },
  bpf_probe_read_kernel: { to: 1, size: 2 },
  bpf_probe_read_user: { to: 1, size: 2 },
  bpf_probe_read_str: { to: 1, size: 2 },
  bpf_probe_read_kernel_str: { to: 1, size: 2 },
  bpf_probe_read_user_str: { to: 1, size: 2 },
  bpf_copy_from_user: { to: 1, size: 2 },
  bpf_copy_from_user_task: { to: 1, size: 2 },
  bpf_get_current_comm: { to: 1, size: 2 },
  bpf_dynptr_read: { to: 1, size: 2 },
  bpf_skb_load_bytes: { to: 3, size: 4 },
  bpf_skb_load_bytes_relative: { to: 3, size: 4 },
  bpf_xdp_load_bytes: { to: 3, size: 4 },
  bpf_map_pop_elem: { to: 2, size: 0 },
  bpf_map_peek_elem: { to: 2, size: 0 },
  bpf_strtol: { to: 4, size: 0 },
  bpf_strtoul: { to: 4, size: 0 },
  bpf_read_branch_records: { to: 2, size: 3 },
  bpf_perf_event_read_value: { to: 3, size: 4 },
  bpf_get_func_arg: { to: 3, size: 0 },
  bpf_get_func_ret: { to: 2, size: 0 },
};

/** Helpers that only read the memory they are given. */
const ONLY_READS =
  /^bpf_(map_(lookup|update|delete)_(percpu_)?elem|map_push_elem|ringbuf_output|perf_event_output|skb_output|xdp_output|trace_v?printk|csum_diff|skb_store_bytes|xdp_store_bytes|skc?_lookup_\w+|seq_printf|seq_write|strncmp|tail_call|skb_set_tunnel_\w+|setsockopt|dynptr_write)$/;

/**
 * @param before Position of the refused step, or the path's length.
 * @param parameters How many registers from R1 on hold arguments when the path begins.
 */
export function followValues(steps: readonly Step[], before: number, parameters: number): Flow {
  return new Follower(steps, before, parameters).run();
}

class Follower {
  private readonly decoded = new Map<number, Instruction>();
  private readonly comparisons: Comparison[] = [];
  private readonly calls: Flow['calls'] = [];
  private readonly frames: Frame[] = [];

  constructor(
    private readonly steps: readonly Step[],
    private readonly before: number,
    private readonly parameters: number,
  ) {}

  run(): Flow {
    const start = Math.max(0, this.before - MAX_FOLLOWED);
    // A program begins at 0, a function that is verified on its own anywhere; a longer path has lost its beginning.
    const isFunction = this.parameters > 1 && this.steps.length < MAX_FOLLOWED;
    const isBeginning = start === 0 && (this.steps[0]?.insn === 0 || isFunction);
    this.enter(start - 1, (register) =>
      isBeginning && register >= 1 && register <= this.parameters
        ? 'argument'
        : isBeginning && register !== 10
          ? 'unset'
          : 'unknown',
    );
    for (let index = start; index < this.before; index++) this.follow(index);
    const { frame } = this;
    return {
      registers: frame.registers,
      frame,
      comparisons: this.comparisons,
      calls: this.calls,
      entered: this.frames.slice(1).map(({ entered }) => entered),
      instruction: (index) => this.instruction(index),
    };
  }

  private get frame(): Frame {
    return this.frames.at(-1) as Frame;
  }

  private instruction(index: number): Instruction {
    const step = this.steps[index];
    if (!step) return { kind: 'other', to: undefined };
    let found = this.decoded.get(step.insn);
    if (!found) {
      found = decode(step.text, step.insn);
      this.decoded.set(step.insn, found);
    }
    return found;
  }

  private enter(index: number, kind: (register: number) => ValueKind) {
    const frame: Frame = { registers: [], slots: new Map(), entered: index };
    for (let register = 0; register <= 10; register++) {
      frame.registers.push({ kind: kind(register), index: -1, register, holders: [] });
    }
    frame.registers[10] = { kind: 'frame', index, register: 10, slot: { frame, offset: 0 }, holders: [] };
    this.frames.push(frame);
  }

  private follow(index: number) {
    const step = this.steps[index] as Step;
    const next = this.steps[index + 1];
    const instruction = this.instruction(index);
    this.apply(index, instruction);
    if (instruction.kind === 'branch') this.compare(index, instruction, next);
    else if (instruction.kind === 'exit') this.leave(index);
    else if (instruction.kind === 'call') {
      // A function that is followed goes on in a frame of its own, with the caller's arguments.
      const isFollowed = next !== undefined && next.insn !== step.insn + 1;
      if (isFollowed) this.enterFunction(index, instruction.name === undefined);
      else this.returned(index, instruction.name);
    }
  }

  private enterFunction(index: number, isLocal: boolean) {
    const caller = this.frame;
    this.enter(index, (register) => (isLocal && (register === 0 || register > 5) ? 'unset' : 'unknown'));
    if (!isLocal) return;
    for (let register = 1; register <= 5; register++) {
      this.frame.registers[register] = caller.registers[register] as FlowValue;
    }
  }

  private leave(index: number) {
    if (this.frames.length < 2) return;
    const result = this.frame.registers[0] as FlowValue;
    this.frames.pop();
    this.returned(index, undefined);
    this.put(index, 0, result);
  }

  /** A call leaves its result in R0 and nothing in R1 to R5. */
  private returned(index: number, callee: string | undefined) {
    const { registers } = this.frame;
    this.calls.push({ index, name: callee, arguments: registers.slice(1, 6) });
    if (callee !== undefined) this.writeThrough(index, callee);
    const named = callee === undefined ? {} : { callee };
    this.put(index, 0, { kind: 'call', index, register: 0, holders: [], ...named });
    for (let register = 1; register <= 5; register++) {
      registers[register] = { kind: 'clobbered', index, register, holders: [], ...named };
    }
  }

  /** What a helper may have written on the stack is no longer what the program stored there. */
  private writeThrough(index: number, callee: string) {
    if (ONLY_READS.test(callee)) return;
    const writer = writers[callee];
    const { registers } = this.frame;
    for (let argument = 1; argument <= 5; argument++) {
      const slot = registers[argument]?.slot;
      if (!slot || (writer && argument !== writer.to)) continue;
      const { frame, offset } = slot;
      const given = registers[writer ? writer.size : argument + 1]?.number;
      // Without a size that is known it may reach up to the frame's end.
      const size = given !== undefined && given > 0n && given <= 512n ? Number(given) : -offset;
      this.cover(frame, offset, size);
      if (!writer) continue;
      const value: FlowValue = { kind: 'written', index, register: 0, callee, holders: [] };
      frame.slots.set(offset, { value, size });
    }
  }

  private put(index: number, register: number, value: FlowValue) {
    if (register > 9) return;
    this.frame.registers[register] = value;
    if (value.holders.length >= MAX_HOLDERS) value.holders.shift();
    value.holders.push({ index, register });
  }

  private apply(index: number, instruction: Instruction) {
    const { registers } = this.frame;
    switch (instruction.kind) {
      case 'move': {
        const from = registers[instruction.from] ?? unknown(index, instruction.to);
        if (instruction.bits === 64) this.put(index, instruction.to, from);
        else this.make(index, instruction, { kind: 'converted', from });
        break;
      }
      case 'constant':
        this.make(index, instruction, {
          kind: 'constant',
          ...(instruction.value === undefined ? {} : { number: instruction.value }),
        });
        break;
      case 'arithmetic':
        this.compute(index, instruction);
        break;
      case 'load':
        this.load(index, instruction);
        break;
      case 'store':
        this.store(instruction, this.valueOf(index, instruction.value));
        break;
      case 'atomic': {
        const base = registers[instruction.base];
        if (base?.slot) this.cover(base.slot.frame, base.slot.offset + instruction.offset, instruction.size);
        if (instruction.to !== undefined) {
          this.make(
            index,
            { ...instruction, to: instruction.to },
            { kind: 'load', ...(base ? { base } : {}), offset: instruction.offset, size: instruction.size },
          );
        }
        break;
      }
      case 'other':
        if (instruction.to !== undefined) this.put(index, instruction.to, unknown(index, instruction.to));
        break;
      default:
        break;
    }
  }

  private make(
    index: number,
    instruction: Instruction & { to: number },
    value: Partial<FlowValue> & { kind: ValueKind },
  ) {
    this.put(index, instruction.to, { index, register: instruction.to, instruction, holders: [], ...value });
  }

  private compute(index: number, instruction: Instruction & { kind: 'arithmetic' }) {
    const { registers } = this.frame;
    const from = registers[instruction.to] ?? unknown(index, instruction.to);
    const operand = instruction.operand;
    const other = operand && 'register' in operand ? registers[operand.register] : undefined;
    const by = operand && 'constant' in operand ? operand.constant : other?.number;
    const { operator } = instruction;
    if (from.slot && by !== undefined && (operator === '+' || operator === '-')) {
      const { frame, offset } = from.slot;
      const slot = { frame, offset: offset + Number(operator === '+' ? by : -by) };
      this.make(index, instruction, { kind: 'frame', from, slot });
      return;
    }
    if (from.kind === 'constant' && from.number !== undefined && by !== undefined) {
      const number = folded(operator, from.number, by, instruction.bits);
      this.make(index, instruction, { kind: 'constant', from, ...(number === undefined ? {} : { number }) });
      return;
    }
    this.make(index, instruction, { kind: 'arithmetic', from, ...(other ? { other } : {}) });
  }

  private load(index: number, instruction: Instruction & { kind: 'load' }) {
    const base = this.frame.registers[instruction.base];
    const { offset, size } = instruction;
    if (!base?.slot) {
      this.make(index, instruction, { kind: 'load', ...(base ? { base } : {}), offset, size });
      return;
    }
    const at = base.slot.offset + offset;
    const slot = base.slot.frame.slots.get(at);
    if (slot && slot.size === size && (size === 8 || !instruction.signed)) {
      if (slot.value.kind === 'written')
        this.make(index, instruction, { ...slot.value, index: slot.value.index });
      else this.put(index, instruction.to, slot.value);
      return;
    }
    const around = slot ?? covering(base.slot.frame.slots, at);
    if (around) this.make(index, instruction, { kind: 'converted', from: around.value });
    else this.make(index, instruction, { kind: 'unknown' });
  }

  private store(instruction: Instruction & { kind: 'store' }, value: FlowValue) {
    const base = this.frame.registers[instruction.base];
    if (!base?.slot) return;
    const at = base.slot.offset + instruction.offset;
    this.cover(base.slot.frame, at, instruction.size);
    base.slot.frame.slots.set(at, { value, size: instruction.size });
  }

  /** What lay there is overwritten. */
  private cover({ slots }: Frame, offset: number, size: number) {
    for (const [at, slot] of slots) {
      if (at < offset + size && offset < at + slot.size) slots.delete(at);
    }
  }

  private valueOf(index: number, operand: Operand | undefined): FlowValue {
    if (!operand) return unknown(index, 0);
    if ('register' in operand) return this.frame.registers[operand.register] ?? unknown(index, 0);
    return { kind: 'constant', index, register: 0, number: operand.constant, holders: [] };
  }

  private compare(index: number, instruction: Instruction & { kind: 'branch' }, next: Step | undefined) {
    const step = this.steps[index] as Step;
    const fallsThrough = step.insn + 1;
    // Without a step after it, or with both ways leading to the same one, nothing was decided.
    if (!next || instruction.target === fallsThrough) return;
    const taken = next.insn === instruction.target;
    if (!taken && next.insn !== fallsThrough) return;
    const left = this.frame.registers[instruction.left];
    const { right } = instruction;
    const other = 'register' in right ? this.frame.registers[right.register] : right.constant;
    if (!left || other === undefined) return;
    const relation = taken ? instruction.operator : negated(instruction.operator);
    const number = typeof other === 'object' ? other.number : other;
    // `3 < r2` is `r2 > 3`: constants stand on the right.
    const isTurned = typeof other === 'object' && number === undefined && left.number !== undefined;
    this.comparisons.push({
      index,
      left: isTurned ? other : left,
      right: isTurned ? (left.number as bigint) : (number ?? other),
      relation: isTurned ? turned(relation) : relation,
      bits: instruction.bits,
    });
  }
}

function unknown(index: number, register: number): FlowValue {
  return { kind: 'unknown', index, register, holders: [] };
}

function covering(slots: Map<number, Slot>, at: number): Slot | undefined {
  for (const [offset, slot] of slots) {
    if (at >= offset && at < offset + slot.size) return slot;
  }
  return undefined;
}

function folded(operator: string, left: bigint, right: bigint, bits: 32 | 64): bigint | undefined {
  const value =
    operator === '+'
      ? left + right
      : operator === '-'
        ? left - right
        : operator === '*'
          ? left * right
          : operator === '&'
            ? left & right
            : operator === '|'
              ? left | right
              : undefined;
  return value === undefined ? undefined : bits === 32 ? BigInt.asUintN(32, value) : BigInt.asIntN(64, value);
}
