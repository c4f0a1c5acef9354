/** One test run of a loaded program: inputs in, everything that came of it out. */
import path from 'node:path';
import { KernelError } from '../../kernel/client/errors';
import type { LoadedProgram, Params, Results } from '../../kernel/protocol';
import { encodeJson } from './encode-json';
import { buildPacket } from '../../toolchain/packet/build';
import { comparePackets, type PacketDifference } from '../../toolchain/packet/difference';
import { describeContext, explainRefusedContext } from '../../toolchain/program/context';
import { layouts } from '../../toolchain/program/context-layouts';
import { describeReturnValue, type ReturnValue } from '../../toolchain/program/return-values';
import { insteadOfTestRun, testRunSupport, type TestRunSupport } from '../../toolchain/program/test-run';
import { badInput, cannotTestRun, runFailed } from '../errors';
import type { LaunchArguments } from '../protocol';
import { readContext, readPacket, type PacketInput } from './input';
import type { LoadedObject } from './load';
import { argumentType } from './object';

export type RunInput = Pick<LaunchArguments, 'packet' | 'context' | 'repeat' | 'cpu'>;

/** Runs the program in the kernel, on input that is ready for it. */
export type Execute = (input: Omit<Params<'testRun'>, 'program'>) => Promise<Results['testRun']>;

export interface RunReport {
  program: LoadedProgram;
  returned: ReturnValue;
  /** Average nanoseconds of one run; undefined where the kernel does not measure. */
  duration?: number;
  repeat: number;
  /** What was measured has the recording of the run in it. */
  recorded?: boolean;
  input?: PacketInput;
  output?: Uint8Array;
  /** Present when the type gives the packet back. */
  difference?: PacketDifference;
  /** Fields that the program left in its context, those that are zero left out; flow keys for flow dissectors. */
  fields?: { struct: string; values: Record<string, string> };
  notes: string[];
}

/** BPF_F_TEST_RUN_ON_CPU */
const RUN_ON_CPU = 1;
/** Room for packets that grow; the kernel says ENOSPC when it is too little. */
const ROOM_TO_GROW = 65_536;

export async function runProgram(
  loaded: LoadedObject,
  program: LoadedProgram,
  given: RunInput,
  signal: AbortSignal,
  execute: Execute = (input) =>
    loaded.kernel.request('testRun', { program: program.handle, ...input }, { signal }),
): Promise<RunReport> {
  const support = testRunSupport(program.type);
  if (!support) throw cannotTestRun(insteadOfTestRun(program.type));
  const notes: string[] = [];
  refuseWhatNoKernelTakes(program, support, given);
  const input = support.packet ? await packetFor(loaded, support, given, notes) : undefined;
  const context = contextFor(loaded, program, support, given, input?.data.length ?? 0, notes);
  const repeat = given.repeat ?? 1;
  const wantsContext = support.contextOutput && context !== undefined;
  try {
    const result = await execute({
      ...(input ? { data: input.data } : {}),
      ...(context ? { context } : {}),
      ...(support.repeat ? { repeat } : {}),
      ...(support.cpu && given.cpu !== undefined ? { cpu: given.cpu, flags: RUN_ON_CPU } : {}),
      dataOutSize: outputRoom(support, input),
      contextOutSize: wantsContext ? support.context!.size : 0,
    });
    return {
      program,
      returned: describeReturnValue(program.type, result.returnValue),
      ...(support.repeat ? { duration: result.duration } : {}),
      repeat,
      ...(input ? { input } : {}),
      ...outputOf(support, input, result.data),
      ...(wantsContext && result.context.length > 0
        ? {
            fields: {
              struct: support.context!.struct,
              values: describeContext(support.context!, result.context),
            },
          }
        : {}),
      notes: [...(input?.notes ?? []), ...notes],
    };
  } catch (error) {
    if (!(error instanceof KernelError) || error.code !== 'kernel') throw error;
    throw runFailed(explainRefusal(error, program, support, given, input, context));
  }
}

function refuseWhatNoKernelTakes(program: LoadedProgram, support: TestRunSupport, given: RunInput): void {
  if (given.packet !== undefined && !support.packet)
    throw badInput(`A ${program.type} program takes no packet; leave it out.`);
  if ((given.repeat ?? 1) > 1 && !support.repeat)
    throw badInput(`The kernel runs ${program.type} programs once a test run; leave out "repeat".`);
  if (given.cpu !== undefined && !support.cpu)
    throw badInput(
      `The kernel lets only raw_tracepoint programs be run on a chosen CPU; leave out "cpu" for this ${program.type} program.`,
    );
}

/** What a type that wants a packet gets when the configuration has none. */
const USUAL_PACKET = [
  { type: 'ethernet' },
  { type: 'ipv4' },
  { type: 'udp' },
  { type: 'payload', length: 18 },
];

