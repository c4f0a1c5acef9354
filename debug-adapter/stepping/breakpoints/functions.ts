/** Breakpoints on functions: of the program with code of their own or inlined, and helpers and kfuncs that it calls. */
import { isExit, isHelperCall, isKfuncCall } from '../../../toolchain/insn/effects';
import { helperName } from '../../../toolchain/insn/helper-names';
import type { OpenedRun } from '../../recorder/open-run';
import { hitAt, instructionSource } from './lines';
import type { Sited } from './lines';
import type { Source } from './source';

/** Finds a function by its name; a helper's may be written without `bpf_`. */
export function siteOfFunction(run: OpenedRun, name: string): Sited {
  const { source, code } = run;
  const starts = source.functions.filter((one) => one.name === name).map(({ start }) => start);
  const inlined = inlinedSource(run, name);
  const calls = code.insns.flatMap((_, insn) => {
    const called = calledName(run, insn);
    return called === name || called === `bpf_${name}` ? [insn] : [];
  });
  const sources: Source[] = [];
  if (starts.length > 0) sources.push(entrySource(run, new Set(starts)));
  if (inlined) sources.push(inlined);
  if (calls.length > 0) sources.push(instructionSource(new Set(calls)));
  if (sources.length === 0) return { placement: { verified: false, message: unknown(run, name) } };
  const at = starts[0] === undefined ? undefined : source.placeOf(starts[0]);
  return {
    placement: { verified: true, ...(at ? { path: at.path, line: at.line } : {}) },
    source: sources.length === 1 ? sources[0]! : joined(sources),
  };
}

/** `bpf_map_lookup_elem` of an instruction that calls it; a kfunc by its name in the object. */
export function calledName({ code, source }: OpenedRun, insn: number): string | undefined {
  const decoded = code.insns[insn];
  if (!decoded) return undefined;
  if (isHelperCall(decoded)) return helperName(decoded.imm);
  return isKfuncCall(decoded) ? (source.symbolAt(insn) ?? `kfunc#${decoded.imm}`) : undefined;
}

/** A function's first instruction can be a loop's too; only where a call has led is it the beginning. */
function entrySource({ code }: OpenedRun, starts: ReadonlySet<number>): Source {
  return {
    observer: {
      wants: (insn) => starts.has(insn),
      before: ({ step, frames }, passed) => {
        const before = code.insns[passed.insn];
        // A helper that calls back calls the next time as soon as the function has returned.
        const isCalled = frames.length > passed.depth || (before !== undefined && isExit(before));
        return step === 0 || isCalled ? hitAt(step) : undefined;
      },
    },
  };
}

/**
 * An inlined function begins where the run comes into its code from outside. The compiler mixes its code with its
 * caller's: who comes in again further down has not begun anew, who comes in again above has.
 */
function inlinedSource({ statements, source, code }: OpenedRun, name: string): Source | undefined {
  const instances = new Map<string, number>();
  const instance = Int32Array.from(code.insns, (_, insn) => {
    const frames = source.line[insn]! < 0 ? [] : source.frames(insn);
    const index = frames.slice(0, -1).findIndex((frame) => frame.name === name);
    if (index < 0) return -1;
    const outer = frames.slice(index + 1).map(({ at }) => `${at?.path}:${at?.line}:${at?.column}`);
    const key = outer.join('<');
    if (!instances.has(key)) instances.set(key, instances.size);
    return instances.get(key)!;
  });
  if (instances.size === 0) return undefined;
  const steps: number[] = [];
  /** For each call that has not returned: the instance it is in, and how far each was gone through. */
  const calls: { inside: number; furthest: Map<number, number> }[] = [];
  for (let index = 0; index < statements.count; index++) {
    const depth = statements.depth(index) >> 8;
    const insn = statements.insn(index);
    if (depth >= calls.length) calls.push({ inside: -1, furthest: new Map() });
    calls.length = depth + 1;
    const call = calls[depth] ?? { inside: -1, furthest: new Map<number, number>() };
    calls[depth] = call;
    const inside = instance[insn]!;
    if (inside >= 0) {
      const furthest = call.furthest.get(inside);
      const isNew = call.inside !== inside && (furthest === undefined || insn <= furthest);
      if (isNew) steps.push(statements.step(index));
      call.furthest.set(inside, isNew ? insn : Math.max(insn, furthest ?? 0));
    }
    call.inside = inside;
  }
  return { known: (from, to) => between(steps, from, to).map(hitAt) };
}

/** The numbers of an ascending list that are in [from, to). */
function between(steps: readonly number[], from: number, to: number): number[] {
  const start = firstNotBelow(steps, from);
  return steps.slice(start, firstNotBelow(steps, to));
}

function firstNotBelow(steps: readonly number[], bound: number): number {
  let low = 0;
  let high = steps.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (steps[middle]! < bound) low = middle + 1;
    else high = middle;
  }
  return low;
}

function unknown(run: OpenedRun, name: string): string {
  const { source, code } = run;
  const own = source.functions.map((one) => one.name);
  const inlined = code.insns.flatMap((_, insn) => source.frames(insn).slice(0, -1)).map((one) => one.name);
  const called = code.insns.flatMap((_, insn) => calledName(run, insn) ?? []);
  const names = [...new Set([...own, ...inlined, ...called])];
  return `The program has no function "${name}", and calls none. There are: ${names.join(', ')}.`;
}

function joined(sources: readonly Source[]): Source {
  const observers = sources.flatMap(({ observer }) => (observer ? [observer] : []));
  const tellers = sources.filter(({ known }) => known);
  return {
    known: (from, to) => tellers.flatMap(({ known }) => known!(from, to)),
    observer: {
      wants: (insn) => observers.some((one) => one.wants(insn)),
      before: (machine, passed) => {
        for (const one of observers) {
          const hit = one.wants(machine.pc) ? one.before(machine, passed) : undefined;
          if (hit) return hit;
        }
        return undefined;
      },
    },
  };
}
