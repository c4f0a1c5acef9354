/** `bpf-studio run`: a program run by the kernel on an input of the user's choice. */
import { describeRun } from '../debug-adapter/runner/describe';
import type { LoadedObject } from '../debug-adapter/runner/load';
import { runProgram, type RunInput, type RunReport } from '../debug-adapter/runner/run';
import { compileOptions, flag, refuse, targetOption, usage, type Command } from './command';
import { printEvents } from './events';
import type { ExitStatus, Io } from './io';
import { globalsOf, loadOptions, withLoaded } from './load';
import { showMaps } from './map-watch';
import { inputOptions, oneProgram, runInput } from './run-input';

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
    ...inputOptions,
    repeat: { type: 'string' },
    maps: { type: 'boolean', default: false },
  },
  async run(args, io) {
    const [name, ...more] = args.positionals;
    const given = runInput('run', args);
    const globals = globalsOf('run', args);
    if (name === undefined || more.length > 0) return refuse(io, usage('run', 'run takes one FILE'));
    if (!given.ok) return refuse(io, given);
    if (!globals.ok) return refuse(io, globals);
    const choose = oneProgram('run', name);
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
  await events.flush();
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
