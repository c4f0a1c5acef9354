/** The story of one value: where it began, what was checked of it, and why that was not enough. */
import { chainOf, rootOf, turned } from './flow';
import type { Comparison, FlowValue } from './flow';
import { expressionAt } from './names';
import { isSamePlace } from './trace';
import type { CausalStep, Extension, Trace } from './trace';

/** Checks of one value that a reader can take in. */
const MAX_CHECKS = 3;
/** A loop that adds up makes a value of as many parts as it has rounds. */
const MAX_PARTS = 200;
const MAX_ROOTS = 3;

/** Where a value began, and the calls that handed it on. Empty for constants and for what the path does not show. */
export function originSteps(trace: Trace, value: FlowValue): CausalStep[] {
  const root = rootOf(value);
  const first = originStep(trace, root, value);
  return first ? [first, ...handovers(trace, root)] : [];
}

function originStep(trace: Trace, root: FlowValue, value: FlowValue): CausalStep | undefined {
  const name = trace.names.atOrigin(root);
  const what = name === undefined ? (trace.name(value) ?? 'the value') : `\`${name}\``;
  const { index } = root;
  const isOfNull = trace.classified.entry.id.includes('null-');
  const mayBeNull = isOfNull && trace.mayBeNull(root) ? ', which may be NULL' : '';
  switch (root.kind) {
    case 'call': {
      const callee = root.callee ?? expressionAt(trace.at(index)) ?? 'this call';
      return trace.point('origin', index, `${what} comes from ${callee} here${mayBeNull}`);
    }
    case 'written':
      return trace.point('origin', index, `${what} is written by ${root.callee ?? 'this call'} here`);
    case 'load':
      return trace.point('origin', index, `${what} is read here${mayBeNull || readAs(trace, root)}`);
    case 'clobbered': {
      const callee = root.callee ?? 'this call';
      const message = `${callee} leaves nothing in R1 to R5, so what R${root.register} held ends here`;
      return trace.point('proof-lost', index, message);
    }
    case 'constant':
      return root === value || index < 0 ? undefined : constantStep(trace, root);
    default:
      return undefined;
  }
}

/** Where a constant comes into the story; the compiler may have put it far from where the source has it. */
export function constantStep(trace: Trace, { number, index, instruction }: FlowValue): CausalStep {
  const is32 = instruction?.kind === 'constant' && !instruction.wide;
  const spelled_ = number === undefined ? '' : ` ${is32 ? BigInt.asIntN(32, number) : number}`;
  return trace.point('origin', index, `the value${spelled_} is set here`);
}

/** What a load gives: where the verifier keeps no types, a number. */
function readAs(trace: Trace, root: FlowValue): string {
  const { base, size = 8 } = root;
  if (trace.isPointer(root)) return '';
  if (size < 8) return `, as a number of ${size * 8} bits that may be anything`;
  const type = base && trace.typeOf(base);
  if (type === 'map_value') return ' from a map value, in which everything is a number';
  return '';
}

