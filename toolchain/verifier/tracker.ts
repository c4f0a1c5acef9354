/**
 * What the verifier knows before each instruction, put together from what it prints. At branches and calls kernels
 * print a whole state; behind an instruction, since 5.17, only what the instruction wrote or compared. Some changes
 * are printed nowhere, and these follow the verifier's own rules: a comparison holds for every copy of what was
 * compared (values with the same id), and a call ends scratch registers, released references and, if it may move the
 * packet, pointers into it. Where the rules do not tell, nothing is known until the next whole state.
 */
import { CALL, CALL_REGISTER, Class, CLASS_BITS, Mode, MODE_BITS } from '../insn/opcodes';
import { branchOf, instructionOf } from './log';
import type { LogIndex } from './logIndex';
import { parseState } from './state';
import type { PrintedState, StackSlot } from './state';
import type { Value } from './value';

/** Never changed once made, so that it can be kept. */
export interface KnownState {
  /** Call depth. */
  readonly frame: number;
  /** By number; undefined when unreadable or not known. */
  readonly registers: readonly (Value | undefined)[];
  /** By offset from the frame pointer. A slot without bytes, value and object holds something that is not known. */
  readonly stack: ReadonlyMap<number, StackSlot>;
  /** Whether slots that are absent were never written; otherwise nothing is known of them. */
  readonly isWhole: boolean;
}

export const nothingKnown: KnownState = { frame: 0, registers: [], stack: new Map(), isWhole: false };

/** How many instructions are looked at to see whether a log's kernel prints changes behind them. */
const PROBED = 2000;

export class Tracker {
  state: KnownState = nothingKnown;
  /** Whether the kernel prints changes behind instructions; older ones print whole states or none. */
  private readonly printsChanges: boolean;
  /** Whether a function's verification begins, so that the next state is all there is. */
  private begins = false;

  constructor(private readonly log: LogIndex) {
    this.printsChanges = hasChanges(log);
  }

  /** A line of the log other than an instruction. */
  context(line: number): void {
    const kind = this.log.kind(line);
    const text = this.log.text(line);
    // A global function is verified by itself, from its arguments on.
    if (kind === 'function' && text.startsWith('Validating ')) this.begins = true;
    if (kind !== 'state' && kind !== 'branch') return;
    if (kind === 'branch' && branchOf(this.log.at(line))?.safe) return;
    const printed = parseState(text);
    // The kernel puts what changed on a line of its own, too, when it had something to say in between. A log whose
    // beginning is cut off may begin with one.
    const isBeginning = this.begins || (this.log.insn(line) === 0 && !this.state.isWhole);
    const isChange = this.printsChanges && /^\d/.test(text) && !isBeginning;
    this.begins = false;
    if (!isChange) this.state = whole(printed);
    else if (printed.frame === this.state.frame) this.state = withPrinted(this.state, printed);
    else this.state = withPrinted({ ...nothingKnown, frame: printed.frame }, printed);
  }

  /** An instruction: what is known before it, see {@link state}, becomes what is known after it. */
  instruction(line: number): void {
    const opcode = this.log.opcode(line);
    const { text, state: changes } = instructionOf(this.log.at(line)) ?? { text: '', state: '' };
    if (!this.printsChanges) {
      this.state = { ...nothingKnown, frame: this.state.frame };
      return;
    }
    const printed = parseState(changes);
    const before = this.state;
    let after = before;
    if (isCall(opcode)) after = afterCall(before, text, printed.references);
    else if (isPacketLoad(opcode))
      after = withRegisters(before, (value, number) => (number > 5 ? value : undefined));
    else if (isComparison(opcode)) after = afterComparison(before, printed);
    else {
      const written = /^[rw](\d{1,2}) /.exec(text)?.[1];
      if (written)
        after = withRegisters(before, (value, number) => (number === Number(written) ? undefined : value));
    }
    this.state = withPrinted({ ...after, frame: changes ? printed.frame : before.frame }, printed);
  }
}

function hasChanges(log: LogIndex): boolean {
  let probed = 0;
  for (let line = 0; line < log.length && probed < PROBED; line++) {
    if (log.kind(line) !== 'instruction') continue;
    probed++;
    if (instructionOf(log.at(line))?.state) return true;
  }
  return false;
}

function whole(printed: PrintedState): KnownState {
  return withPrinted({ ...nothingKnown, frame: printed.frame, isWhole: true }, printed);
}

