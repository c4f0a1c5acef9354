/** Where a move within a run leads when nothing stops it on the way. */
import type { OpenedRun } from '../recorder/open-run';

export type Move =
  | 'next'
  | 'stepIn'
  | 'stepOut'
  | 'stepBack'
  /** Back into what was called last, to its last line. */
  | 'stepBackInto'
  /** Back to the line that called this function. */
  | 'stepBackOut'
  | 'continue'
  | 'reverseContinue';
export type Granularity = 'line' | 'instruction';

/** Why a move ended where it did. */
export type Rest = 'step' | 'breakpoint' | 'goto' | 'entry' | 'end';

export interface Target {
  step: number;
  rest: Rest;
}

export function isBackward(move: Move): boolean {
  return move.startsWith('stepBack') || move === 'reverseContinue';
}

/** The machine may be at another step afterwards. */
export function targetOf(run: OpenedRun, move: Move, granularity: Granularity): Target {
  const { length } = run.timeline;
  if (move === 'continue') return { step: length, rest: 'end' };
  if (move === 'reverseContinue') return { step: 0, rest: 'entry' };
  return granularity === 'instruction' ? byInstruction(run, move) : byLine(run, move);
}

const BACKWARD = { stepBack: 'over', stepBackInto: 'in', stepBackOut: 'out' } as const;

function byLine({ timeline, statements }: OpenedRun, move: Move): Target {
  const { step } = timeline.machine;
  const isAtEnd = step >= timeline.length;
  const here = statements.at(step);
  const at = (statement: number | undefined, otherwise: Target): Target =>
    statement === undefined || statement < 0 ? otherwise : { step: statements.step(statement), rest: 'step' };
  if (move === 'stepBack' || move === 'stepBackInto' || move === 'stepBackOut') {
    const beginning: Target = { step: 0, rest: 'entry' };
    if (isAtEnd) return at(statements.count - 1, beginning);
    // In the middle of a line its beginning is what comes before.
    const isWithin = step > statements.step(here) && move === 'stepBack';
    return at(isWithin ? here : statements.before(here, BACKWARD[move]), beginning);
  }
  const kind = move === 'stepIn' ? 'in' : move === 'stepOut' ? 'out' : 'over';
  const end: Target = { step: timeline.length, rest: 'end' };
  return isAtEnd ? end : at(statements.after(here, kind), end);
}

function byInstruction({ timeline }: OpenedRun, move: Move): Target {
  const { machine } = timeline;
  const depth = machine.frames.length;
  const rest = (otherwise: Rest): Target => {
    const isAtEdge = otherwise === 'end' && machine.step >= timeline.length;
    return { step: machine.step, rest: isAtEdge ? 'end' : 'step' };
  };
  if (isBackward(move)) {
    const wanted = (there: number) =>
      move === 'stepBackOut' ? there < depth : move === 'stepBackInto' || there <= depth;
    const found = timeline.backward(({ frames }) => wanted(frames.length));
    return found ? rest('entry') : { step: 0, rest: 'entry' };
  }
  const isDone = (there: number) =>
    move === 'stepOut' ? there < depth : move === 'stepIn' || there <= depth;
  timeline.forward(({ frames }) => isDone(frames.length));
  return rest('end');
}
