/** Records one test run of a loaded program: the rewritten program runs in the kernel in place of the original. */
import type { KernelClient } from '../../kernel/client/client';
import type { LoadedProgram, Params, Results } from '../../kernel/protocol';
import { decodeInsns, encodeInsns } from '../../toolchain/insn/insn';
import type { Insn } from '../../toolchain/insn/insn';
import { Alu, Class, Jump, LD_IMM64, Mode, Pseudo } from '../../toolchain/insn/opcodes';
import type { Btf } from '../../toolchain/btf/btf';
import type { TraceLayout } from './instrument/emit';
import { TRACE_HEADER } from './instrument/emit';
import { instrument } from './instrument/instrument';
import type { CannotRecord, Instrumented, PreparedProgram } from './instrument/instrument';
import type { Recording } from './instrument/points';

export interface RecordOptions {
  license: string;
  /** The object's types. */
  btf: Btf | undefined;
  recording: Recording;
  /** Bytes of trace; a power of two. */
  capacity: number;
  signal?: AbortSignal;
}

export interface RecordedRun {
  prepared: PreparedProgram;
  instrumented: Instrumented;
  stackDepth: number[];
  /** Kernel addresses that 64-bit immediate loads give, by instruction. */
  addresses: Map<number, bigint>;
  /** Header and records. */
  trace: Uint8Array;
  result: Results['testRun'];
  /** Instructions that the verifier processed: for the original and for what was recorded. */
  verifiedInsns: { original?: number; recorded?: number };
}

/** Maximum of a record's size, beyond the trace's capacity: the last record may stand at its very end. */
const SLACK = 4096;

/**
 * Runs the program once. Its maps are those of the original, so the run has the effects that a run of the original has.
 * Throws a KernelError when the kernel refuses the run; returns why when the program cannot be recorded.
 */
export async function recordRun(
  kernel: KernelClient,
  program: LoadedProgram,
  input: Omit<Params<'testRun'>, 'program' | 'repeat'>,
  { license, btf, recording, capacity, signal }: RecordOptions,
): Promise<RecordedRun | CannotRecord> {
  const request = { signal };
  const prepared = await kernel.request('programPrepared', { program: program.handle }, request);
  const { map } = await kernel.request(
    'sharedArrayCreate',
    { name: 'bpfs_trace', bytes: TRACE_HEADER + capacity + SLACK },
    request,
  );
  try {
    const trace: TraceLayout = { map, capacity };
    const stackDepth = program.verdict.stats?.stackDepth ?? [];
    const instrumented = instrument(prepared, stackDepth, trace, recording, (type) =>
      parametersOf(btf, type),
    );
    if ('reason' in instrumented) return instrumented;
    const run = async (variant: PreparedProgram) => {
      const loaded = await kernel.request(
        'programVariant',
        { program: program.handle, license, ...variant, log: 'rejected' },
        request,
      );
      if (loaded.program === null) return { refused: loaded };
      const result = await kernel.request('testRun', { program: loaded.program, ...input }, request);
      return { result, stats: loaded.stats };
    };

    const probe = addressProbe(prepared.instructions, trace);
    const addresses = new Map<number, bigint>();
    if (probe.places.length > 0) {
      const { refused } = await run({ ...none, instructions: probe.instructions });
      if (refused) return cannotLoad('the program that asks for addresses of maps', refused);
      const { data } = await kernel.request(
        'sharedRead',
        { map, offset: TRACE_HEADER, length: 8 * probe.places.length },
        request,
      );
      const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
      probe.places.forEach((insns, index) => {
        for (const insn of insns) addresses.set(insn, view.getBigUint64(8 * index, true));
      });
    }

    const { refused, result, stats } = await run(instrumented.variant);
    if (refused) return cannotLoad('the program with the recording in it', refused);
    const header = await kernel.request('sharedRead', { map, offset: 0, length: 8 }, request);
    const written = Number(new DataView(header.data.buffer, header.data.byteOffset, 8).getBigUint64(0, true));
    if (written >= capacity) {
      return {
        reason: `the run was too long: its recording takes ${written} bytes, and there is room for ${capacity}`,
      };
    }
    const { data } = await kernel.request(
      'sharedRead',
      { map, offset: 0, length: TRACE_HEADER + written },
      request,
    );
    const verifiedInsns = {
      ...(program.verdict.stats ? { original: program.verdict.stats.insns } : {}),
      ...(stats ? { recorded: stats.insns } : {}),
    };
    return { prepared, instrumented, stackDepth, addresses, trace: data, result, verifiedInsns };
  } finally {
    await kernel.request('mapClose', { map });
  }
}

function parametersOf(btf: Btf | undefined, functionType: number): number | undefined {
  const type = btf?.type(functionType);
  const prototype = type?.kind === 'func' ? btf?.type(type.type) : undefined;
  return prototype?.kind === 'func_proto' ? prototype.parameters.length : undefined;
}

const none = { funcInfo: new Uint8Array(0), lineInfo: new Uint8Array(0) };

function cannotLoad(what: string, { errno, log }: { errno: string; log: string }): CannotRecord {
  const lines = log.trim().split('\n');
  const words = lines.filter((line) => !/^(processed|verification time|stack depth)/.test(line)).at(-1);
  return { reason: `the kernel does not accept ${what}: ${words ?? errno}` };
}

/**
 * A program that writes to the trace what each 64-bit immediate load of a map or a kernel variable gives. The kernel
 * tells these addresses to programs only.
 */
function addressProbe(
  instructions: Uint8Array,
  { map }: TraceLayout,
): { instructions: Uint8Array; places: number[][] } {
  const asked = new Map<string, { insn: Insn; places: number[] }>();
  decodeInsns(instructions).forEach((insn, index) => {
    if (insn?.code !== LD_IMM64) return;
    if (insn.src !== Pseudo.MAP && insn.src !== Pseudo.MAP_VALUE && insn.src !== Pseudo.BTF_ID) return;
    const key = `${insn.src} ${insn.imm} ${insn.high}`;
    const known = asked.get(key);
    if (known) known.places.push(index);
    else asked.set(key, { insn, places: [index] });
  });
  const list = [...asked.values()];
  const code: Insn[] = [{ code: LD_IMM64, dst: 1, src: Pseudo.MAP_VALUE, off: 0, imm: map, high: 0 }];
  list.forEach(({ insn }, index) => {
    const store = { code: Class.STX | Mode.MEM | 0x18, dst: 1, src: 2, off: TRACE_HEADER + 8 * index };
    code.push({ ...insn, dst: 2 }, { ...store, imm: 0, high: 0 });
  });
  code.push({ code: Class.ALU64 | Alu.MOV, dst: 0, src: 0, off: 0, imm: 0, high: 0 });
  code.push({ code: Class.JMP | Jump.EXIT, dst: 0, src: 0, off: 0, imm: 0, high: 0 });
  return { instructions: encodeInsns(code), places: list.map(({ places }) => places) };
}
