/**
 * Where the values on the failing path come from. The path is one run through the program, without branches, so its
 * instructions can be followed forward once: copies, spills and fills keep a value, everything else makes a new one
 * that remembers what it was made of. What a step of unknown form leaves is `unknown`, never a guess.
 */
import type { Instruction } from './instruction';

export type ValueKind =
  /** Was there when the program began: the context, or an argument of a global function. */
  | 'argument'
  /** A helper's, kfunc's or unfollowed function's result. */
  | 'call'
  /** Read from memory other than the program's own stack. */
  | 'load'
  | 'constant'
  /** The frame pointer, or what is a known distance from it. */
  | 'frame'
  /** `from` changed by an operator and `other` or a constant. */
  | 'arithmetic'
  /** A part of `from`: a 32-bit copy, a sign-extended one, a fill narrower than the spill. */
  | 'converted'
  /** Read from the stack where a helper wrote it. */
  | 'written'
  /** What a call leaves in R1 to R5: nothing. */
  | 'clobbered'
  /** Never set on this path. */
  | 'unset'
  | 'unknown';

export interface FlowValue {
  kind: ValueKind;
  /** Position in the path of the step that made it; -1 for what was there at its beginning. */
  index: number;
  /** Register it was made in. */
  register: number;
  instruction?: Instruction;
  from?: FlowValue;
  other?: FlowValue;
  /** What was called, by `call`, `clobbered` and `written`; undefined for the program's own functions. */
  callee?: string;
  /** Of `load`: address, and bytes. */
  base?: FlowValue;
  offset?: number;
  size?: number;
  /** Of `constant`. */
  number?: bigint;
  /** Of `frame`: bytes from the frame pointer, and which frame's. */
  slot?: { frame: Frame; offset: number };
  /** Registers it was put into, and after which steps. */
  holders: { index: number; register: number }[];
}

export interface Comparison {
  /** Position of the conditional jump in the path. */
  index: number;
  left: FlowValue;
  right: FlowValue | bigint;
  /** As on the path: negated where the jump was not taken. `==`, `!=`, `<`, `<=`, `>`, `>=`, with `s` if signed; `&` and `!&`. */
  relation: string;
  bits: 32 | 64;
}

export interface Slot {
  value: FlowValue;
  size: number;
}

export interface Frame {
  registers: FlowValue[];
  slots: Map<number, Slot>;
  /** Position of the call that entered it; -1 for the first. */
  entered: number;
}

export interface Flow {
  /** Registers before the step that was refused. */
  registers: FlowValue[];
  frame: Frame;
  comparisons: Comparison[];
  /** Calls on the path, with what R1 to R5 held. */
  calls: { index: number; name: string | undefined; arguments: FlowValue[] }[];
  /** Positions of the calls that led into the functions the refused step is in, outermost first. */
  entered: number[];
  instruction(index: number): Instruction;
}

const opposites: Record<string, string> = {
  '==': '!=',
  '!=': '==',
  '<': '>=',
  '>=': '<',
  '>': '<=',
  '<=': '>',
  '&': '!&',
};

export function negated(operator: string): string {
  const signed = operator.startsWith('s') ? 's' : '';
  return `${signed}${opposites[operator.slice(signed.length)] ?? operator}`;
}

const mirrored: Record<string, string> = { '<': '>', '>': '<', '<=': '>=', '>=': '<=' };

/** The relation with its sides exchanged. */
export function turned(relation: string): string {
  const signed = relation.startsWith('s') ? 's' : '';
  const bare = relation.slice(signed.length);
  return `${signed}${mirrored[bare] ?? bare}`;
}

/** As long as a path that is followed; a loop that adds to a variable makes a chain of its rounds. */
const MAX_CHAIN = 60_000;

/** The value that this one is a changed form of, as far back as it can be followed. */
export function rootOf(value: FlowValue): FlowValue {
  return chainOf(value).at(-1) as FlowValue;
}

/** The value and what it was made of, latest first; a pointer plus a number is a form of the pointer. */
export function chainOf(value: FlowValue): FlowValue[] {
  const chain = [value];
  for (let next = value.from; next && chain.length < MAX_CHAIN; next = next.from) chain.push(next);
  return chain;
}
