/** Commands that ask how the run came to where it is, and what ran. */
import { Coverage, Decisions, LastWrite, WhenBecame } from '../../../debug-adapter/protocol';
import type { CoverageResponse, DecisionsResponse, LastWriteResponse } from '../../../debug-adapter/protocol';
import { withRun } from '../../../debug-adapter/coverage/sum';
import { printCoverage } from '../coverage';
import { placeText, type Debugger } from '../debugger';
import { countOf, needed, type ReplayCommand } from './command';
import { names } from './looking';

/** Decisions that are listed unless more are asked for. */
const DECISIONS = 20;

async function ask(replay: Debugger, command: string, given: object): Promise<void> {
  const frameId = replay.frame.id;
  const { answer, stop } = await replay.adapter.ask<LastWriteResponse>(command, { ...given, frameId });
  replay.print(answer.text);
  if (stop) await replay.rest(stop);
}

/** `if (count)  held  31: 4 > 3`, oldest first, so that what decided last stands above the prompt. */
async function decisions(replay: Debugger, argument: string): Promise<void> {
  const count = argument === '' ? DECISIONS : countOf(argument, 'decisions');
  const found = await replay.adapter.request<DecisionsResponse>(Decisions, { count });
  if (found.earlier > 0) replay.print(`${found.earlier} earlier ones`);
  if (found.decisions.length === 0) replay.print('No branch was passed up to here.');
  for (const { condition, held, jumped, compared, times, line, insn, step } of found.decisions) {
    const outcome = held === undefined ? (jumped ? 'jumped' : 'went on') : held ? 'held' : 'did not hold';
    const notes = [compared, times > 1 ? `${times} times in a row` : undefined].filter(Boolean).join(', ');
    const where = line === undefined ? `instruction ${insn}` : `line ${line}`;
    replay.print(`  step ${step}, ${where}: ${condition}  ${outcome}${notes === '' ? '' : `  (${notes})`}`);
  }
}

export const asking: ReplayCommand[] = [
  {
    names: ['lastwrite', 'lw'],
    arguments: 'EXPRESSION',
    summary: 'back to where a variable, register, packet byte or map entry was written last',
    details: 'lastwrite sum.rounds, lastwrite $r3, lastwrite packet[12], lastwrite counts[17]',
    complete: names,
    run: (replay, argument) =>
      ask(replay, LastWrite, {
        expression: needed(argument, 'lastwrite takes an expression, such as lastwrite sum.value.'),
      }),
  },
  {
    names: ['became'],
    arguments: 'EXPRESSION | CONDITION',
    summary: 'back to where an expression became what it is, or a condition came to hold',
    details: 'became weight, became weight > 20',
    complete: names,
    run(replay, argument) {
      const asked = needed(
        argument,
        'became takes an expression or a condition, such as became weight > 20.',
      );
      return ask(replay, WhenBecame, isCondition(asked) ? { condition: asked } : { expression: asked });
    },
  },
  {
    names: ['decisions', 'why'],
    arguments: '[COUNT]',
    summary: 'the branches that led here, the last one last',
    run: decisions,
  },
  {
    names: ['when'],
    summary: 'where in the run this is',
    run(replay) {
      const { description, reason } = replay.stop;
      const [frame] = replay.frames;
      replay.print([description ?? reason, frame && placeText(frame)].filter(Boolean).join(', '));
    },
  },
  {
    names: ['coverage', 'cov'],
    summary: 'lines and branches that ran in the whole run',
    async run(replay) {
      const { files } = await replay.adapter.request<CoverageResponse>(Coverage);
      printCoverage(withRun(new Map(), files).sum, [replay.recording], replay.io);
    },
  },
];

/** Whether an expression compares something: `->` and shifts do not. */
function isCondition(expression: string): boolean {
  return /[<>]|[=!]=|&&|\|\|/.test(expression.replaceAll(/->|<<|>>/g, ''));
}
