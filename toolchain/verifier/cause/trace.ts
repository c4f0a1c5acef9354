/** What a search for causes works on: the failing path, the values on it, and their names and places in the source. */
import type { Classified } from '../catalogue';
import type { FailingPath, Step } from '../path';
import type { SourcePositions, SourceSpan } from '../position';
import { parseState } from '../state';
import { anyNumber } from '../value';
import type { Bounds, Value } from '../value';
import { chainOf, rootOf } from './flow';
import type { Flow, FlowValue } from './flow';
import { followValues } from './follow';
import { expressionAt } from './names';
import type { Names } from './names';

export type CausalKind =
  /** Where a value came from. */
  | 'origin'
  /** What was done to it on the way. */
  | 'change'
  /** A check that proves something about it. */
  | 'proof'
  /** Where what was proven stopped to hold, or never applied. */
  | 'proof-lost'
  /** A branch that the path takes. */
  | 'decision'
  /** Where a reference or lock was taken. */
  | 'acquired'
  /** The loop that the path is in. */
  | 'loop'
  /** A variable that takes stack. */
  | 'stack';

/** How a number of `bits` bits was taken out of one of 64. */
export interface Extension {
  how: 'sign-extended' | 'zero-extended';
  bits: number;
}

/** One point of the story that ends in the failure. */
export interface CausalStep {
  kind: CausalKind;
  /** Undefined for objects without line information. */
  at?: SourceSpan;
  /** Instruction there; -1 for a declaration, which has none. */
  instruction: number;
  /** Position in {@link FailingPath.steps}; -1 for a declaration. */
  step: number;
  message: string;
  /** Present when a check is of a copy of the low bits that the compiler made: the value it was made of. */
  extended?: Extension & { of: string | undefined };
}

export interface TraceInput {
  path: FailingPath;
  positions: SourcePositions;
  names: Names;
  classified: Classified;
  /** Where the failure is. */
  failing: SourceSpan | undefined;
  /** Zero-based line of the `else` that belongs to the `if` at a place; absent without the source. */
  elseLine: ((at: SourceSpan) => number | undefined) | undefined;
}

/** Loads whose result is a packet pointer, for kernels that print no states: struct xdp_md, __sk_buff, sk_msg_md, … */
const DATA_OFFSETS = new Set([0, 76]);
const DATA_END_OFFSETS = new Set([4, 8, 80]);

/** Helpers whose result points into a map's value, for the same kernels. */
const GIVES_MAP_VALUE = /^bpf_(map_lookup_elem|\w*_storage_get|get_local_storage)$/;

/** Helpers that return a pointer or NULL, for the same kernels. */
const GIVES_POINTER_OR_NULL =
  /^bpf_(map_lookup_(percpu_)?elem|\w+_storage_get|skc?_lookup_\w+|ringbuf_reserve|per_cpu_ptr)$/;

/** Beyond this the verifier adds nothing to a pointer (BPF_MAX_VAR_OFF): the number is as good as unlimited. */
const FAR = 1n << 29n;

export class Trace {
  readonly path: FailingPath;
  readonly positions: SourcePositions;
  /** May be refined when the path is known. */
  classified: Classified;
  readonly failing: SourceSpan | undefined;
  readonly elseLine: TraceInput['elseLine'];
  readonly flow: Flow;
  readonly names: Names;
  /** Position in the path of the refused step, or one past the last. */
  readonly here: number;
  private readonly states = new Map<FlowValue, Value | undefined>();
  private readonly typeNames = new Map<FlowValue, string | undefined>();

  constructor({ path, positions, names, classified, failing, elseLine }: TraceInput) {
    this.path = path;
    this.positions = positions;
    this.classified = classified;
    this.failing = failing;
    this.elseLine = elseLine;
    // The refused instruction is logged before it is checked, so it is the last step, not one after it.
    this.here = path.steps.at(-1)?.insn === path.insn ? path.steps.length - 1 : path.steps.length;
    this.flow = followValues(path.steps, this.here, path.validating ? 5 : 1);
    this.names = names;
  }

  step(index: number): Step | undefined {
    return this.path.steps[index];
  }

  /** Where a step of the path is in the source. */
  at(index: number): SourceSpan | undefined {
    const insn = this.step(index)?.insn;
    return insn === undefined ? undefined : this.positions.at(insn);
  }

  /** ` on line 12`, empty where it is not known. */
  line(index: number): string {
    const at = this.at(index);
    return at ? ` on line ${at.range.start.line + 1}` : '';
  }

  /** A causal step at a step of the path. */
  point(kind: CausalKind, index: number, message: string): CausalStep {
    const at = this.at(index);
    const instruction = this.step(index)?.insn ?? -1;
    return { kind, instruction, step: index, message, ...(at ? { at } : {}) };
  }

  /** What a register holds when the refused instruction runs. */
  register(number: number | undefined): FlowValue | undefined {
    return number === undefined ? undefined : this.flow.registers[number];
  }

