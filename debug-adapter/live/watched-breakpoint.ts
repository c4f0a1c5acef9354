/** Breakpoints in attached programs: where they stand, and what they ask of each snapshot. */
import { parseCondition, parseLogMessage } from '../expressions/condition';
import type { Condition, LogMessage } from '../expressions/condition';
import { parseHitCondition } from '../stepping/breakpoints/hit-condition';
import type { HitCondition } from '../stepping/breakpoints/hit-condition';
import type { Breakpoint, Placement } from '../stepping/breakpoints/store';
import type { AttachedProgram } from './attached-program';
import type { StopPlace } from './stops';

export interface WatchedBreakpoint {
  id: number;
  /** Places by program. */
  places: { program: AttachedProgram; place: StopPlace }[];
  /** Asked in user space, of each snapshot that is read. */
  condition?: Condition;
  hitCondition?: HitCondition;
  message?: LogMessage;
}

export interface PlacedBreakpoint {
  placement: Placement;
  /** Absent when it stands nowhere. */
  watched?: WatchedBreakpoint;
}

const refused = (message: string): PlacedBreakpoint => ({ placement: { verified: false, message } });
const NEVER_STOPS =
  'Programs that are attached never stop. Snapshots are taken on lines, at functions of the program and at instructions.';

/** Finds a breakpoint's places, and reads what it asks. */
export async function placeLive(
  breakpoint: Breakpoint,
  programs: readonly AttachedProgram[],
): Promise<PlacedBreakpoint> {
  const found = find(breakpoint, programs);
  if (!found) return refused(NEVER_STOPS);
  const { line, places } = found;
  if (places.length === 0) return refused('The programs that are attached have no code there.');
  const watched: WatchedBreakpoint = { id: breakpoint.id, places };
  if (breakpoint.condition !== undefined) {
    const condition = await parseCondition(breakpoint.condition);
    if (!condition.ok) return refused(`${condition.problem.message} ${condition.problem.hint}`);
    watched.condition = condition.value;
  }
  if (breakpoint.hitCondition !== undefined) {
    const hitCondition = parseHitCondition(breakpoint.hitCondition);
    if (!hitCondition.ok) return refused(`${hitCondition.problem.message} ${hitCondition.problem.hint}`);
    watched.hitCondition = hitCondition.value;
  }
  if (breakpoint.kind === 'line' && breakpoint.logMessage !== undefined) {
    const message = await parseLogMessage(breakpoint.logMessage);
    if (!message.ok) return refused(`${message.problem.message} ${message.problem.hint}`);
    watched.message = message.value;
  }
  const asks = watched.condition ?? watched.hitCondition;
  const message = asks
    ? 'Every hit takes a snapshot; the condition is tried on those that are read.'
    : undefined;
  return {
    placement: {
      verified: true,
      ...(line === undefined ? {} : { line }),
      ...(message === undefined ? {} : { message }),
    },
    watched,
  };
}

type Found = { line?: number; places: WatchedBreakpoint['places'] };

/** Undefined for kinds that ask for a run as a whole. */
function find(breakpoint: Breakpoint, programs: readonly AttachedProgram[]): Found | undefined {
  const among = (placesOf: (program: AttachedProgram) => StopPlace[]) =>
    programs.flatMap((program) => placesOf(program).map((place) => ({ program, place })));
  switch (breakpoint.kind) {
    case 'line': {
      const { path, line: asked } = breakpoint;
      const lines = programs.flatMap(({ stops }) => stops.lineWithCode(path, asked) ?? []);
      if (lines.length === 0) return { places: [] };
      const line = Math.min(...lines);
      return { line, places: among(({ stops }) => stops.at(path, line)) };
    }
    case 'function':
      return { places: among(({ stops }) => stops.beginningOf(breakpoint.name)) };
    case 'instruction':
      return {
        places: programs.length === 1 ? among(({ stops }) => stops.instruction(breakpoint.insn)) : [],
      };
    default:
      return undefined;
  }
}
