/** Records one test run of a loaded program: the rewritten program runs in the kernel in place of the original. */
import type { KernelClient } from '../../kernel/client/client';
import { KernelError } from '../../kernel/client/errors';
import type { LoadedProgram, Params, Results } from '../../kernel/protocol';
import { decodeInsns, encodeInsns } from '../../toolchain/insn/insn';
import type { Insn } from '../../toolchain/insn/insn';
import { Alu, Class, Jump, LD_IMM64, Mode, Pseudo } from '../../toolchain/insn/opcodes';
import type { Btf } from '../../toolchain/btf/btf';
import type { TraceLayout } from './instrument/emit';
import { addressLoads } from './instrument/address-loads';
import { TRACE_HEADER } from './instrument/emit';
import { instrument } from './instrument/instrument';
import type { CannotRecord, PreparedProgram } from './instrument/instrument';
import type { Recording } from './instrument/points';
import type { TraceRecord } from './instrument/records';

export interface RecorderOptions {
  license: string;
  /** Bytes of trace that are wanted; a power of two. A kernel that has no room for them gives less. */
  capacity: number;
  /** Whether to record which CPU a run is on, as following per-CPU maps needs it. */
  withCpu?: boolean;
  signal?: AbortSignal;
}
/** The run has happened, but its trace did not fit. */
export interface RunTooLong extends CannotRecord {
  result: Results['testRun'];
}
export type RunInput = Omit<Params<'testRun'>, 'program' | 'repeat'>;

export interface RecordedRun {
  prepared: PreparedProgram;
  /** What is recorded where. */
  records: TraceRecord[];
  stackDepth: readonly number[];
  /** Kernel addresses that 64-bit immediate loads give, by instruction. */
  addresses: Map<number, bigint>;
  /** Header and records. */
  trace: Uint8Array;
  result: Results['testRun'];
  /** Handle of what ran, until it is closed. */
  program: number;
  /** Unloads what ran. Until then its addresses, as in stack traces, have names; and it keeps the trace in memory. */
  close(): Promise<void>;
  /** Instructions that the verifier processed of the rewritten program. */
  verifiedInsns?: number;
}

/** Maximum of a record's size, beyond the trace's capacity: the last record may stand at its very end. */
const SLACK = 4096;

/**
 * Where the wanted capacity is refused: Linux 5.10 limits an array's value to KMALLOC_MAX_SIZE, 4 MiB (E2BIG, see
 * array_map_alloc_check), and a machine may be short of memory (ENOMEM).
 */
const SMALL_CAPACITY = 2 * 1024 * 1024;
const NO_ROOM = new Set(['E2BIG', 'ENOMEM']);

/**
 * Where runs of a program's variants are recorded: a trace in the kernel, used by one run after the other. To be closed.
 */
export interface Recorder {
  /**
   * Runs `prepared`, which is the program itself or other instructions of the same type, once. The maps it uses are the
   * object's own, so the run has the effects that any run has. Throws a KernelError when the kernel refuses the run;
   * returns why when the program cannot be recorded.
   * @param stackDepth bytes of stack by subprogram, from the verifier's statistics.
   */
  run(
    prepared: PreparedProgram,
    stackDepth: readonly number[],
    input: RunInput,
    recording: Recording,
    btf: Btf | undefined,
  ): Promise<RecordedRun | CannotRecord | RunTooLong>;
  close(): Promise<void>;
}