  /**
   * The value that the failure is about: of the register that the kernel names, else of the one through which the
   * refused instruction goes to memory.
   */
  get subject(): FlowValue | undefined {
    const register = /\bR(\d+)\b/;
    const named = register.exec(this.classified.line)?.[1] ?? argumentRegister(this.classified.line);
    if (named !== undefined) return this.register(Number(named));
    const instruction = this.flow.instruction(this.here);
    if (this.address) return this.address;
    // A number that is added to a pointer is what such messages are about.
    if (instruction.kind === 'arithmetic') {
      const { operand, to } = instruction;
      return this.register(operand && 'register' in operand ? operand.register : to);
    }
    const further = register.exec(this.path.terminal.join(' '))?.[1];
    return further === undefined ? undefined : this.register(Number(further));
  }

  /** The same in backquotes. */
  name(value: FlowValue): string | undefined {
    const name = this.variable(value);
    return name === undefined ? undefined : `\`${name}\``;
  }

  /** What the refused instruction goes to memory through. */
  get address(): FlowValue | undefined {
    const instruction = this.flow.instruction(this.here);
    return 'base' in instruction ? this.register(instruction.base) : undefined;
  }

  /** Name of the variable that has or had a value. */
  variable(value: FlowValue): string | undefined {
    return this.names.ofValue(value, this.here, this.flow.registers);
  }

  /** What the verifier knew of a value when it was made; undefined where the kernel printed no state. */
  stateOf(value: FlowValue): Value | undefined {
    if (!this.states.has(value)) {
      const state = this.step(value.index)?.state;
      const registers = state ? parseState(state).registers : [];
      this.states.set(value, registers.find(({ number }) => number === value.register)?.value);
    }
    return this.states.get(value);
  }

  /** Whether a value may be NULL where it begins, by the log or, where that prints no states, by what was called. */
  mayBeNull(value: FlowValue): boolean {
    return (
      this.stateOf(value)?.mayBeNull ??
      (value.kind === 'call' && GIVES_POINTER_OR_NULL.test(value.callee ?? ''))
    );
  }

  /** `pkt`, `pkt_end`, `map_value`, `scalar`, …, as far as the log or the instructions tell. */
  typeOf(value: FlowValue): string | undefined {
    // Without recursion, as a loop that adds up makes a value of many thousand parts; each part is looked at once.
    const waiting = [value];
    for (let one = waiting.at(-1); one; one = waiting.at(-1)) {
      const parts = one.kind === 'arithmetic' && !this.stateOf(one) ? [one.from, one.other] : [];
      const unread = parts.filter((part) => part !== undefined && !this.typeNames.has(part));
      if (unread.length > 0 && !this.typeNames.has(one)) waiting.push(...(unread as FlowValue[]));
      else this.typeNames.set(waiting.pop() as FlowValue, this.typeFromParts(one));
    }
    return this.typeNames.get(value);
  }

  /** The same, when the types of the value's parts are known. */
  private typeFromParts(value: FlowValue): string | undefined {
    if (value.kind === 'frame') return 'fp';
    const state = this.stateOf(value);
    if (state) return state.type;
    if (value.kind === 'argument') return this.path.validating ? undefined : 'ctx';
    if (value.kind === 'load' && value.base?.kind === 'argument' && !this.path.validating) {
      if (!value.size || value.size < 4) return undefined;
      if (DATA_END_OFFSETS.has(value.offset ?? -1)) return 'pkt_end';
      return DATA_OFFSETS.has(value.offset ?? -1) ? 'pkt' : undefined;
    }
    if (value.kind === 'call' && GIVES_MAP_VALUE.test(value.callee ?? '')) return 'map_value';
    if (value.kind === 'call' && value.callee === 'bpf_ringbuf_reserve') return 'mem';
    if (value.kind === 'arithmetic') {
      const parts = [value.from, value.other].map((part) => part && this.typeNames.get(part));
      const pointers = parts.filter((type) => type !== undefined && type !== 'scalar');
      // Nothing is left of two pointers but the distance between them.
      return pointers.length > 1 ? 'scalar' : pointers[0];
    }
    return undefined;
  }

  isPointer(value: FlowValue): boolean {
    const type = this.typeOf(value);
    return type !== undefined && type !== 'scalar';
  }

  /** A pointer's earlier forms, latest first. A number plus a pointer is a form of the pointer, too. */
  pointerChain(value: FlowValue): FlowValue[] {
    const chain = [value];
    for (;;) {
      const last = chain.at(-1) as FlowValue;
      if (chain.length > 10_000 || !last.from) return chain;
      const swapped = last.other && !this.isPointer(last.from) && this.isPointer(last.other);
      chain.push(swapped ? (last.other as FlowValue) : last.from);
    }
  }

  /** The number that was added to a pointer and is not a constant, if this value was made by that. */
  addedTo(value: FlowValue): FlowValue | undefined {
    if (value.kind !== 'arithmetic' || !value.from || !value.other) return undefined;
    const swapped = !this.isPointer(value.from) && this.isPointer(value.other);
    const added = swapped ? value.from : value.other;
    return added.kind === 'constant' ? undefined : added;
  }