/** Calls of the program's own functions that the value was an argument of. */
function handovers(trace: Trace, { index }: FlowValue): CausalStep[] {
  return trace.flow.entered
    .filter((entry) => entry > index)
    .map((entry) => {
      const insn = trace.step(entry + 1)?.insn;
      const callee = insn === undefined ? undefined : trace.names.function(insn);
      return trace.point(
        'change',
        entry,
        `${callee ? `\`${callee}\`` : 'a function'} is called with it here`,
      );
    });
}

/** What a number was computed of, the value itself first: `a + b` is made of both. */
export function partsOf(value: FlowValue): FlowValue[] {
  const parts = new Set([value]);
  for (const one of parts) {
    if (parts.size > MAX_PARTS) break;
    if (one.from) parts.add(one.from);
    if (one.other && one.other.kind !== 'constant') parts.add(one.other);
  }
  return [...parts];
}

/** Checks of a number on the path, and why the refused instruction does not profit from them. */
export function checkSteps(trace: Trace, value: FlowValue): CausalStep[] {
  const ancestors = new Map(partsOf(value).map((one, age) => [one, age]));
  const roots = rootsOf(value);
  const steps: CausalStep[] = [];
  const { comparisons } = trace.flow;
  for (let at = comparisons.length - 1; at >= 0 && steps.length < MAX_CHECKS * 2; at--) {
    const comparison = comparisons[at] as Comparison;
    for (const root of roots) {
      const checked = [comparison.left, comparison.right].find(
        (side): side is FlowValue => typeof side === 'object' && trace.areKin(side, root) !== undefined,
      );
      if (!checked) continue;
      steps.unshift(...checkStep(trace, root, checked, comparison, ancestors));
      break;
    }
  }
  return steps;
}

/** What a number's parts began as. */
function rootsOf(value: FlowValue): FlowValue[] {
  const roots = new Set(partsOf(value).filter((one) => !one.from));
  return [...roots].slice(0, MAX_ROOTS);
}

function checkStep(
  trace: Trace,
  value: FlowValue,
  checked: FlowValue,
  comparison: Comparison,
  ancestors: Map<FlowValue, number>,
): CausalStep[] {
  const { index } = comparison;
  // A comparison with NULL or zero bounds nothing; only whether a size may be zero hangs on it.
  if (
    comparison.right === 0n &&
    comparison.relation === '!=' &&
    trace.classified.entry.id !== 'bpf/size-zero'
  ) {
    return [];
  }
  const said = `this check (${relationText(checked, comparison)})`;
  if (trace.areKin(checked, value) === 'reread') {
    const again = rootOf(value);
    const first = rootOf(checked);
    if (again.index < first.index) return [];
    return [
      trace.point('proof', index, `${said} is of an earlier read of the same place`),
      trace.point(
        'proof-lost',
        again.index,
        'it is read again here, and nothing is known of what is read now',
      ),
    ];
  }
  const age = ancestors.get(checked);
  const changes = age === undefined ? [] : [...ancestors.keys()].slice(0, age);
  // An index is scaled by the size of an element, which takes nothing from what was proven of it.
  if (age !== undefined && changes.every((one) => isScaling(one) || isWidening(one) || isMasking(one))) {
    const holds = orderOf(checked, comparison);
    const side = missingSide(trace);
    // What bounds the other end is not what is missing.
    if (side === 'upper' && holds.includes('>')) return [];
    if (side === 'lower' && holds.startsWith('s>')) return [];
    const letsNegativePass = holds.startsWith('s<') && side !== 'upper';
    const isLost = changes.some(isWidening) && !letsNegativePass && side === undefined;
    if (!isLost) return [trace.point('proof', index, `${said} ${shortcoming(trace, holds, side)}`)];
  }
  if (age !== undefined) {
    // The value was changed after the check.
    const change = [...ancestors.keys()]
      .filter((one) => one.index > index && (one.kind === 'arithmetic' || one.kind === 'converted'))
      .sort((a, b) => a.index - b.index)[0];
    const lost = change ? [trace.point('proof-lost', change.index, changeText(change))] : [];
    return [trace.point('proof', index, `${said} is of the value before it is changed`), ...lost];
  }
  const copy = chainOf(checked).find((one) => !ancestors.has(one) && one.kind !== 'constant');
  const how = copyText(checked);
  const extended = extensionOf(checked);
  return [
    ...(copy && copy.index >= 0 && !isOnLine(trace, copy.index, index)
      ? [trace.point('change', copy.index, 'a copy of the value is made here')]
      : []),
    {
      ...trace.point(
        'proof',
        index,
        `${said} is of ${how}, and the value that is used later is not that copy`,
      ),
      ...(extended && { extended: { of: trace.name(value), ...extended } }),
    },
  ];
}

/** Which end of a number's range the kernel misses a bound of; undefined where its words do not tell. */
function missingSide({ classified, path }: Trace): 'lower' | 'upper' | undefined {
  if (/-negative$/.test(classified.entry.id)) return 'lower';
  if (!/-bounds$/.test(classified.entry.id)) return undefined;
  const words = path.terminal.join(' ');
  if (/\bmax value is outside/.test(words)) return 'upper';
  return /\bmin value is (negative|outside)|\boff=-/.test(words) ? 'lower' : undefined;
}

function shortcoming(trace: Trace, holds: string, side: 'lower' | 'upper' | undefined): string {
  if (trace.classified.entry.id === 'bpf/size-zero' && holds.includes('<')) return 'lets zero pass';
  if (holds.startsWith('s<') && side !== 'upper') return 'compares signed numbers, so negative ones pass it';
  return side === 'upper' && holds.includes('<') ? 'lets numbers pass that are too large' : 'is not enough';
}

/** The 32-bit copies and pairs of shifts by which clang takes another width of a number. */
function isWidening({ kind, instruction }: FlowValue): boolean {
  if (kind === 'converted') return true;
  if (instruction?.kind !== 'arithmetic' || !instruction.operand) return false;
  const { operator, operand } = instruction;
  return ['<<', '>>', 's>>'].includes(operator) && 'constant' in operand && operand.constant >= 32n;
}

function isScaling({ instruction }: FlowValue): boolean {
  if (instruction?.kind !== 'arithmetic' || !instruction.operand) return false;
  return ['<<', '*'].includes(instruction.operator) && 'constant' in instruction.operand;
}

/** Bits that are cleared make no number larger, and none negative. */
function isMasking(value: FlowValue): boolean {
  const operation = constantOperation(value);
  return operation?.operator === '&' && operation.by >= 0n;
}

function isOnLine(trace: Trace, one: number, other: number): boolean {
  const [a, b] = [trace.at(one), trace.at(other)];
  return a !== undefined && b !== undefined && a.path === b.path && a.range.start.line === b.range.start.line;
}

/**
 * A copy of the low 8, 16 or 32 bits: by `w1 = w2`, `r1 = (s16)r2` or a mask, or before -mcpu=v3 by a pair of shifts
 * (`<<= 48`, `s>>= 48`).
 */
function extensionOf(value: FlowValue): Extension | undefined {
  const { kind, instruction: made, from } = value;
  if (kind === 'converted' && made?.kind === 'move' && made.bits < 64)
    return { how: made.signed ? 'sign-extended' : 'zero-extended', bits: made.bits };
  const operation = constantOperation(value);
  const before = from && constantOperation(from);
  if (operation?.operator === '&') {
    const bits = [8, 16, 32].find((width) => operation.by === (1n << BigInt(width)) - 1n);
    return bits === undefined ? undefined : { how: 'zero-extended', bits };
  }
  if (!operation || before?.operator !== '<<' || before.by !== operation.by) return undefined;
  const bits = 64 - Number(operation.by);
  if (operation.operator === 's>>') return { how: 'sign-extended', bits };
  return operation.operator === '>>' ? { how: 'zero-extended', bits } : undefined;
}

/** Arithmetic of 64 bits by a constant. */
function constantOperation({ instruction }: FlowValue): { operator: string; by: bigint } | undefined {
  if (instruction?.kind !== 'arithmetic' || instruction.bits !== 64 || !instruction.operand) return undefined;
  const { operator, operand } = instruction;
  return 'constant' in operand ? { operator, by: operand.constant } : undefined;
}

/** What makes a changed copy of a value another value to the verifier. */
function copyText(value: FlowValue): string {
  const extended = extensionOf(value);
  if (extended) return `a ${extended.how} copy`;
  if (value.kind === 'converted')
    return value.instruction?.kind === 'load' ? 'a part of it' : 'a converted copy';
  return 'a changed copy';
}

function changeText({ instruction, kind }: FlowValue): string {
  if (kind === 'converted') return 'a conversion to another width or sign makes a new value here';
  const operator = instruction?.kind === 'arithmetic' ? instruction.operator : '';
  const words: Record<string, string> = {
    '<<': 'it is shifted left here, which may carry bits out of what was checked',
    's>>': 'it becomes a signed number here',
    '*': 'it is multiplied here',
    '+': 'something is added to it here',
    '-': 'something is subtracted from it here, which may take it below zero',
    '|': 'bits are set in it here',
  };
  return words[operator] ?? 'it is changed here, after the check';
}

const spelled: Record<string, string> = {
  '==': '=',
  '!=': '≠',
  '<': '<',
  '<=': '≤',
  '>': '>',
  '>=': '≥',
  '&': 'has bits of',
  '!&': 'has no bit of',
};

/** The relation that holds of a value on the path, the value standing on the left. */
function orderOf(checked: FlowValue, { left, relation }: Comparison): string {
  return left === checked ? relation : turned(relation);
}

/** `≤ 64`, as it holds on the path. */
function relationText(checked: FlowValue, comparison: Comparison): string {
  const { right } = comparison;
  const order = orderOf(checked, comparison).replace(/^s/, '');
  return `${spelled[order] ?? order} ${typeof right === 'bigint' ? right : 'another value'}`;
}

/** What arithmetic did to a number that no check limits: only what widens it. */
export function changeSteps(trace: Trace, value: FlowValue): CausalStep[] {
  const widening = chainOf(value).filter(
    ({ kind, instruction }) =>
      kind === 'arithmetic' &&
      instruction?.kind === 'arithmetic' &&
      (instruction.operator === '*' || instruction.operator === '-' || instruction.operator === 's>>'),
  );
  const [last] = widening;
  if (!last || last.index >= trace.here) return [];
  const at = trace.at(last.index);
  if (at && trace.failing && isSamePlace(at, trace.failing)) return [];
  return [trace.point('change', last.index, changeText(last))];
}

/** A number's whole story. */
export function numberSteps(trace: Trace, value: FlowValue): CausalStep[] {
  const roots = rootsOf(value);
  const origins =
    roots.length > 1 ? roots.flatMap((root) => originSteps(trace, root)) : originSteps(trace, value);
  return [...origins, ...changeSteps(trace, value), ...checkSteps(trace, value)];
}
