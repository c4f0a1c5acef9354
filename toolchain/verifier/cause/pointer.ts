/** The story of a pointer: what it points to, what was added to it, what ended it. */
import { chainOf, rootOf, turned } from './flow';
import type { Comparison, FlowValue } from './flow';
import { decisionsBetween } from './decisions';
import { constantAdded, distance } from './trace';
import { numberSteps, originSteps, partsOf } from './value';
import type { CausalStep, Trace } from './trace';

/** Indexes that a reader can tell apart in one expression. */
const MAX_ADDED = 3;

/** An access through a pointer, or a number handed on: the pointer's origin and, more telling, the number added to it. */
export function accessSteps(trace: Trace, value: FlowValue): CausalStep[] {
  // What the refused instruction goes to memory through is meant as an address, whatever the log says of it.
  if (!trace.isPointer(value) && value !== trace.address) {
    const instruction = trace.flow.instruction(trace.here);
    const sum = instruction.kind === 'arithmetic' ? trace.register(instruction.to) : undefined;
    return [...(sum && sum !== value ? originSteps(trace, sum) : []), ...numberSteps(trace, value)];
  }
  const chain = trace.pointerChain(value);
  const pointer = chain.at(-1) as FlowValue;
  const steps = originSteps(trace, pointer);
  const sums = chain.filter((one) => trace.addedTo(one) !== undefined).slice(0, MAX_ADDED);
  for (const sum of sums) {
    steps.push(...numberSteps(trace, trace.addedTo(sum) as FlowValue));
    if (sum.index >= trace.here) continue;
    const range = trace.rangeAdded(sum);
    const bytes = range ? `, as ${range} bytes` : '';
    steps.push(trace.point('change', sum.index, `it is added to the pointer here${bytes}`));
  }
  return trace.isPointer(value) ? steps : [...steps, ...numberSteps(trace, value)];
}

/** Where a copy of the context pointer was moved, which the verifier does not follow. */
export function movedContextSteps(trace: Trace, value: FlowValue): CausalStep[] {
  return trace
    .pointerChain(value)
    .filter((one) => one.kind === 'arithmetic' && one.index < trace.here)
    .slice(0, 1)
    .map((one) => trace.point('change', one.index, 'the context pointer is moved here'));
}

/** Checks of another pointer that may be NULL, which somebody might have meant for this one. */
export function otherNullChecks(trace: Trace, value: FlowValue): CausalStep[] {
  const root = rootOf(value);
  const other = trace.flow.comparisons.findLast(
    ({ left, right, index }) =>
      index > root.index && right === 0n && rootOf(left) !== root && trace.mayBeNull(rootOf(left)),
  );
  if (!other) return [];
  const checked = trace.describe(other.left) ?? 'another value';
  return [trace.point('proof', other.index, `this check is of another pointer: ${checked}`)];
}

/** Checks of the pointer itself that the path took the wrong way: it is NULL here. */
export function isNullCheck(value: FlowValue, { left, right }: Comparison): boolean {
  return right === 0n && rootOf(left) === rootOf(value);
}

/**
 * The call that ended a packet pointer: the last one after it was read, of a helper that may move or change the
 * packet, or of a function of the program's own that may call one.
 */
export function invalidationOf(trace: Trace, value: FlowValue): number | undefined {
  const root = rootOf(value);
  const type = trace.typeOf(root);
  if (type !== 'pkt' && type !== 'pkt_end' && type !== 'pkt_meta') return undefined;
  return trace.flow.calls.findLast(
    ({ index, name }) => index > root.index && (name === undefined || CHANGES_PACKET.test(name)),
  )?.index;
}

const CHANGES_PACKET = /^bpf_(skb|xdp|msg|l3|l4|clone|set_hash|lwt|sk_msg)/;

/** The end of the RCU section in which an object could be relied on. */
export function rcuEndSteps(trace: Trace, value: FlowValue): CausalStep[] {
  const root = rootOf(value);
  const end = trace.flow.calls.findLast(
    ({ index, name }) => index > root.index && name === 'bpf_rcu_read_unlock',
  );
  return end
    ? [trace.point('proof-lost', end.index, 'the RCU section ends here, and what it protected with it')]
    : [];
}

/** Helpers and kernel functions that take back what they or others gave, in the kernel's way of naming them. */
const RELEASES = /^bpf_(\w*(_release|_submit|_discard|_drop|_destroy|_free|_put)(_dynptr|_impl)?|kptr_xchg)$/;
/** What ends all pointers to what was protected. */
const UNLOCKS = /^bpf_\w*_unlock(_irqrestore)?$/;