async function packetFor(
  loaded: LoadedObject,
  support: TestRunSupport,
  given: RunInput,
  notes: string[],
): Promise<PacketInput> {
  if (given.packet !== undefined)
    return readPacket(given.packet, support.packet!, path.dirname(loaded.file.path));
  const built = buildPacket(support.packet === 'ip' ? USUAL_PACKET.slice(1) : USUAL_PACKET);
  if (!built.ok) throw badInput('The usual packet cannot be built.');
  notes.push(`no packet was given: a UDP packet of ${built.value.length} bytes was used`);
  return { data: built.value, notes: [] };
}

function contextFor(
  loaded: LoadedObject,
  program: LoadedProgram,
  support: TestRunSupport,
  given: RunInput,
  packetLength: number,
  notes: string[],
): Uint8Array | undefined {
  const { context } = given;
  if (support.ownContext && typeof context !== 'string') return ownContext(loaded, program, context ?? {});
  if (context !== undefined) return readContext(context, support, packetLength);
  if (!support.contextRequired) return undefined;
  notes.push('no context was given: TCP from 10.0.0.1:12345 to 10.0.0.2:80 was used');
  const usual = {
    family: 'AF_INET',
    protocol: 'IPPROTO_TCP',
    remote_ip4: '10.0.0.1',
    remote_port: 12345,
    local_ip4: '10.0.0.2',
    local_port: 80,
  };
  return readContext(usual, support, packetLength);
}

/** A syscall program's argument, as its prototype types it. */
function ownContext(
  loaded: LoadedObject,
  program: LoadedProgram,
  values: Record<string, unknown>,
): Uint8Array | undefined {
  const { btf } = loaded.file.object;
  const type = btf && argumentType(btf, program.name);
  if (!btf || type === undefined) {
    if (Object.keys(values).length === 0) return undefined;
    throw badInput(
      `The argument of ${program.name} has no known type, so context fields cannot be placed; give the context as hex text, or compile with -g.`,
    );
  }
  const encoded = encodeJson(btf, type, values);
  if (!encoded.ok) throw badInput(`The context cannot be built: ${encoded.problem.message}`);
  return encoded.value;
}

function outputRoom(support: TestRunSupport, input: PacketInput | undefined): number {
  if (support.output === 'none') return 0;
  return support.output === 'flowKeys' ? layouts.flowKeys.size : (input?.data.length ?? 0) + ROOM_TO_GROW;
}

function outputOf(
  support: TestRunSupport,
  input: PacketInput | undefined,
  data: Uint8Array,
): Pick<RunReport, 'output' | 'difference' | 'fields'> {
  if (support.output === 'flowKeys')
    return { fields: { struct: layouts.flowKeys.struct, values: describeContext(layouts.flowKeys, data) } };
  if (support.output === 'none' || !input) return {};
  if (!support.zeroedEthernet)
    return { output: data, difference: comparePackets(input.data, data, support.packet!) };
  // The kernel zeroes the Ethernet header behind the program's back: that is no change of the program's.
  return { output: data, difference: comparePackets(input.data.subarray(14), data.subarray(14), 'ip') };
}

/** The kernel's errno in words, with what in the input most likely caused it. */
function explainRefusal(
  error: KernelError,
  program: LoadedProgram,
  support: TestRunSupport,
  given: RunInput,
  input: PacketInput | undefined,
  context: Uint8Array | undefined,
): string {
  const causes: string[] = [];
  const minimum = support.minimumPacket ?? 0;
  if (input && input.data.length < minimum)
    causes.push(
      `the packet has ${input.data.length} bytes, and ${support.packet === 'ip' ? 'an IP' : 'an Ethernet'} header takes ${minimum}`,
    );
  const fields = typeof given.context === 'object' ? given.context : undefined;
  const refused = fields && support.context && explainRefusedContext(support.context, fields);
  if (refused !== undefined) causes.push(refused);
  if (fields && program.type === 'xdp') {
    if (Number(fields.rx_queue_index ?? 0) > 0 && !fields.ingress_ifindex)
      causes.push('rx_queue_index needs ingress_ifindex');
    else if (fields.ingress_ifindex)
      causes.push(
        `interface ${String(fields.ingress_ifindex)} must exist in the kernel host's network namespace and have XDP receive queues (a veth does while a program is attached to it; lo does not)`,
      );
  }
  if (program.type === 'raw_tracepoint' && error.errno === 'EINVAL')
    causes.push(
      `the program reads more arguments than the context {"args": […]} gives (${(context?.length ?? 0) / 8})`,
    );
  if (program.type === 'syscall' && error.errno === 'EINVAL')
    causes.push(`the program reads more of its context than the ${context?.length ?? 0} bytes given`);
  const known = ENOTSUPP.has(error.errno ?? '')
    ? `. Programs of type ${program.type} can be test-run from Linux ${support.since} on`
    : '';
  const because = causes.length > 0 ? `: ${causes.join('; ')}` : known;
  const hint = causes.length > 0 || error.hint === undefined ? '' : ` ${error.hint}`;
  return `The kernel refused to run ${program.name} (${error.errno ?? error.message})${because}.${hint}`;
}

const ENOTSUPP = new Set(['ENOTSUPP', 'EOPNOTSUPP']);