  /** What the verifier knew of that number; undefined where the log does not tell. */
  boundsAdded(sum: FlowValue): Bounds | undefined {
    const { instruction, index, other } = sum;
    if (instruction?.kind !== 'arithmetic' || !instruction.operand || !('register' in instruction.operand))
      return undefined;
    const number = this.addedTo(sum) === other ? instruction.operand.register : instruction.to;
    const known = this.path.states.before(index).registers[number];
    return known?.type === 'scalar' ? known.bounds : undefined;
  }

  /** The same as `0 to 112`; undefined also where no limit is known that helps. */
  rangeAdded(sum: FlowValue): string | undefined {
    const { smin, smax } = this.boundsAdded(sum) ?? anyNumber;
    if (smin < -FAR || smax > FAR) return undefined;
    return smin === smax ? `${smin}` : `${smin} to ${smax}`;
  }

  /** Whether two values began as the same one, or were read from the same place one after the other. */
  areKin(one: FlowValue, other: FlowValue): 'same' | 'reread' | undefined {
    const [a, b] = [rootOf(one), rootOf(other)];
    if (a === b) return a.kind === 'unknown' || a.kind === 'constant' ? undefined : 'same';
    if (a.kind !== 'load' || b.kind !== 'load' || !a.base || !b.base) return undefined;
    const sameBase = a.base === b.base || this.areKin(a.base, b.base) !== undefined;
    return sameBase && a.offset === b.offset && a.size === b.size && distance(a.base) === distance(b.base)
      ? 'reread'
      : undefined;
  }

  /**
   * `` `v` (the result of bpf_map_lookup_elem on line 9) ``, or as much of it as the path tells; undefined when it
   * tells nothing.
   */
  describe(value: FlowValue): string | undefined {
    const name = this.name(value);
    const root = rootOf(value);
    const origin = this.originText(root, value);
    if (root.kind === 'argument') return origin ?? name;
    const told = origin && isComputed(value) ? `computed from ${origin}` : origin;
    if (name && told) return `${name} (${told})`;
    return name ?? (told && told !== origin ? `a value ${told}` : told);
  }

  private originText(root: FlowValue, value: FlowValue): string | undefined {
    const line = this.line(root.index);
    switch (root.kind) {
      case 'argument':
        return this.path.validating
          ? `argument ${root.register} of \`${this.path.validating}\``
          : root === value
            ? 'the context'
            : undefined;
      case 'call':
        return root.callee ? `the result of ${root.callee}${line}` : `the result of a call${line}`;
      case 'written':
        return `what ${root.callee} wrote${line}`;
      case 'load': {
        // The compiler may move a load to where its value is used, and give it that place: then the place says nothing.
        const at = this.at(root.index);
        const moved =
          !at || (this.failing && isSamePlace(at, this.failing)) || /^\w+\s*\(/.test(at.expression);
        const expression = moved ? undefined : expressionAt(at);
        if (expression) return `the value of ${expression}${line}`;
        return moved ? undefined : `a value read${line}`;
      }
      default:
        return undefined;
    }
  }
}

/** Whether more was done to a value on its way than taking another width of it, for which clang shifts there and back. */
function isComputed(value: FlowValue): boolean {
  return chainOf(value).some(({ instruction, kind }) => {
    if (kind !== 'arithmetic' || instruction?.kind !== 'arithmetic') return false;
    const { operator, operand } = instruction;
    const isShift = operator === '<<' || operator === '>>' || operator === 's>>';
    return !isShift || !operand || !('constant' in operand) || operand.constant < 32n;
  });
}

/** Register of an argument that is named by its position: from 0 for kernel functions, from 1 for helpers. */
function argumentRegister(line: string): string | undefined {
  const position = /\b(?:arg ?#|trusted arg)(\d)/.exec(line)?.[1];
  if (position !== undefined) return String(Number(position) + 1);
  return /\bhelper arg(\d)/.exec(line)?.[1];
}

/** Constant distance of a pointer from its root, or from an earlier form of it; NaN when something unknown was added. */
export function distance(value: FlowValue, from?: FlowValue): number {
  let sum = 0;
  for (const one of chainOf(value)) {
    if (one === from) break;
    if (one.kind !== 'arithmetic') continue;
    const step = constantAdded(one);
    if (step === undefined) return NaN;
    sum += step;
  }
  return sum;
}

/** What a value's instruction adds, when that is a constant. */
export function constantAdded({ instruction, from, other }: FlowValue): number | undefined {
  if (instruction?.kind !== 'arithmetic') return undefined;
  const { operator, operand } = instruction;
  const by =
    operand && 'constant' in operand
      ? operand.constant
      : (other?.number ?? (operator === '+' ? from?.number : undefined));
  if (by === undefined || (operator !== '+' && operator !== '-')) return undefined;
  return operator === '+' ? Number(by) : -Number(by);
}

export function isSamePlace(a: SourceSpan, b: SourceSpan): boolean {
  const [one, other] = [a.range.start, b.range.start];
  return a.path === b.path && one.line === other.line && one.character === other.character;
}
