/** Sees what a run writes to a place and reads of it, instruction by instruction. */
import { isSubprogramCall, writes } from '../../../toolchain/insn/effects';
import { accessSize, Atomic } from '../../../toolchain/insn/opcodes';
import type { OpenedRun } from '../../recorder/open-run';
import { Kind } from '../../recorder/replay/code';
import type { Machine } from '../../recorder/replay/machine';
import { halves, highOf } from '../../recorder/replay/memory';
import type { Hit, Observer } from '../breakpoints/source';
import type { Access } from '../breakpoints/store';
import type { Shown } from '../shown';
import { rootAddress, rootBytes } from './place';
import type { MemoryPlace, RegisterPlace } from './place';

const READ = 1;
const WRITE = 2;
const WANTED: Record<Access, number> = { read: READ, write: WRITE, readWrite: READ | WRITE };
const TOUCHING: ReadonlySet<number> = new Set([Kind.LOAD, Kind.STORE, Kind.ATOMIC, Kind.CALL, Kind.EXIT]);

/**
 * A place in memory. Loads, stores and atomics are seen by their addresses. What a helper does is told by what is
 * different behind its call, and for helpers of maps by the entry they are asked for.
 */
export function observeMemory(run: OpenedRun, place: MemoryPlace, access: Access): Observer {
  const { code } = run;
  const region = new Region(run, place);
  let touched = 0;
  let before: Shown | null | undefined;
  return {
    wants: (insn) => TOUCHING.has(code.kind[insn]!),
    before(machine) {
      const { pc, step } = machine;
      touched = 0;
      before = undefined;
      if (place.call && (step < place.call.from || step >= place.call.to)) return undefined;
      const kind = code.kind[pc];
      if (kind === Kind.CALL || kind === Kind.EXIT) {
        before = rootBytes(run, place);
        if (kind === Kind.CALL) touched = askedOf(run, place, machine);
      } else {
        touched = region.accessBy(machine);
      }
      return undefined;
    },
    after(machine) {
      if (before !== undefined) {
        // A map helper that failed has written nothing.
        const hasFailed = (machine.known & 1) !== 0 && machine.register(0) !== 0n;
        if (hasFailed) touched &= ~WRITE;
        if (isChanged(place, before, rootBytes(run, place))) touched |= WRITE;
      }
      return touched & WANTED[access] ? behind(machine.step) : undefined;
    },
  };
}

/** What a call that is about to run asks of an entry of a map. */
function askedOf({ calls }: OpenedRun, { root }: MemoryPlace, machine: Machine): number {
  const asked = root.kind === 'entry' ? calls.mapCall(machine, machine.pc) : undefined;
  if (!asked || root.kind !== 'entry' || asked.map !== root.map) return 0;
  if (Buffer.compare(asked.key, root.key) !== 0) return 0;
  return asked.operation === 'lookup' ? READ : WRITE;
}

function isChanged({ root, value }: MemoryPlace, was: Shown | null, is: Shown | null): boolean {
  if (was === null || is === null) return was !== is;
  // What a helper leaves on the stack is in the recording; elsewhere a call may only have shown what was there before.
  const isNews = root.kind === 'address' && root.isStack;
  for (let at = value.offset; at < value.offset + value.size; at++) {
    if (was.known[at] && is.known[at] ? was.bytes[at] !== is.bytes[at] : isNews && is.known[at]) return true;
  }
  return false;
}

/** Where a place lies, kept until what it depends on has changed. */
class Region {
  private depends: unknown;
  private lo = 0;
  private hi = 0;
  private isThere = false;

  constructor(
    private readonly run: OpenedRun,
    private readonly place: MemoryPlace,
  ) {}

  /** How the load, store or atomic that is about to run touches the place. */
  accessBy(machine: Machine): number {
    this.locate(machine);
    if (!this.isThere) return 0;
    const { code } = this.run;
    const { pc, registers } = machine;
    const kind = code.kind[pc];
    const isOnlyRead = kind === Kind.LOAD || (kind === Kind.ATOMIC && code.imm[pc] === Atomic.LOAD_ACQUIRE);
    const register = isOnlyRead ? code.src[pc]! : code.dst[pc]!;
    const off = code.off[pc]!;
    const lo = registers.lo[register]!;
    if (highOf(lo, registers.hi[register]!, off) !== this.hi) return 0;
    const distance = ((lo + off) >>> 0) - this.lo;
    const overlaps = distance < this.place.value.size && distance + accessSize(code.code[pc]!) > 0;
    if (!overlaps) return 0;
    return isOnlyRead ? READ : kind === Kind.STORE ? WRITE : READ | WRITE;
  }

  private locate({ packet }: Machine): void {
    const { root, value } = this.place;
    const depends =
      root.kind === 'packet' ? (packet?.data ?? null) : root.kind === 'entry' ? this.run.maps.version : 0;
    if (depends === this.depends) return;
    this.depends = depends;
    const address = rootAddress(this.run, this.place);
    this.isThere = address !== undefined;
    if (address === undefined) return;
    const [lo, hi] = halves(address + BigInt(value.offset));
    this.lo = lo >>> 0;
    this.hi = hi;
  }
}

/** A register in one call of a function. R0 is written by calls; that R1 to R5 are lost by them is no write. */
export function observeRegister({ code }: OpenedRun, { register, call }: RegisterPlace): Observer {
  const isExit = (insn: number) => code.kind[insn] === Kind.EXIT;
  let isWriting = false;
  return {
    wants: (insn) => {
      const decoded = code.insns[insn];
      if (!decoded || isSubprogramCall(decoded)) return false;
      if (isExit(insn) || code.kind[insn] === Kind.CALL) return register === 0;
      return (writes(decoded) & (1 << register)) !== 0;
    },
    before({ pc, step, frames }) {
      // A function that is called writes its caller's R0 as it returns.
      const depth = frames.length - (isExit(pc) ? 1 : 0);
      isWriting = depth === call.depth && step >= call.from && step < call.to;
      return undefined;
    },
    after: ({ step, frames, known }) => {
      const isWritten = isWriting && frames.length === call.depth && (known & (1 << register)) !== 0;
      return isWritten ? behind(step) : undefined;
    },
  };
}

/** A change rests behind the instruction that made it, or before it when the run goes backward. */
function behind(step: number): Hit {
  return { at: step, back: step - 1 };
}
