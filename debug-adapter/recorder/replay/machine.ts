/**
 * Re-execution of a recorded run, one instruction after the other. What the program computed is computed again; what
 * it was given is read from the trace. The first difference between the two ends it.
 */
import { isHelperCall, isKfuncCall, isPacketLoad } from '../../../toolchain/insn/effects';
import type { Insn } from '../../../toolchain/insn/insn';
import { Atomic, Class, Mode, accessSize } from '../../../toolchain/insn/opcodes';
import { REGISTER_FILE_SIZE, isTaken, runAlu } from './alu';
import type { RegisterFile } from './alu';
import { atomicResultOf } from './atomic';
import type { Ending, Frame, MachineState } from './machine-state';
import { Kind } from './code';
import type { ReplayCode, ReplayPoint } from './code';
import type { CallLog } from './calls';
import type { MapModel } from './map-model';
import { Outputs } from './outputs';
import { Packet } from './packet';
import type { PacketBounds, PacketInput } from './packet';
import { helperWrites } from '../instrument/helpers';
import { TraceReader } from './trace-reader';
import { Memory, add, halves, highOf, joined } from './memory';

const R0 = 1;
/** R1 to R5, of which a function that is called may read those that its caller has set. */
const ARGUMENTS = 0x3e;
const CALLER_SAVED = R0 | ARGUMENTS;
/** R6 to R10. */
const CALLEE_SAVED = 0x7c0;
/** Above BPF_COMPLEXITY_LIMIT_INSNS: the verifier goes through every round of a loop that it cannot tell the end of. */
const MAX_UNRECORDED = 2_000_000;
/** Above MAX_CALL_FRAMES, which is 8. */
const MAX_FRAMES = 32;
/** Longer runs are not gone through: what is kept of their steps takes too much memory. */
const MAX_STEPS = 200_000_000;

export class Machine {
  /** Number of instructions executed. */
  step = 0;
  /** Instruction that runs next. */
  pc = 0;
  ending: Ending | undefined;
  readonly registers: RegisterFile = {
    lo: new Int32Array(REGISTER_FILE_SIZE),
    hi: new Int32Array(REGISTER_FILE_SIZE),
  };
  /** Registers whose content is known: bit n is Rn. */
  known = 0;
  frames: Frame[] = [];
  /** What is kept of the kernel's side: maps and calls. */
  kernel: { maps: MapModel; calls: CallLog } | undefined;
  /** CPU that the run was on, if that was recorded. */
  cpu: number | undefined;
  readonly memory = new Memory();
  readonly outputs = new Outputs(this.memory);
  /** Undefined for programs without a packet. */
  readonly tracked: Packet | undefined;
  private readonly trace: TraceReader;
  /** Step at which the program last came by a place where something is recorded. */
  private recordedAt = 0;
  private readonly loaded = new Int32Array(2);
  private readonly contextLo: number;
  private readonly contextHi: number;

  /**
   * @param traceBytes the trace map's value
   */
  constructor(
    readonly code: ReplayCode,
    traceBytes: Uint8Array,
    input?: PacketInput,
  ) {
    this.tracked = input && new Packet(this.memory, this.outputs, () => this.step, input);
    this.trace = new TraceReader(traceBytes);
    this.enter(0);
    this.contextLo = this.registers.lo[1] as number;
    this.contextHi = this.registers.hi[1] as number;
  }

  /** Address of the program's context. */
  get context(): bigint {
    return joined(this.contextLo, this.contextHi);
  }

  /** Where the packet is; undefined until the program has asked for it. */
  get packet(): PacketBounds | undefined {
    return this.tracked?.bounds;
  }

  /** Where re-execution keeps the packet while the program has not asked for it; no pointer leads there. */
  get unplacedPacket(): PacketBounds | undefined {
    return this.tracked?.unplaced;
  }

  register(number: number): bigint {
    return joined(this.registers.lo[number] as number, this.registers.hi[number] as number);
  }

  save(): MachineState {
    const { step, pc, trace, known, registers, frames, memory, ending } = this;
    return {
      step,
      pc,
      trace: trace.at,
      known,
      lo: registers.lo.slice(),
      hi: registers.hi.slice(),
      frames: [...frames],
      memoryChanges: memory.changes,
      packet: this.tracked?.state,
      ending,
    };
  }

