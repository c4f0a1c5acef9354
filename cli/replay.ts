/** `bpf-studio replay`: recorded runs in a terminal, without a kernel. */
import { coverageOf } from '../debug-adapter/coverage/count';
import { withRun, type CoverageSum } from '../debug-adapter/coverage/sum';
import { AdapterError } from '../debug-adapter/errors';
import type { Recording } from '../debug-adapter/recorder/recording';
import { openForReading } from '../debug-adapter/replay';
import { NEVER, Pace } from '../debug-adapter/stepping/pace';
import { flag, refuse, usage, type Arguments, type Command } from './command';
import type { ExitStatus, Io } from './io';
import { Refusal } from './replay/adapter';
import { jsonCoverage, lcovCoverage, printCoverage } from './replay/coverage';
import { printSteps } from './replay/steps';
import { converse } from './replay/terminal';

export const command: Command = {
  help: `bpf-studio replay RUN.bpfrec [--json]
bpf-studio replay RUN.bpfrec… --coverage [--json | --lcov]

Goes through a run that \`record\` or the editor has saved, forward and back. No kernel, no privileges and no Linux are
needed. It reads commands from a terminal or a pipe, gdb's where gdb has them: step, next, finish, continue, break, print,
info, list, and reverse-next, reverse-continue … for the way back; help lists them, Tab completes them.

  --json        every source step as one JSON line, then how the run ended
  --coverage    which lines and branches ran, in one run or several of the same source
  --lcov        the same as an LCOV tracefile, for genhtml and coverage services

  bpf-studio replay drop.bpfrec
  printf 'break parse if len > 64\\ncontinue\\ninfo locals\\n' | bpf-studio replay drop.bpfrec
  bpf-studio replay drop.bpfrec --json | jq .line
  bpf-studio replay *.bpfrec --coverage --lcov > coverage.info

Exit status: 1 when replay and kernel disagree, 2 when a file cannot be read or a command from a pipe fails.`,
  options: { coverage: { type: 'boolean' }, lcov: { type: 'boolean' } },
  async run(args, io) {
    const { positionals } = args;
    const isCoverage = flag(args, 'coverage') || flag(args, 'lcov');
    const [name] = positionals;
    if (name === undefined) return refuse(io, usage('replay', 'replay takes a recording'));
    if (positionals.length > 1 && !isCoverage)
      return refuse(io, usage('replay', 'replay takes one recording, or several with --coverage'));
    try {
      return await (isCoverage ? cover(args, io) : replay(name, io));
    } catch (error) {
      if (!(error instanceof AdapterError || error instanceof Refusal)) throw error;
      return refuse(io, { problem: { code: 'cli/replay', message: error.message, hint: '' } });
    }
  },
};

async function replay(file: string, io: Io): Promise<ExitStatus> {
  const opened = await openForReading(file);
  if (io.json) return printSteps(opened, io);
  const status = await converse(file, opened.recording, io);
  return opened.stepper.run.ending.kind === 'diverged' ? 1 : status;
}

/** Adds the runs up; they have to be of one text, or their lines would be of different ones. */
async function cover(args: Arguments, io: Io): Promise<ExitStatus> {
  const recordings: Recording[] = [];
  let sum: CoverageSum = new Map();
  for (const file of args.positionals) {
    const { stepper, recording } = await openForReading(file);
    const { ending } = stepper.run;
    if (ending.kind === 'diverged') {
      io.problem({
        code: 'cli/replay',
        message: `${file} is not counted, because replay and kernel disagree on it: ${ending.reason}.`,
        hint: 'Record the run again.',
      });
      return 1;
    }
    const added = withRun(sum, await coverageOf(stepper.run, new Pace(NEVER)));
    const [changed] = added.replaced;
    if (changed !== undefined) {
      const message = `${file} is of another text of ${changed} than the recordings before it.`;
      const hint = 'Give the recordings of one text; record the others again.';
      return refuse(io, { problem: { code: 'cli/replay', message, hint } });
    }
    ({ sum } = added);
    recordings.push(recording);
  }
  if (flag(args, 'lcov')) io.out(lcovCoverage(sum));
  else if (io.json) jsonCoverage(sum, io);
  else printCoverage(sum, recordings, io);
  return 0;
}