export async function openRecorder(
  kernel: KernelClient,
  program: LoadedProgram,
  { license, capacity: wanted, withCpu, signal }: RecorderOptions,
): Promise<Recorder> {
  const request = { signal };
  const trace = await createTrace(kernel, wanted, signal);
  const { map, capacity } = trace;
  const { major, minor } = kernel.hello.kernel.version;
  const options = { withCpu: withCpu === true, longJumps: major > 6 || (major === 6 && minor >= 6) };
  const read = async (offset: number, length: number) => {
    const { data } = await kernel.request('sharedRead', { map, offset, length }, request);
    return data;
  };
  const load = (variant: PreparedProgram) =>
    kernel.request(
      'programVariant',
      { program: program.handle, license, ...variant, log: 'rejected' },
      request,
    );
  const closeVariant = async (handle: number) => {
    await kernel.request('programVariantClose', { program: handle });
  };
  const runOnce = async (variant: PreparedProgram, input: RunInput) => {
    const loaded = await load(variant);
    if (loaded.program === null) return { refused: loaded };
    const { program: handle } = loaded;
    try {
      const header = new Uint8Array(8);
      await kernel.request('sharedWrite', { map, offset: 0, data: header }, request);
      const result = await kernel.request('testRun', { program: handle, ...input }, request);
      return { result, handle, stats: loaded.stats };
    } catch (error) {
      await closeVariant(handle);
      throw error;
    }
  };

  return {
    async run(prepared, stackDepth, input, recording, btf) {
      const parameters = (type: number) => parametersOf(btf, type);
      const instrumented = instrument(prepared, stackDepth, trace, recording, parameters, options);
      if ('reason' in instrumented) return instrumented;
      const probe = addressProbe(prepared.instructions, trace);
      const addresses = new Map<number, bigint>();
      if (probe.places.length > 0) {
        const { refused, handle } = await runOnce({ ...noInfo, instructions: probe.instructions }, input);
        if (handle !== undefined) await closeVariant(handle);
        if (refused) return cannotLoad('the program that asks for addresses of maps', refused);
        const values = viewOf(await read(TRACE_HEADER, 8 * probe.places.length));
        probe.places.forEach((insns, index) => {
          for (const insn of insns) addresses.set(insn, values.getBigUint64(8 * index, true));
        });
      }
      const { refused, result, handle, stats } = await runOnce(instrumented.variant, input);
      if (refused) return cannotLoad('the program with the recording in it', refused);
      const written = Number(viewOf(await read(0, 8)).getBigUint64(0, true));
      if (written >= capacity) {
        await closeVariant(handle);
        return {
          result,
          reason: `the run was too long; its recording takes ${mebibytes(written)}, and this kernel has room for ${mebibytes(capacity)}`,
        };
      }
      return {
        prepared,
        records: instrumented.records,
        stackDepth,
        addresses,
        trace: await read(0, TRACE_HEADER + written),
        result,
        program: handle,
        close: () => closeVariant(handle),
        ...(stats ? { verifiedInsns: stats.insns } : {}),
      };
    },
    close: async () => void (await kernel.request('mapClose', { map })),
  };
}

async function createTrace(
  kernel: KernelClient,
  capacity: number,
  signal: AbortSignal | undefined,
): Promise<TraceLayout> {
  const params = { name: 'bpfs_trace', bytes: TRACE_HEADER + capacity + SLACK };
  try {
    const { map } = await kernel.request('sharedArrayCreate', params, { signal });
    return { map, capacity };
  } catch (error) {
    const isTooMuch = error instanceof KernelError && NO_ROOM.has(error.errno ?? '');
    if (!isTooMuch || capacity <= SMALL_CAPACITY) throw error;
    return createTrace(kernel, SMALL_CAPACITY, signal);
  }
}

/** Records one run of a loaded program as it is. */
export async function recordRun(
  kernel: KernelClient,
  program: LoadedProgram,
  input: RunInput,
  { btf, recording, ...options }: RecorderOptions & { btf: Btf | undefined; recording: Recording },
): Promise<RecordedRun | CannotRecord | RunTooLong> {
  const { signal } = options;
  const prepared = await kernel.request('programPrepared', { program: program.handle }, { signal });
  const recorder = await openRecorder(kernel, program, options);
  try {
    return await recorder.run(prepared, program.verdict.stats?.stackDepth ?? [], input, recording, btf);
  } finally {
    await recorder.close();
  }
}

const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Number of parameters of a FUNC of the object's BTF. */
export function parametersOf(btf: Btf | undefined, functionType: number): number | undefined {
  const type = btf?.type(functionType);
  const prototype = type?.kind === 'func' ? btf?.type(type.type) : undefined;
  return prototype?.kind === 'func_proto' ? prototype.parameters.length : undefined;
}

const noInfo = { funcInfo: new Uint8Array(0), lineInfo: new Uint8Array(0) };

/** Why the kernel refused a variant. */
export function cannotLoad(
  what: string,
  { errno, message }: { errno: string; message?: string },
): CannotRecord {
  return { reason: `the kernel does not accept ${what}: ${message ?? errno}` };
}

/**
 * A program that writes to the trace what each 64-bit immediate load of a map or a kernel variable gives. The kernel
 * tells these addresses to programs only.
 */
function addressProbe(
  instructions: Uint8Array,
  { map }: TraceLayout,
): { instructions: Uint8Array; places: number[][] } {
  const list = addressLoads(decodeInsns(instructions));
  const code: Insn[] = [{ code: LD_IMM64, dst: 1, src: Pseudo.MAP_VALUE, off: 0, imm: map, high: 0 }];
  list.forEach(({ insn }, index) => {
    const store = { code: Class.STX | Mode.MEM | 0x18, dst: 1, src: 2, off: TRACE_HEADER + 8 * index };
    code.push({ ...insn, dst: 2 }, { ...store, imm: 0, high: 0 });
  });
  code.push({ code: Class.ALU64 | Alu.MOV, dst: 0, src: 0, off: 0, imm: 0, high: 0 });
  code.push({ code: Class.JMP | Jump.EXIT, dst: 0, src: 0, off: 0, imm: 0, high: 0 });
  return { instructions: encodeInsns(code), places: list.map(({ places }) => places) };
}
