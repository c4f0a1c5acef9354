/** Commands that go through the run, in both directions. */
import { StepBack } from '../../../debug-adapter/protocol';
import type { Debugger } from '../debugger';
import { countOf, type ReplayCommand } from './command';

/** Does a move some times, or until the run's end, its beginning or a breakpoint is reached. */
async function repeat(replay: Debugger, command: string, given: object, count: number): Promise<void> {
  for (let left = count; left > 1; left--) {
    const stop = await replay.adapter.move(command, given);
    if (stop.reason !== 'step') return replay.rest(stop);
  }
  await replay.move(command, given);
}

function move(
  names: ReplayCommand['names'],
  command: string,
  summary: string,
  given: object = { granularity: 'line' },
): ReplayCommand {
  return {
    names,
    arguments: '[COUNT]',
    summary,
    repeats: true,
    run: (replay, argument) => repeat(replay, command, given, countOf(argument, names[0])),
  };
}

const carryOn = (names: ReplayCommand['names'], command: string, summary: string): ReplayCommand => ({
  names,
  arguments: '[COUNT]',
  summary,
  details: 'With COUNT, that many breakpoints on.',
  repeats: true,
  async run(replay, argument) {
    for (let left = countOf(argument, names[0]); left > 1; left--) {
      const stop = await replay.adapter.move(command);
      await replay.breakpoints.removeTemporary(stop.hitBreakpointIds);
      if (stop.reason === 'entry' || stop.reason === 'pause') return replay.rest(stop);
    }
    await replay.move(command);
  },
});

const BY_INSTRUCTION = { granularity: 'instruction' };

export const moving: ReplayCommand[] = [
  move(['step', 's'], 'stepIn', 'to the next line, into functions'),
  move(['next', 'n'], 'next', 'to the next line, over functions'),
  {
    names: ['finish', 'fin'],
    summary: 'out of this function',
    repeats: true,
    run: async (replay) => void (await replay.move('stepOut')),
  },
  carryOn(['continue', 'c', 'fg'], 'continue', 'to the next breakpoint, or the end'),
  move(['stepi', 'si'], 'stepIn', 'one instruction on', BY_INSTRUCTION),
  move(['nexti', 'ni'], 'next', 'one instruction on, over functions', BY_INSTRUCTION),
  move(['reverse-step', 'rs'], StepBack, 'back to the line before, into functions', { kind: 'into' }),
  move(['reverse-next', 'rn'], 'stepBack', 'back to the line before, over functions'),
  move(['reverse-finish', 'rfin'], StepBack, 'back to the line that called this function', { kind: 'out' }),
  carryOn(['reverse-continue', 'rc'], 'reverseContinue', 'back to the breakpoint before, or the beginning'),
  move(['reverse-stepi', 'rsi'], 'stepBack', 'one instruction back', BY_INSTRUCTION),
];