  /** Goes back to an earlier state of this machine. */
  restore(state: MachineState): void {
    this.step = state.step;
    this.pc = state.pc;
    this.trace.at = state.trace;
    this.known = state.known;
    this.registers.lo.set(state.lo);
    this.registers.hi.set(state.hi);
    this.frames = [...state.frames];
    this.memory.undoTo(state.memoryChanges);
    this.kernel?.maps.undoTo(state.step);
    if (this.tracked && state.packet) this.tracked.state = state.packet;
    this.ending = state.ending;
  }

  /** Runs one instruction; does nothing once there is an ending. */
  run(): void {
    if (this.ending) return;
    const { code, pc } = this;
    this.step++;
    switch (code.kind[pc]) {
      case Kind.ALU: {
        const dst = code.dst[pc] as number;
        runAlu(
          this.registers,
          code.code[pc] as number,
          dst,
          code.src[pc] as number,
          code.off[pc] as number,
          code.imm[pc] as number,
        );
        this.known |= 1 << dst;
        break;
      }
      case Kind.JUMP:
        this.jump(pc);
        return;
      case Kind.LOAD:
        this.load(pc);
        return;
      case Kind.STORE:
        this.store(pc);
        break;
      case Kind.ATOMIC:
        this.atomic(pc);
        return;
      case Kind.IMMEDIATE:
        this.set(code.dst[pc] as number, code.imm[pc] as number, code.high[pc] as number);
        break;
      case Kind.SUBPROGRAM:
        this.call(pc, false, code.target[pc] as number);
        return;
      case Kind.CALL:
        this.callKernel(pc);
        return;
      case Kind.MAY_GOTO:
        this.mayGoto(pc);
        return;
      default:
        this.exit();
        return;
    }
    const point = code.after[pc];
    if (point && !this.consume(point, pc)) return;
    this.pc = code.next[pc] as number;
  }

  private callKernel(pc: number): void {
    const insn = this.code.insns[pc] as Insn;
    const argument = (number: number) => (this.known & (1 << number) ? this.register(number) : undefined);
    const ended = this.kernel?.calls.begin(this, pc);
    const changed = isHelperCall(insn) ? this.tracked?.effectOf(insn.imm, argument) : undefined;
    if (isHelperCall(insn)) this.forgetOutputs(insn.imm, argument);
    this.known &= ~CALLER_SAVED;
    this.inCall(pc);
    const result = this.known & 1 ? this.register(0) : undefined;
    changed?.(result);
    if (isKfuncCall(insn)) this.tracked?.kfuncCalled(this.code.kfuncs.get(pc));
    ended?.(result);
  }

  /** What a helper writes is not known until the program reads it, but for what is recorded when it has returned. */
  private forgetOutputs(helper: number, argument: (register: number) => bigint | undefined): void {
    helperWrites(helper)?.forEach(({ pointer, size }, nth) => {
      const address = argument(pointer);
      const length = typeof size === 'number' ? BigInt(size) : argument(size.argument);
      if (address !== undefined && length !== undefined)
        this.outputs.write(this.step, nth, address, Number(length));
    });
  }

  private set(register: number, lo: number, hi: number): void {
    this.registers.lo[register] = lo;
    this.registers.hi[register] = hi;
    this.known |= 1 << register;
  }

  private jump(pc: number): void {
    const { code } = this;
    const opcode = code.code[pc] as number;
    const taken =
      code.isGoto[pc] === 1 ||
      isTaken(this.registers, opcode, code.dst[pc] as number, code.src[pc] as number, code.imm[pc] as number);
    this.pc = (taken ? code.target[pc] : code.next[pc]) as number;
    // A loop that no record shows the rounds of is one whose end the verifier has seen.
    if (this.pc <= pc && (this.step - this.recordedAt > MAX_UNRECORDED || this.step > MAX_STEPS))
      this.diverge(pc, 'it goes on for longer than any program may');
  }

  /** A loop is left when the kernel has had enough of it: only where it goes on something is recorded. */
  private mayGoto(pc: number): void {
    const { code } = this;
    const arrived = code.ahead[pc];
    const goesOn = code.after[pc];
    if (arrived && !this.consume(arrived, pc)) return;
    if (!goesOn?.record || this.trace.upcoming !== goesOn.record) {
      this.pc = code.target[pc] as number;
      return;
    }
    if (this.consume(goesOn, pc)) this.pc = code.next[pc] as number;
  }

