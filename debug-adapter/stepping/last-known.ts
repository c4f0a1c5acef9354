/** Values that variables had when they last were somewhere: the compiler forgets a variable as soon as it is used up. */
import type { DwarfVariable } from '../../toolchain/dwarf/dwarf';
import type { OpenedRun } from '../recorder/open-run';
import { Kind } from '../recorder/replay/code';
import { INTERVAL } from '../recorder/replay/timeline';
import { frameViews } from './frame-view';
import { readVariable } from './locals';
import type { LastKnown, StepFrame } from './moment';

/**
 * How far back is looked at least, in instructions: from where the timeline keeps a state, which is reached at no cost.
 * Re-execution goes through them in a millisecond.
 */
const LOOK_BACK = 2048;

/** Where a variable was somewhere last. */
interface Place {
  step: number;
  /** As it is in scope there, with its location. */
  there: DwarfVariable;
}

/** Goes back through the present call of the frame's function and returns to where the run is. */
export function lastKnownValues(
  run: OpenedRun,
  frame: StepFrame,
  variables: readonly DwarfVariable[],
): Map<DwarfVariable, LastKnown> {
  const { timeline, source, dwarf, types } = run;
  const found = new Map<DwarfVariable, LastKnown>();
  if (!dwarf || !types || variables.length === 0) return found;
  const here = timeline.machine.step;
  const places = findPlaces(run, frame, variables);
  const inOrder = [...places].sort(([, a], [, b]) => a.step - b.step);
  for (const [variable, { step, there }] of inOrder) {
    const machine = timeline.seek(step);
    const place = source.elfPlace(machine.pc);
    const view = frameViews(machine)[0];
    if (!place || !view) continue;
    const shown = readVariable(there, types, view, dwarf.expressionContext(place.section, place.insn));
    if (shown && !shown.known.includes(0))
      found.set(variable, { shown, line: source.placeOf(machine.pc)?.line ?? 0 });
  }
  timeline.seek(here);
  return found;
}

/** Of an instruction, what a search for variables asks of it each time that the run comes by. */
interface Seen {
  /** The variables as they are in scope there, those that are somewhere. */
  located: readonly (DwarfVariable | undefined)[];
  /** Those that are declared on its line, in a block that may be gone into again. */
  declared: readonly DwarfVariable[];
}

function findPlaces(
  run: OpenedRun,
  frame: StepFrame,
  variables: readonly DwarfVariable[],
): Map<DwarfVariable, Place> {
  const { timeline, source, code } = run;
  const places = new Map<DwarfVariable, Place>();
  const { machine } = timeline;
  const here = machine.step;
  const depth = machine.frames.length - Math.floor((frame.id - 1) / 256);
  const lookAt = observer(source, frame, variables);
  const isLeader = leadersOf(run);
  timeline.seek(Math.max(0, Math.floor((here - LOOK_BACK) / INTERVAL)) * INTERVAL);
  /** Instruction before, whatever function it is of, and the last one of this call. */
  let before = -1;
  let lastHere = -1;
  for (; ; before = machine.pc, machine.run()) {
    const { pc, step } = machine;
    // Another call of the function ended here. A helper may make the next one at once.
    const isCalledAgain = before >= 0 && code.kind[before] === Kind.EXIT && code.stackDepth.has(pc);
    if (machine.frames.length < depth || (machine.frames.length === depth && isCalledAgain)) {
      places.clear();
      lastHere = -1;
    }
    if (machine.frames.length === depth) {
      if (lastHere >= 0 && isLeader[pc]) forgetLeft(run, places, lastHere, pc);
      const { located, declared } = lookAt(pc);
      const isNewLine = lastHere < 0 || source.line[pc] !== source.line[lastHere];
      if (isNewLine) for (const variable of declared) places.delete(variable);
      if (step >= here) break;
      located.forEach((there, index) => {
        if (there) places.set(variables[index] as DwarfVariable, { step, there });
      });
      lastHere = pc;
    }
    if (step >= here) break;
  }
  return places;
}

function observer(
  source: OpenedRun['source'],
  frame: StepFrame,
  variables: readonly DwarfVariable[],
): (pc: number) => Seen {
  const own = variables.map(({ frame: index }) => inlinedAt(source, frame.view.insn, index));
  /** Frames listed where the frame's function is the innermost one. */
  const depth = frame.inlined + 1;
  const known: (Seen | undefined)[] = [];
  return (pc) => {
    let seen = known[pc];
    if (!seen) {
      const inScope = source.variables(pc).filter(({ location }) => location.kind !== 'optimised-out');
      const located = variables.map((variable, index) =>
        inScope.find((one) => isSame(one, variable) && inlinedAt(source, pc, one.frame) === own[index]),
      );
      const line = source.frames(pc).length === depth ? source.placeOf(pc)?.line : undefined;
      const declared = variables.filter((variable) => variable.block && variable.line === line);
      known[pc] = seen = { located, declared };
    }
    return seen;
  };
}

/** 1 for instructions that begin a basic block: control may come there from elsewhere than the one above. */
function leadersOf({ code }: OpenedRun): Uint8Array {
  const leaders = new Uint8Array(code.insns.length);
  code.kind.forEach((kind, insn) => {
    if (kind !== Kind.JUMP && kind !== Kind.MAY_GOTO) return;
    leaders[code.target[insn]!] = 1;
    leaders[code.next[insn]!] = 1;
  });
  return leaders;
}

/**
 * Forgets the variables of C blocks that control leaves, or goes into, between two basic blocks: those of a loop's next
 * round are others of the same names. What lives longer than a round is of a C block that control stays in, or of the
 * function itself. Within a basic block the compiler orders instructions of several C blocks as it likes; and of a loop
 * that it has unrolled only the declarations tell the rounds apart.
 */
function forgetLeft(
  { source, code }: OpenedRun,
  places: Map<DwarfVariable, Place>,
  from: number,
  to: number,
): void {
  const [last, now] = [source.elfPlace(from)?.insn ?? -1, source.elfPlace(to)?.insn ?? -1];
  const isJump = to !== code.next[from];
  for (const variable of places.keys()) {
    const { block } = variable;
    const stays =
      !block ||
      (block.some(({ first, end }) => last >= first && last < end) &&
        block.some(({ first, end }) => now >= (isJump ? first + 1 : first) && now < end));
    if (!stays) places.delete(variable);
  }
}

/** The calls that led into a function where it is inlined: another call of it has other variables of the same names. */
function inlinedAt(source: OpenedRun['source'], insn: number, frame: number): string {
  const calls = source.frames(insn).slice(frame + 1);
  return calls.map(({ name, at }) => `${name}:${at?.path}:${at?.line}:${at?.column}`).join('<');
}

function isSame(one: DwarfVariable, other: DwarfVariable): boolean {
  return one.name === other.name && one.line === other.line && one.type === other.type;
}
