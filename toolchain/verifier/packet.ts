/** Packet pointers on the failing path: which registers hold them, what ends them, what they are compared with. */
import { originOf } from './origin';
import type { FailingPath, Step } from './path';

/**
 * Offsets of `data` and `data_end` in the contexts that have them (struct xdp_md, __sk_buff, sk_msg_md and
 * sk_reuseport_md of include/uapi/linux/bpf.h), for logs of kernels that print no register states.
 */
const dataOffsets = new Set(['0', '76']);
const dataEndOffsets = new Set(['4', '8', '80']);

/** What kind of packet pointer a register holds before `steps[before]`, and the load it began as. */
export function packetPointer(
  steps: readonly Step[],
  before: number,
  register: number,
): { kind: 'data' | 'end'; step: Step; index: number } | undefined {
  const origin = originOf(steps, before, register);
  if (!origin?.step || origin.kind === 'call') return undefined;
  const { step, index } = origin;
  if (/=pkt_end\b/.test(step.state)) return { kind: 'end', step, index };
  if (/=pkt(_meta)?\b/.test(step.state)) return { kind: 'data', step, index };
  const load = /^r\d+ = \*\(u(?:32|64) \*\)\(r(\d+) \+(\d+)\)$/.exec(step.text);
  if (!load || step.state || originOf(steps, index, Number(load[1]))?.kind !== 'argument') return undefined;
  const offset = load[2] as string;
  if (dataEndOffsets.has(offset)) return { kind: 'end', step, index };
  return dataOffsets.has(offset) ? { kind: 'data', step, index } : undefined;
}

/**
 * The call that ended the validity of a packet pointer which a register holds: the last one after the pointer was
 * read, of a helper that may move or change the packet, or of a function of the program's that may call one.
 */
export function packetInvalidation(path: FailingPath, before: number, register: number): Step | undefined {
  const pointer = packetPointer(path.steps, before, register);
  return (
    pointer &&
    path.steps
      .slice(pointer.index + 1, before)
      .findLast((step) => /^call (bpf_(skb|xdp|msg|l3|l4|clone|set_hash|lwt|sk_msg)|pc)/.test(step.text))
  );
}

/** The last comparison with the packet's end before a step. */
export function lastPacketCheck(steps: readonly Step[], before: number): Step | undefined {
  for (let index = before - 1; index >= 0; index--) {
    const step = steps[index] as Step;
    const compared = /^if r(\d+) [<>]=? r(\d+) goto/.exec(step.text);
    const withEnd = compared
      ?.slice(1)
      .some((register) => packetPointer(steps, index, Number(register))?.kind === 'end');
    if (withEnd) return step;
  }
  return undefined;
}
