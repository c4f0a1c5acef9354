/** Values that variables had when they last were somewhere: the compiler forgets a variable as soon as it is used up. */
import type { DwarfVariable } from '../../toolchain/dwarf/dwarf';
import type { OpenedRun } from '../recorder/open-run';
import { frameViews } from './frame-view';
import { readVariable } from './locals';
import type { LastKnown, StepFrame } from './moment';

/** How far back is looked at least, in instructions, and at most: re-execution goes through them in a millisecond. */
const LOOK_BACK = 2048;
/** The run is looked through from where its timeline keeps a state, which is reached at no cost. */
const INTERVAL = 8192;

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

function findPlaces(
  { timeline, source }: OpenedRun,
  frame: StepFrame,
  variables: readonly DwarfVariable[],
): Map<DwarfVariable, Place> {
  const places = new Map<DwarfVariable, Place>();
  const own = variables.map(({ frame: index }) => inlinedAt(source, frame.view.insn, index));
  const { machine } = timeline;
  const here = machine.step;
  const depth = machine.frames.length - Math.floor((frame.id - 1) / 256);
  /** The variables as they are in scope at an instruction, if they are somewhere there. */
  const known = new Map<number, (DwarfVariable | undefined)[]>();
  timeline.seek(Math.max(0, Math.floor((here - LOOK_BACK) / INTERVAL)) * INTERVAL);
  for (; machine.step < here; machine.run()) {
    // Another call of the function ended here.
    if (machine.frames.length < depth) places.clear();
    if (machine.frames.length !== depth) continue;
    const { pc, step } = machine;
    let located = known.get(pc);
    if (!located) {
      const inScope = source.variables(pc).filter(({ location }) => location.kind !== 'optimised-out');
      located = variables.map((variable, index) =>
        inScope.find((one) => isSame(one, variable) && inlinedAt(source, pc, one.frame) === own[index]),
      );
      known.set(pc, located);
    }
    located.forEach((there, index) => {
      if (there) places.set(variables[index] as DwarfVariable, { step, there });
    });
  }
  return places;
}

/** The calls that led into a function where it is inlined: another call of it has other variables of the same names. */
function inlinedAt(source: OpenedRun['source'], insn: number, frame: number): string {
  const calls = source.frames(insn).slice(frame + 1);
  return calls.map(({ name, at }) => `${name}:${at?.path}:${at?.line}:${at?.column}`).join('<');
}

function isSame(one: DwarfVariable, other: DwarfVariable): boolean {
  return one.name === other.name && one.line === other.line && one.type === other.type;
}