function withPrinted(state: KnownState, printed: PrintedState): KnownState {
  if (printed.registers.length === 0 && printed.stack.length === 0) return state;
  const registers = [...state.registers];
  for (const { number, value } of printed.registers) registers[number] = value;
  const stack = printed.stack.length ? new Map(state.stack) : state.stack;
  if (stack instanceof Map) for (const slot of printed.stack) stack.set(slot.offset, slot);
  return { ...state, registers, stack };
}

/** Changes registers and spilled registers alike; undefined stands for a value that is not known. */
function withValues(state: KnownState, change: (value: Value) => Value | undefined): KnownState {
  const registers = state.registers.map((value) => value && change(value));
  const stack = new Map(state.stack);
  for (const [offset, slot] of state.stack) {
    if (!slot.value) continue;
    const value = change(slot.value);
    if (!value) stack.set(offset, unknownSlot(slot));
    else if (value !== slot.value) stack.set(offset, { ...slot, value });
  }
  return { ...state, registers, stack };
}

function unknownSlot({ offset, read, written, done }: StackSlot): StackSlot {
  return { offset, read, written, done, bytes: '' };
}

function withRegisters(
  state: KnownState,
  change: (value: Value | undefined, number: number) => Value | undefined,
): KnownState {
  return { ...state, registers: state.registers.map(change) };
}

function isCall(opcode: number): boolean {
  return opcode === CALL || opcode === CALL_REGISTER;
}

/** The old `r0 = *(u8 *)skb[…]`, which is a call in disguise: class LD, mode ABS or IND. */
function isPacketLoad(opcode: number): boolean {
  const mode = opcode & MODE_BITS;
  return (opcode & CLASS_BITS) === Class.LD && (mode === Mode.ABS || mode === Mode.IND);
}

function isComparison(opcode: number): boolean {
  const group = opcode & 7;
  return (group === 5 || group === 6) && ![0x0, 0x8, 0x9].includes(opcode >> 4);
}

/** Helpers that may move the packet, bpf_helper_changes_pkt_data() of the kernel's net/core/filter.c. */
const MOVES_PACKET =
  /^call bpf_(skb_(?!load_bytes|get_|under_|cgroup|ancestor|output)|xdp_adjust|msg_(push|pop|pull)|l[34]_csum|lwt_|clone_redirect|store_hdr|tail_call|sk_redirect)/;

function afterCall(before: KnownState, text: string, references: readonly number[]): KnownState {
  const number = Number(/#(\d{1,9})/.exec(text)?.[1] ?? Infinity);
  // Helpers have small numbers. Of kernel functions and of the program's own ones nothing is known but what is printed.
  const isHelper = number < 1000;
  const movesPacket = !isHelper || MOVES_PACKET.test(text);
  const kept = withValues(before, (value) => {
    if (value.reference !== undefined && !references.includes(value.reference)) return undefined;
    if (movesPacket && /^pkt/.test(value.type)) return undefined;
    if (!isHelper && (value.isNonOwning || value.modifiers.includes('rcu'))) return undefined;
    return value;
  });
  const stack = new Map(kept.stack);
  for (const [offset, slot] of stack) {
    const { object } = slot;
    if (object && (object.reference === undefined || !references.includes(object.reference)))
      stack.set(offset, unknownSlot(slot));
  }
  return { ...withRegisters(kept, (value, index) => (index > 5 ? value : undefined)), stack };
}

/** What a comparison says of a register, it says of all that are known to hold the same. */
function afterComparison(before: KnownState, printed: PrintedState): KnownState {
  let after = before;
  for (const { number, value: now } of printed.registers) {
    const old = before.registers[number];
    if (old) after = withValues(after, (value) => sameAs(value, old, now));
  }
  return after;
}

/** `value` after something with its id changed from `old` to `now`; undefined where the rules do not tell. */
function sameAs(value: Value, old: Value, now: Value): Value | undefined {
  if (/^pkt(_meta)?$/.test(old.type)) {
    const isSameBase = value.type === old.type && value.id === old.id;
    const isProven = now.type === old.type && (now.range ?? 0) > Math.max(value.range ?? 0, old.range ?? 0);
    return isSameBase && isProven ? { ...value, range: now.range as number } : value;
  }
  // Without its id nobody can say whether a spilled pointer is among those that were compared with NULL.
  if (value.isBare && value.mayBeNull && old.mayBeNull) return undefined;
  if (old.id === undefined || value.id !== old.id || value.type !== old.type) return value;
  if (old.mayBeNull) return now.mayBeNull ? value : now;
  if (old.type !== 'scalar') return value;
  return value.idOffset === old.idOffset ? { ...value, bounds: now.bounds, text: now.text } : undefined;
}
