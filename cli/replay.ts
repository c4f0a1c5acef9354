/** `bpf-studio replay`: a recorded run in a terminal, without a kernel. */
import readline from 'node:readline/promises';
import { AdapterError } from '../debug-adapter/errors';
import { openForReading } from '../debug-adapter/replay';
import { scopesAt } from '../debug-adapter/stepping/scopes';
import type { Move, Rest, Stepper } from '../debug-adapter/stepping/stepper';
import { ask } from '../debug-adapter/expressions/ask';
import type { VariableNode } from '../debug-adapter/variables/node';
import { refuse, usage, type Command } from './command';
import type { ExitStatus, Io } from './io';

type Replay = Awaited<ReturnType<typeof openForReading>>;

export const command: Command = {
  help: `bpf-studio replay RUN.bpfrec [--json]

Goes through a run that \`record\` or the editor has saved. No kernel, no privileges and no Linux are needed. With --json
it prints every source step as one line, then how the run ended; otherwise it asks for commands:

  n, s, o          next line, into a call, out of the function
  b, rc            back one line, back to the last breakpoint or the beginning
  c                on to the next breakpoint or the end
  ni, bi           one instruction on, one back
  break LINE       stop at a line of the program's file; again to take it away
  p EXPRESSION     a variable, a map's entry, a register ($r1)
  locals, regs, packet, calls, stack, bt, l, help, q

  bpf-studio replay drop.bpfrec
  bpf-studio replay drop.bpfrec --json | jq .line`,
  options: {},
  async run(args, io) {
    const [name, ...more] = args.positionals;
    if (name === undefined || more.length > 0) return refuse(io, usage('replay', 'replay takes one file'));
    try {
      const replay = await openForReading(name);
      return io.json ? printSteps(replay, io) : await converse(replay, io);
    } catch (error) {
      if (!(error instanceof AdapterError)) throw error;
      return refuse(io, { problem: { code: 'cli/replay', message: error.message, hint: '' } });
    }
  },
};

function printSteps({ stepper, returned }: Replay, io: Io): ExitStatus {
  const { statements, timeline, ending } = stepper.run;
  for (let index = 0; index < statements.count; index++) {
    timeline.seek(statements.step(index));
    const [frame] = stepper.frames();
    const { at, name } = frame!;
    io.outJson({
      type: 'step',
      step: stepper.step,
      insn: timeline.machine.pc,
      function: name,
      depth: statements.depth(index) >> 8,
      ...(at ? { path: at.path, line: at.line } : {}),
    });
  }
  io.outJson({ type: 'end', steps: timeline.length, returned, ending });
  return ending.kind === 'diverged' ? 1 : 0;
}

const MOVES: Record<string, Move> = {
  n: 'next',
  s: 'stepIn',
  o: 'stepOut',
  b: 'stepBack',
  c: 'continue',
  rc: 'reverseContinue',
};
const BY_INSTRUCTION: Record<string, Move> = { ni: 'stepIn', bi: 'stepBack' };
const SCOPES: Record<string, string> = {
  locals: 'Locals',
  regs: 'Registers',
  packet: 'Packet',
  calls: 'Calls',
  stack: 'Stack',
};

async function converse(replay: Replay, io: Io): Promise<ExitStatus> {
  const { stepper, summary } = replay;
  const breakpoints = new Set<number>();
  io.out(`${summary}\n`);
  show(replay, 'entry', io);
  const lines = readline.createInterface({ input: process.stdin, terminal: false });
  const prompt = () => {
    if (process.stdin.isTTY) io.out('(replay) ');
  };
  prompt();
  for await (const line of lines) {
    const [word = '', ...rest] = line.trim().split(/\s+/);
    if (word === 'q') break;
    const argument = rest.join(' ');
    const move = MOVES[word];
    const byInstruction = BY_INSTRUCTION[word];
    if (move) show(replay, stepper.move(move, 'line'), io);
    else if (byInstruction) show(replay, stepper.move(byInstruction, 'instruction'), io);
    else if (word === 'break') toggle(replay, breakpoints, Number(argument), io);
    else if (word === 'p') await print(replay, argument, io);
    else if (word === 'bt') for (const frame of stepper.frames()) io.out(`  ${place(frame)}\n`);
    else if (word === 'l') show(replay, 'step', io);
    else if (Object.hasOwn(SCOPES, word)) await list(replay, SCOPES[word]!, io);
    else if (word === 'help') io.out(`${command.help}\n`);
    else if (word !== '') io.out(`There is no command ${word}; help lists them.\n`);
    prompt();
  }
  lines.close();
  return stepper.run.ending.kind === 'diverged' ? 1 : 0;
}

function place({ name, at }: { name: string; at?: { path: string; line: number } }): string {
  return at ? `${name} at ${at.path.split('/').at(-1)}:${at.line}` : name;
}

/** Where the run rests: function, line and its text, as it was when the run was recorded. */
function show({ stepper, recording, returned }: Replay, rest: Rest, io: Io): void {
  const { ending, timeline } = stepper.run;
  if (rest === 'end') {
    io.out(
      ending.kind === 'diverged'
        ? `replay and kernel disagree: ${ending.reason}\n`
        : `returned ${returned}\n`,
    );
    return;
  }
  const [frame] = stepper.frames();
  const text = recording.sources.find(({ path }) => path === frame!.at?.path)?.text;
  const source = frame!.at && text?.split('\n')[frame!.at.line - 1];
  io.out(`step ${stepper.step} of ${timeline.length}, ${place(frame!)}\n`);
  if (source !== undefined) io.out(`${String(frame!.at!.line).padStart(5)}  ${source}\n`);
}

function toggle({ stepper, recording }: Replay, lines: Set<number>, line: number, io: Io): void {
  if (!Number.isInteger(line)) {
    io.out('break takes a line number.\n');
    return;
  }
  if (!lines.delete(line)) lines.add(line);
  const placed = stepper.setBreakpoints(recording.file, [...lines]);
  io.out(`breakpoints: ${placed.map((at) => at?.line ?? 'no code there').join(', ') || 'none'}\n`);
}

function scopesOf(stepper: Stepper) {
  return scopesAt(stepper.moment(), stepper.frames()[0]!);
}

async function list({ stepper }: Replay, name: string, io: Io): Promise<void> {
  const rows = await scopesOf(stepper)
    .find((scope) => scope.name === name)
    ?.rows();
  if (!rows) io.out(`There is no ${name.toLowerCase()} here.\n`);
  for (const row of rows ?? []) await printNode(row, 1, io);
}

async function printNode(node: VariableNode, depth: number, io: Io): Promise<void> {
  io.out(`${'  '.repeat(depth)}${node.name} = ${node.value}\n`);
  // A pointer's target may lead back to it; two levels are what a terminal shows well.
  if (depth < 3 && node.children && node.indexed === undefined && !node.name.startsWith('*'))
    for (const child of await node.children()) await printNode(child, depth + 1, io);
}

async function print({ stepper, context }: Replay, expression: string, io: Io): Promise<void> {
  try {
    const at = { moment: stepper.moment(), frame: stepper.frames()[0]! };
    await printNode(await ask({ context, at, run: stepper.run }, expression), 1, io);
  } catch (error) {
    if (!(error instanceof AdapterError)) throw error;
    io.out(`${error.message}\n`);
  }
}