/** The call that gave an object away, which ends all pointers to it. */
export function releaseOf(trace: Trace, value: FlowValue): { index: number; name: string } | undefined {
  const root = rootOf(value);
  // What a dynptr gave ends with the dynptr.
  const source = trace.flow.calls.find(({ index }) => index === root.index)?.arguments ?? [];
  const isOf = (one: FlowValue) => rootOf(one) === root || source.some((from) => isSameSlot(one, from));
  const release = trace.flow.calls.findLast(
    ({ index, name = '', arguments: given }) =>
      index > root.index && (UNLOCKS.test(name) || (RELEASES.test(name) && given.some(isOf))),
  );
  return release?.name === undefined ? undefined : { index: release.index, name: release.name };
}

/** That call as a point of the story. */
export function releaseSteps(trace: Trace): CausalStep[] {
  const release = trace.subject && releaseOf(trace, trace.subject);
  return release
    ? [trace.point('proof-lost', release.index, `${release.name} gives it back here, so pointers to it end`)]
    : [];
}

function isSameSlot({ slot: one }: FlowValue, { slot: other }: FlowValue): boolean {
  return one !== undefined && one.frame === other?.frame && one.offset === other.offset;
}

/** Why a number is no pointer. */
export function numberAsPointerSteps(trace: Trace, value: FlowValue): CausalStep[] {
  const steps = originSteps(trace, value);
  for (const one of chainOf(value)) {
    const { kind, from, other, instruction, index } = one;
    if (index >= trace.here || !from || !trace.isPointer(from)) continue;
    if (kind === 'converted') {
      steps.push(
        trace.point('proof-lost', index, 'only a part of the pointer is kept here, which makes it a number'),
      );
    } else if (kind === 'arithmetic' && instruction?.kind === 'arithmetic') {
      const difference = instruction.operator === '-' && other && trace.isPointer(other);
      if (difference)
        steps.push(trace.point('proof-lost', index, 'the difference of two pointers is a number'));
    }
  }
  return steps;
}

/** Packet pointers that stem from one read of the context and have the same unknown parts added. */
function familyOf(trace: Trace, value: FlowValue): FlowValue {
  const chain = trace.pointerChain(value);
  return chain.find((one) => trace.addedTo(one) !== undefined) ?? (chain.at(-1) as FlowValue);
}

/** The packet's story: where the pointer was read, what comparisons with the packet's end prove, what came after. */
export function packetSteps(trace: Trace, value: FlowValue): CausalStep[] {
  const family = familyOf(trace, value);
  const chain = trace.pointerChain(value);
  const root = chain.at(-1) as FlowValue;
  const steps: CausalStep[] = [];
  const first = trace.names.atOrigin(root);
  const name = first === undefined ? trace.name(root) : `\`${first}\``;
  if (root.kind === 'load') {
    const from = root.base && trace.typeOf(root.base) === 'ctx' ? ' from the context' : '';
    steps.push(trace.point('origin', root.index, `${name ?? 'the packet pointer'} is read${from} here`));
  } else steps.push(...originSteps(trace, value));
  const checks = trace.flow.comparisons.filter((one) => checkedPointer(trace, one) !== undefined);
  const own = checks.filter((one) => isOfFamily(trace, one, family));
  const last = own.findLast(canProve) ?? own.at(-1) ?? checks.at(-1);
  if (family !== root && family.kind === 'arithmetic') {
    const added = trace.addedTo(family);
    if (added) steps.push(...originSteps(trace, added));
    if (family.index < trace.here) {
      steps.push(
        trace.point(
          own.length ? 'change' : 'proof-lost',
          family.index,
          own.length
            ? 'an unknown number is added here'
            : 'an unknown number is added here: this makes a new pointer, for which no check on the path proves anything',
        ),
      );
    }
  }
  const instead = own.some(canProve) ? [] : lengthSteps(trace);
  steps.push(...instead);
  if (last && (canProve(last) || instead.length === 0))
    steps.push(trace.point('proof', last.index, checkText(trace, last, family, own.includes(last))));
  // A check may stand in a branch that this path does not take.
  if (own.length === 0)
    steps.push(...decisionsBetween(trace, root.index, trace.here, (one) => checks.includes(one)));
  return steps;
}

