/** `bpf-studio record`: a program run by the kernel, the run kept in a file to be gone through anywhere. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { encodeRecording } from '../debug-adapter/recorder/recording';
import type { Recording } from '../debug-adapter/recorder/recording';
import { recordProgram } from '../debug-adapter/recorder/record-program';
import { describeRun } from '../debug-adapter/runner/describe';
import type { LoadedObject } from '../debug-adapter/runner/load';
import { runProgram, type RunInput } from '../debug-adapter/runner/run';
import { compileOptions, refuse, targetOption, text, usage, type Command } from './command';
import { printEvents } from './events';
import type { ExitStatus, Io } from './io';
import { globalsOf, loadOptions, withLoaded } from './load';
import { inputOptions, oneProgram, runInput } from './run-input';

export const command: Command = {
  help: `bpf-studio record FILE --prog NAME [--packet PACKET] [--ctx CONTEXT] [-o RUN.bpfrec]

Runs a program once in the kernel, as \`run\` does, and writes everything that is needed to go through that run, step by
step, on any machine: program, types, source, input, trace, and the maps as they were before.

  -o, --output FILE    default: NAME.bpfrec in this directory
  -p, --prog, --packet, --ctx, --cpu, -g, -t, --clang, --clang-args, --json   as for \`run\`

  bpf-studio record xdp_drop.bpf.c --packet http.pcapng:3 -o drop.bpfrec && bpf-studio replay drop.bpfrec`,
  options: {
    ...targetOption,
    ...compileOptions,
    ...loadOptions,
    ...inputOptions,
    output: { type: 'string', short: 'o' },
  },
  async run(args, io) {
    const [name, ...more] = args.positionals;
    const given = runInput('record', args);
    const globals = globalsOf('record', args);
    if (name === undefined || more.length > 0) return refuse(io, usage('record', 'record takes one FILE'));
    if (!given.ok) return refuse(io, given);
    if (!globals.ok) return refuse(io, globals);
    const choose = oneProgram('record', name);
    return withLoaded({ name, globals: globals.value, choose }, args, io, (loaded, chosen) => {
      const program = chosen![0]!;
      return record(loaded, program, given.value, text(args, 'output') ?? `${program}.bpfrec`, io);
    });
  },
};

async function record(
  loaded: LoadedObject,
  name: string,
  given: RunInput,
  output: string,
  io: Io,
): Promise<ExitStatus> {
  const events = await printEvents(loaded, io);
  const program = loaded.programs.find((each) => each.name === name)!;
  let recording: Recording | undefined;
  let reason = '';
  const report = await runProgram(loaded, program, given, io.interrupted, async ({ repeat: _, ...input }) => {
    const recorded = await recordProgram(loaded, program, input, io.interrupted);
    if ('recording' in recorded) ({ recording } = recorded);
    else ({ reason } = recorded);
    return recorded.result;
  });
  await events.flush();
  if (!io.json) io.out(`${describeRun({ ...report, recorded: recording !== undefined }).join('\n')}\n`);
  if (!recording) {
    io.problem({
      code: 'cli/record',
      message: `${name} was run, but not recorded: ${reason}.`,
      hint: '`bpf-studio run` shows what came of a run; bpf_printk shows values on the way.',
    });
    return 1;
  }
  const file = path.resolve(output);
  await writeFile(file, encodeRecording(recording));
  if (io.json) io.outJson({ type: 'recording', file, program: name, returned: report.returned });
  else io.out(`recorded to ${output}; go through it with: bpf-studio replay ${output}\n`);
  return 0;
}
