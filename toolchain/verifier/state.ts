/**
 * A state of the verifier as it stands in a log: the registers and stack slots of one frame. Behind an instruction
 * kernels since 5.18 print only what the instruction used or changed; before, and at branches, they print all.
 */
import { parseValue } from './value';
import type { Value } from './value';

/** What the verifier has seen done with a register since the state before; kernels since 6.18 do not print it. */
export interface Liveness {
  read: boolean;
  written: boolean;
  done: boolean;
}

export interface RegisterState extends Liveness {
  /** 0 to 10. */
  number: number;
  value: Value;
}

export interface StackSlot extends Liveness {
  /** Offset of its lowest byte from the frame pointer: -8, -16, … */
  offset: number;
  /**
   * A letter for each byte that holds no spilled register, the highest address first: `?` never written, `m`
   * written, `0` zero, `f` a saved interrupt state. A register of 4 bytes spilled into the lower half leaves 4.
   */
  bytes: string;
  /** The register that was spilled there. */
  value?: Value;
  /** A dynptr or iterator that the program keeps there. */
  object?: StackObject;
}

export interface StackObject {
  kind: 'dynptr' | 'iter';
  /** `ringbuf`, `skb`, …; `num`, `task`, … */
  name: string;
  id?: number;
  /** Reference that must be released. */
  reference?: number;
  /** Shared by a dynptr and the slices taken of it, up to 7.2. */
  dynptrId?: number;
  /** What it was made of, since 7.3. */
  parent?: number;
  /** Of an iterator: `active` or `drained`, and how many elements it has given. */
  state?: string;
  depth?: number;
}

export interface PrintedState {
  /** Call depth; 0 in the program itself. */
  frame: number;
  registers: RegisterState[];
  stack: StackSlot[];
  /** References that must be released. */
  references: number[];
  inCallback: boolean;
  inAsyncCallback: boolean;
  /** Entries of no known form. */
  unread: string[];
}

/**
 * Reads a state: `R0=… fp-8=…`, after any of `12: `, `from 3 to 7: `, `frame1: `, and of an instruction line the part
 * behind its semicolon ({@link instructionOf}'s `state`). Total.
 */
export function parseState(text: string): PrintedState {
  const state: PrintedState = {
    frame: 0,
    registers: [],
    stack: [],
    references: [],
    inCallback: false,
    inAsyncCallback: false,
    unread: [],
  };
  const prefix = /^(?:from \d+ to \d+(?: \([^()]*\))?:|\d+:)? *(?:frame(\d{1,9}):)?/.exec(text);
  state.frame = Number(prefix?.[1] ?? 0);
  for (const entry of splitEntries(text, prefix?.[0].length ?? 0)) {
    if (!readEntry(state, entry)) state.unread.push(entry);
  }
  return state;
}

/** Words between spaces that are not in brackets: `var_off=(0x0; 0xff)` has one inside. */
function splitEntries(text: string, from: number): string[] {
  const entries: string[] = [];
  let depth = 0;
  let start = from;
  for (let at = from; at <= text.length; at++) {
    const code = at < text.length ? text.charCodeAt(at) : 0x20;
    if (code === 0x28) depth++;
    else if (code === 0x29) depth--;
    else if (code === 0x20 && (depth <= 0 || at === text.length)) {
      if (at > start) entries.push(text.slice(start, at));
      start = at + 1;
      depth = 0;
    }
  }
  return entries;
}

const ENTRY = /^(?:R(\d{1,2})|fp(-\d{1,6}))(?:_([rwD]{1,3}))?=/;

function readEntry(state: PrintedState, entry: string): boolean {
  const head = ENTRY.exec(entry);
  if (head) {
    const [, register, offset, letters = ''] = head;
    const liveness = {
      read: letters.includes('r'),
      written: letters.includes('w'),
      done: letters.includes('D'),
    };
    const text = entry.slice(head[0].length);
    if (register === undefined) {
      const slot: StackSlot = { offset: Number(offset), ...liveness, ...parseSlot(text) };
      if (slot.value) state.unread.push(...slot.value.unread);
      state.stack.push(slot);
    } else {
      const value = parseValue(text);
      state.unread.push(...value.unread);
      state.registers.push({ number: Number(register), ...liveness, value });
    }
    return true;
  }
  if (entry === 'cb') return (state.inCallback = true);
  if (entry === 'async_cb') return (state.inAsyncCallback = true);
  const references = /^refs=(\d{1,9}(?:,\d{1,9})*)$/.exec(entry);
  if (references) state.references = (references[1] as string).split(',').map(Number);
  return references !== null;
}

function parseSlot(text: string): Pick<StackSlot, 'bytes' | 'value' | 'object'> {
  const object = /^(dynptr|iter)_(\w+)\(([^()]*)\)$/.exec(text);
  if (object) return { bytes: '', object: parseObject(object) };
  // Up to 5.10 a slot of which a register's spill was overwritten in part shows the rest as `r`.
  if (/^[?m0dfirp]{8}$/.test(text)) return { bytes: text };
  // A register of 1, 2 or 4 bytes lies below the bytes that are printed. No number is printed with a leading zero.
  for (const length of [7, 6, 4]) {
    const rest = text.slice(length);
    if (rest !== '' && /^[?m0dfip]+$/.test(text.slice(0, length)) && !/^-?0\d/.test(rest)) {
      return { bytes: text.slice(0, length), value: parseValue(rest) };
    }
  }
  return { bytes: '', value: parseValue(text) };
}

function parseObject([, kind, name, fields]: RegExpExecArray): StackObject {
  const object: StackObject = { kind: kind as StackObject['kind'], name: name as string };
  for (const [, field, text] of (fields as string).matchAll(/(\w+)=(\w+)/g)) {
    if (field === 'ref_id') object.reference = Number(text);
    else if (field === 'id') object.id = Number(text);
    else if (field === 'parent_id') object.parent = Number(text);
    else if (field === 'dynptr_id') object.dynptrId = Number(text);
    else if (field === 'state') object.state = text as string;
    else if (field === 'depth') object.depth = Number(text);
  }
  return object;
}