/** A length that was calculated from the packet's two ends and compared instead of a pointer. */
function lengthSteps(trace: Trace): CausalStep[] {
  for (const { index, left, right } of trace.flow.comparisons.toReversed()) {
    const sides = typeof right === 'object' ? [left, right] : [left];
    const length = sides.flatMap(partsOf).find((part) => isPacketLength(trace, part));
    if (!length) continue;
    return [
      trace.point('proof-lost', length.index, NO_PROOF),
      trace.point('proof', index, 'this comparison is with the calculated length, not with the packet’s end'),
    ];
  }
  // It may be compared only further on, as the limit of a loop whose first round this is.
  const kept = trace.flow.registers.flatMap(partsOf).find((part) => isPacketLength(trace, part));
  return kept ? [trace.point('proof-lost', kept.index, NO_PROOF)] : [];
}

const NO_PROOF =
  'the distance between two packet pointers is a plain number: comparing with it proves nothing about the packet';

function isPacketLength(trace: Trace, { kind, instruction, from, other }: FlowValue): boolean {
  if (kind !== 'arithmetic' || instruction?.kind !== 'arithmetic' || instruction.operator !== '-')
    return false;
  return [from, other].every((part) => part !== undefined && /^pkt/.test(trace.typeOf(rootOf(part)) ?? ''));
}

/** The packet pointer that a comparison compares with the packet's end. */
function checkedPointer(trace: Trace, { left, right }: Comparison): FlowValue | undefined {
  if (typeof right !== 'object') return undefined;
  const [a, b] = [trace.typeOf(left), trace.typeOf(right)];
  // Metadata ends where the packet begins.
  if (b === 'pkt_end' || (a === 'pkt_meta' && b === 'pkt')) return left;
  return a === 'pkt_end' || (b === 'pkt_meta' && a === 'pkt') ? right : undefined;
}

function isOfFamily(trace: Trace, comparison: Comparison, family: FlowValue): boolean {
  const pointer = checkedPointer(trace, comparison);
  return pointer !== undefined && familyOf(trace, pointer) === family;
}

/** MAX_PACKET_OFF of kernel/bpf/verifier.c: what may lie further away is not learned from any comparison. */
const MAX_PACKET_OFFSET = 0xffff;

/** Whether a packet pointer may be so far from the packet's start that no comparison with its end counts. */
export function isBeyondPackets(trace: Trace, value: FlowValue): boolean {
  let farthest = 0;
  for (const one of trace.pointerChain(value)) {
    if (trace.addedTo(one)) farthest += Number(trace.boundsAdded(one)?.umax ?? 0);
    else farthest += constantAdded(one) ?? 0;
  }
  return farthest > MAX_PACKET_OFFSET;
}

/** The verifier learns from the order of whole pointers only. */
function canProve({ relation, bits }: Comparison): boolean {
  return bits === 64 && relation !== '==' && relation !== '!=';
}

function checkText(trace: Trace, comparison: Comparison, family: FlowValue, isOwn: boolean): string {
  const pointer = checkedPointer(trace, comparison);
  if (!isOwn) {
    const which =
      pointer && rootOf(pointer) !== rootOf(family) ? 'read at another place' : 'with another offset';
    return `this comparison with the packet’s end is of another pointer, ${which}`;
  }
  if (!canProve(comparison)) {
    return comparison.bits === 32
      ? 'this comparison with the packet’s end is of 32 bits, which proves nothing'
      : 'this comparison with the packet’s end is for equality, which proves nothing';
  }
  if (pointer && isBeyondPackets(trace, pointer)) {
    return `this comparison with the packet’s end proves nothing, since the pointer may be more than ${MAX_PACKET_OFFSET} bytes from the packet’s start`;
  }
  const bytes = pointer && provenBytes(comparison, pointer, family);
  return bytes === undefined
    ? 'this comparison is the last one with the packet’s end'
    : bytes > 0
      ? `this comparison with the packet’s end proves ${bytes === 1 ? '1 byte' : `${bytes} bytes`}${trace.addedTo(family) ? ' from there on' : ''}`
      : 'this comparison with the packet’s end proves nothing on this path';
}

/** Bytes behind the family's base that a comparison proves on the path it was taken; the base is as far as it is known. */
function provenBytes(
  { left, relation }: Comparison,
  pointer: FlowValue,
  family: FlowValue,
): number | undefined {
  const offset = distance(pointer, family);
  if (Number.isNaN(offset)) return undefined;
  // As `pointer relation end`.
  const order = left === pointer ? relation : turned(relation);
  if (order === '<=') return offset;
  if (order === '<') return offset + 1;
  return order === '>' || order === '>=' ? 0 : undefined;
}