  private load(pc: number): void {
    const { code, registers, memory, loaded } = this;
    const opcode = code.code[pc] as number;
    const src = code.src[pc] as number;
    const dst = code.dst[pc] as number;
    const size = accessSize(opcode);
    const off = code.off[pc] as number;
    const lo = ((registers.lo[src] as number) + off) | 0;
    const hi = highOf(registers.lo[src] as number, registers.hi[src] as number, off);
    const point = code.after[pc];
    const isInput = code.isInput[pc] === 1;
    if (!isInput) {
      if (!memory.read(lo, hi, size, loaded)) {
        this.diverge(pc, 'it reads stack that re-execution knows nothing of');
        return;
      }
      this.set(dst, loaded[0] as number, loaded[1] as number);
      if ((opcode & 0xe0) === Mode.MEMSX) this.signExtend(dst, size);
    }
    if (point && !this.consume(point, pc)) return;
    if (isInput) {
      // What was read is what the memory holds, whoever wrote it.
      memory.write(lo, hi, size, registers.lo[dst] as number, registers.hi[dst] as number);
      if (this.tracked && size === 4 && hi === this.contextHi)
        this.tracked.contextRead((lo - this.contextLo) | 0, this.register(dst));
    }
    this.pc = code.next[pc] as number;
  }

  private signExtend(register: number, size: number): void {
    const { lo, hi } = this.registers;
    const shift = 32 - 8 * size;
    lo[register] = ((lo[register] as number) << shift) >> shift;
    hi[register] = (lo[register] as number) >> 31;
  }

  private store(pc: number): void {
    const { code, registers } = this;
    const opcode = code.code[pc] as number;
    const dst = code.dst[pc] as number;
    const src = code.src[pc] as number;
    const off = code.off[pc] as number;
    const lo = ((registers.lo[dst] as number) + off) | 0;
    const hi = highOf(registers.lo[dst] as number, registers.hi[dst] as number, off);
    const size = accessSize(opcode);
    if ((opcode & 7) === Class.ST) {
      const imm = code.imm[pc] as number;
      this.memory.write(lo, hi, size, imm, imm >> 31);
    } else {
      const isKnown = (this.known & (1 << src)) !== 0;
      this.memory.write(lo, hi, size, registers.lo[src] as number, registers.hi[src] as number, isKnown);
    }
  }

  private atomic(pc: number): void {
    const { code, registers, memory, loaded } = this;
    const operation = code.imm[pc] as number;
    const size = accessSize(code.code[pc] as number);
    const isLoad = operation === Atomic.LOAD_ACQUIRE;
    const base = (isLoad ? code.src[pc] : code.dst[pc]) as number;
    const source = code.src[pc] as number;
    const [lo, hi] = add(registers.lo[base] as number, registers.hi[base] as number, code.off[pc] as number);
    const operand = joined(registers.lo[source] as number, registers.hi[source] as number);
    const expected = this.register(0);
    const point = code.after[pc];
    if (point && !this.consume(point, pc)) return;
    const result = isLoad ? (code.dst[pc] as number) : operation === Atomic.CMPXCHG ? 0 : source;
    const isFetch = isLoad || operation === Atomic.CMPXCHG || (operation & Atomic.FETCH) !== 0;
    // Without a result the memory's former content is only known if something has shown it.
    const isKnown = isFetch || memory.read(lo, hi, size, loaded);
    const old = isFetch ? this.register(result) : joined(loaded[0] as number, loaded[1] as number);
    const stored = atomicResultOf(operation, old, operand, expected, size);
    const [storedLo, storedHi] = halves(stored);
    memory.write(lo, hi, size, storedLo, storedHi, isKnown || operation === Atomic.STORE_RELEASE);
    this.pc = code.next[pc] as number;
  }

