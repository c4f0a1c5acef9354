/** `bpf-studio run`: a program run by the kernel on an input of the user's choice. */
import path from 'node:path';
import { describeRun } from '../debug-adapter/runner/describe';
import type { LoadedObject } from '../debug-adapter/runner/load';
import type { ProgramFile } from '../debug-adapter/runner/object';
import { runProgram, type RunInput, type RunReport } from '../debug-adapter/runner/run';
import { fail, succeed, type Outcome } from '../toolchain/problem';
import {
  compileOptions,
  flag,
  refuse,
  targetOption,
  text,
  usage,
  type Arguments,
  type Command,
} from './command';
import { printEvents } from './events';
import type { ExitStatus, Io } from './io';
import { globalsOf, loadOptions, withLoaded } from './load';
import { showMaps } from './map-watch';

export const command: Command = {
  help: `bpf-studio run FILE --prog NAME [--packet PACKET] [--ctx CONTEXT] [--repeat N]

Loads FILE, runs one program with BPF_PROG_TEST_RUN, prints what it returned and what became of the packet, its
bpf_printk lines, and the records of its ring buffers, and unloads it.

  -p, --prog NAME      C function name; may be left out when FILE has one program
  --packet HEX         bytes: "ffffffffffff 020000000001 0800 …"
  --packet FILE.pcap:N packet number N (the first is 1) of a .pcap or .pcapng file
  --packet JSON        layers: [{"type": "ethernet"}, {"type": "ipv4", "source": "10.0.0.7"}, {"type": "udp"}]
  --ctx JSON|HEX       context fields: {"ingress_ifindex": 1}, or the whole context
  --repeat N           run it N times; the time printed is the average
  --cpu N              CPU to run on, for raw_tracepoint programs
  -g, --global X=V     set a global variable before loading; may be repeated
  --maps               print the maps' contents afterwards
  -t, --target         local, vm, vm:PATH-TO-VMLINUZ
  --clang, --clang-args, --json

  bpf-studio run xdp_drop.bpf.c --packet http.pcapng:3
  bpf-studio run tc.bpf.o --prog ingress --packet '[{"type":"ethernet"},{"type":"ipv6"},{"type":"tcp"}]' --repeat 1000`,
  options: {
    ...targetOption,
    ...compileOptions,
    ...loadOptions,
    packet: { type: 'string' },
    ctx: { type: 'string' },
    repeat: { type: 'string' },
    cpu: { type: 'string' },
    maps: { type: 'boolean', default: false },
  },
  async run(args, io) {
    const [name, ...more] = args.positionals;
    const given = runInput(args);
    const globals = globalsOf('run', args);
    if (name === undefined || more.length > 0) return refuse(io, usage('run', 'run takes one FILE'));
    if (!given.ok) return refuse(io, given);
    if (!globals.ok) return refuse(io, globals);
    const choose = (file: ProgramFile, named: string[] | undefined) => {
      const names = named ?? file.object.programs.map((program) => program.name);
      const which = `${name} has the programs ${names.join(', ')}: choose one with --prog`;
      return names.length === 1 ? succeed(names) : usage('run', which);
    };
    return withLoaded({ name, globals: globals.value, choose }, args, io, (loaded, chosen) =>
      runLoaded(loaded, chosen![0]!, given.value, flag(args, 'maps'), io),
    );
  },
};

async function runLoaded(
  loaded: LoadedObject,
  name: string,
  given: RunInput,
  withMaps: boolean,
  io: Io,
): Promise<ExitStatus> {
  const events = await printEvents(loaded, io);
  const program = loaded.programs.find((each) => each.name === name)!;
  const report = await runProgram(loaded, program, given, io.interrupted);
  await events.settled();
  if (io.json) io.outJson(resultOf(report));
  else io.out(`${describeRun(report).join('\n')}\n`);
  if (withMaps) await showMaps(loaded, io);
  return 0;
}

function resultOf(report: RunReport): unknown {
  const { program, returned, duration, repeat, input, output, fields, notes } = report;
  return {
    type: 'result',
    program: program.name,
    returned,
    durationNs: duration,
    repeat,
    packet: input?.data,
    output,
    context: fields,
    notes,
  };
}

function runInput(args: Arguments): Outcome<RunInput> {
  const input: RunInput = {};
  const packet = text(args, 'packet');
  if (packet !== undefined) {
    const parsed = packetArgument(packet);
    if (!parsed.ok) return parsed;
    input.packet = parsed.value;
  }
  const context = text(args, 'ctx');
  if (context !== undefined) {
    if (!context.trimStart().startsWith('{')) input.context = context;
    else {
      const parsed = json('--ctx', context);
      if (!parsed.ok) return parsed;
      input.context = parsed.value as Record<string, unknown>;
    }
  }
  for (const name of ['repeat', 'cpu'] as const) {
    const given = text(args, name);
    if (given === undefined) continue;
    if (!/^\d+$/.test(given) || (name === 'repeat' && Number(given) === 0)) {
      return usage('run', `--${name} ${given} is not a number${name === 'repeat' ? ' of at least 1' : ''}`);
    }
    input[name] = Number(given);
  }
  return succeed(input);
}

function packetArgument(given: string): Outcome<NonNullable<RunInput['packet']>> {
  if (given.trimStart().startsWith('[')) {
    const parsed = json('--packet', given);
    return parsed.ok ? succeed(parsed.value as Record<string, unknown>[]) : parsed;
  }
  const capture = /^(.+\.(?:pcap|pcapng|cap)):(\d+)$/.exec(given);
  if (capture) return succeed({ pcap: path.resolve(capture[1]!), index: Number(capture[2]) });
  if (/\.(pcap|pcapng|cap)$/.test(given))
    return usage('run', `--packet ${given} needs a packet number: ${given}:1`);
  return succeed(given);
}

function json(option: string, given: string): Outcome<unknown> {
  try {
    return succeed(JSON.parse(given) as unknown);
  } catch (error) {
    return fail(
      'cli/json',
      `${option} is not JSON: ${(error as Error).message}.`,
      `Quote it for the shell: ${option} '[…]'`,
    );
  }
}
