/** The story of one value: where it began, what was checked of it, and why that was not enough. */
import { chainOf, rootOf, turned } from './flow';
import type { Comparison, FlowValue } from './flow';
import { expressionAt } from './names';
import { isSamePlace } from './trace';
import type { CausalStep, Trace } from './trace';

/** Checks of one value that a reader can take in. */
const MAX_CHECKS = 3;

/** Where a value began. Empty for constants and for what the path does not show. */
export function originSteps(trace: Trace, value: FlowValue): CausalStep[] {
  const root = rootOf(value);
  const name = trace.name(value) ?? trace.name(root);
  const what = name ?? 'the value';
  switch (root.kind) {
    case 'call': {
      const callee = root.callee ?? expressionAt(trace.at(root.index)) ?? 'this call';
      const state = trace.stateOf(root);
      const mayBeNull = state?.mayBeNull ? ', which may be NULL' : '';
      return [trace.point('origin', root.index, `${what} comes from ${callee} here${mayBeNull}`)];
    }
    case 'written':
      return [trace.point('origin', root.index, `${what} is written by ${root.callee ?? 'this call'} here`)];
    case 'load': {
      const state = trace.stateOf(root);
      const size = root.size ?? 8;
      const number =
        state?.type === 'scalar' && size < 8
          ? `, as a number of ${size === 1 ? '8 bits' : `${size * 8} bits`} that may be anything`
          : '';
      return [trace.point('origin', root.index, `${what} is read here${number}`)];
    }
    case 'clobbered': {
      const callee = root.callee ?? 'this call';
      return [
        trace.point(
          'proof-lost',
          root.index,
          `${callee} leaves nothing in R1 to R5, so what R${root.register} held ends here`,
        ),
      ];
    }
    case 'constant':
      return root === value || root.index < 0
        ? []
        : [trace.point('origin', root.index, `${what} is set here`)];
    default:
      return [];
  }
}

/** Checks of a number on the path, and why the refused instruction does not profit from them. */
export function checkSteps(trace: Trace, value: FlowValue): CausalStep[] {
  const ancestors = new Map(chainOf(value).map((one, age) => [one, age]));
  const steps: CausalStep[] = [];
  const { comparisons } = trace.flow;
  for (let at = comparisons.length - 1; at >= 0 && steps.length < MAX_CHECKS * 2; at--) {
    const comparison = comparisons[at] as Comparison;
    const checked = [comparison.left, comparison.right].find(
      (side): side is FlowValue => typeof side === 'object' && trace.areKin(side, value) !== undefined,
    );
    if (!checked) continue;
    steps.unshift(...checkStep(trace, value, checked, comparison, ancestors));
  }
  return steps;
}

function checkStep(
  trace: Trace,
  value: FlowValue,
  checked: FlowValue,
  comparison: Comparison,
  ancestors: Map<FlowValue, number>,
): CausalStep[] {
  const { index } = comparison;
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
  // An index is scaled by the size of an element, which takes nothing from what was proven of it.
  if (age !== undefined && [...ancestors.keys()].slice(0, age).every(isScaling)) {
    const isSigned = comparison.relation.startsWith('s') && !comparison.relation.includes('>');
    const why = isSigned ? 'compares signed numbers, so negative ones pass it' : 'is not enough';
    return [trace.point('proof', index, `${said} ${why}`)];
  }
  if (age !== undefined) {
    // The value was changed after the check.
    const change = [...ancestors.keys()]
      .reverse()
      .find((one) => one.index > index && one.kind !== 'constant');
    const lost = change ? [trace.point('proof-lost', change.index, changeText(change))] : [];
    return [trace.point('proof', index, `${said} is of the value before it is changed`), ...lost];
  }
  const copy = chainOf(checked).find((one) => !ancestors.has(one) && one.kind !== 'constant');
  const how = copyText(checked);
  return [
    ...(copy && copy.index >= 0 && !isOnLine(trace, copy.index, index)
      ? [trace.point('change', copy.index, 'a copy of the value is made here')]
      : []),
    trace.point('proof', index, `${said} is of ${how}, and the value that is used later is not that copy`),
  ];
}

function isScaling({ instruction }: FlowValue): boolean {
  if (instruction?.kind !== 'arithmetic' || !instruction.operand) return false;
  return ['<<', '*'].includes(instruction.operator) && 'constant' in instruction.operand;
}

function isOnLine(trace: Trace, one: number, other: number): boolean {
  const [a, b] = [trace.at(one), trace.at(other)];
  return a !== undefined && b !== undefined && a.path === b.path && a.range.start.line === b.range.start.line;
}

/** What makes a changed copy of a value another value to the verifier. */
function copyText(value: FlowValue): string {
  const operators = chainOf(value)
    .map(({ instruction }) => (instruction?.kind === 'arithmetic' ? instruction.operator : ''))
    .join(' ');
  if (/^s>> <</.test(operators)) return 'a sign-extended copy';
  if (/^>> <</.test(operators)) return 'a zero-extended copy';
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

/** `≤ 64`, as it holds on the path. */
function relationText(checked: FlowValue, { left, right, relation }: Comparison): string {
  const order = (left === checked ? relation : turned(relation)).replace(/^s/, '');
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
  return [...originSteps(trace, value), ...changeSteps(trace, value), ...checkSteps(trace, value)];
}