  private call(pc: number, isCallback: boolean, target: number): void {
    if (this.frames.length >= MAX_FRAMES) {
      this.diverge(pc, 'it calls more functions within one another than any program may');
      return;
    }
    const { lo, hi } = this.registers;
    const known = this.known & CALLEE_SAVED;
    this.frames.push({ call: pc, isCallback, lo: lo.slice(6, 11), hi: hi.slice(6, 11), known });
    // What else the machine has in its registers the verifier does not let the function read.
    this.known &= ARGUMENTS;
    this.enter(target);
  }

  /** Begins a function: its frame pointer and, if the kernel called it, its arguments are in the trace. */
  private enter(start: number): void {
    const point = this.code.before[start];
    this.pc = start;
    if (!point || !this.consume(point, start)) return;
    this.known |= 1 << 10;
    const depth = this.code.stackDepth.get(start) ?? 0;
    const [lo, hi] = add(this.registers.lo[10] as number, this.registers.hi[10] as number, -depth);
    this.memory.forget(lo, hi, depth);
  }

  /** A helper or kfunc is running: either it returns, or it calls a function of the program. */
  private inCall(pc: number): void {
    const { code } = this;
    const point = code.after[pc];
    if (point?.record) {
      const upcoming = this.trace.upcoming;
      const entry = upcoming === point.record ? undefined : code.entries.get(upcoming);
      if (entry !== undefined) {
        this.call(pc, true, entry);
        this.kernel?.calls.calledBack(this, pc);
        return;
      }
      if (upcoming === 0) {
        // A tail call, an exception, or a load beyond the packet's end, which makes the program return 0.
        if (isPacketLoad(code.insns[pc] as Insn)) this.set(0, 0, 0);
        this.ending = { kind: 'left', insn: pc };
        return;
      }
    }
    if (point && !this.consume(point, pc)) return;
    this.pc = code.next[pc] as number;
  }

  private exit(): void {
    const frame = this.frames.pop();
    if (!frame) {
      if (this.trace.rest !== 0) {
        this.diverge(
          this.pc,
          `the program has returned, but ${this.trace.rest} bytes of its recording are left`,
        );
        return;
      }
      this.ending = { kind: 'returned' };
      return;
    }
    for (let index = 0; index < 5; index++) {
      this.registers.lo[6 + index] = frame.lo[index] as number;
      this.registers.hi[6 + index] = frame.hi[index] as number;
    }
    this.known = frame.known | (frame.isCallback ? 0 : this.known & R0);
    if (frame.isCallback) {
      this.pc = frame.call;
      this.inCall(frame.call);
      if (this.pc === this.code.next[frame.call]) this.kernel?.calls.returned(this, frame.call);
      return;
    }
    const point = this.code.after[frame.call];
    if (point && !this.consume(point, frame.call)) return;
    this.pc = this.code.next[frame.call] as number;
  }

  /** Reads the values that were recorded at a point. False when they contradict what was computed. */
  private consume({ record, fields }: ReplayPoint, insn: number): boolean {
    if (record) {
      const found = this.trace.upcoming;
      if (found !== record) {
        this.diverge(
          insn,
          found ? 'the kernel took another way from here' : 'the recording ends before this',
        );
        return false;
      }
      this.trace.skip();
      this.recordedAt = this.step;
    }
    if (8 * fields.length > this.trace.rest) {
      this.diverge(insn, 'the recording ends within this');
      return false;
    }
    for (const field of fields) {
      const { low: lo, high: hi } = this.trace;
      this.trace.skip();
      if (field.kind === 'stack') {
        const { registers } = this;
        const [atLo, atHi] = add(registers.lo[10] as number, registers.hi[10] as number, field.offset);
        this.memory.write(atLo, atHi, field.size, lo, hi);
      } else if (field.kind === 'cpu') {
        this.cpu = lo;
      } else if (field.checked && this.known & (1 << field.register)) {
        const { registers } = this;
        if (registers.lo[field.register] !== lo || registers.hi[field.register] !== hi) {
          const computed = `0x${this.register(field.register).toString(16)}`;
          this.diverge(
            insn,
            `R${field.register} was 0x${joined(lo, hi).toString(16)} in the kernel, and re-execution makes it ${computed}`,
          );
          return false;
        }
      } else {
        this.set(field.register, lo, hi);
      }
    }
    return true;
  }

  private diverge(insn: number, reason: string): void {
    this.ending = { kind: 'diverged', insn, reason };
  }
}
