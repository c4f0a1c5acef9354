/** A variant of an attached program that takes snapshots and records runs, loaded, with the rings it writes to. */
import type { KernelClient } from '../../kernel/client/client';
import { KernelError } from '../../kernel/client/errors';
import type { LoadedProgram } from '../../kernel/protocol';
import type { Btf } from '../../toolchain/btf/btf';
import type { CannotRecord, PreparedProgram } from '../recorder/instrument/instrument';
import { instrumentLive } from '../recorder/instrument/live';
import type { Flight, LiveInstrumented, LiveWanted } from '../recorder/instrument/live';
import { KEPT_REGION } from '../recorder/instrument/kept-code';
import type { Told } from '../recorder/instrument/kept-code';
import { RING } from '../recorder/instrument/ring';
import { packetFields } from '../recorder/instrument/snapshot-code';
import type { SnapshotDetail } from '../recorder/instrument/snapshot-code';
import { cannotLoad, parametersOf } from '../recorder/record';
import { testRunSupport } from '../../toolchain/program/test-run';
import { describeKernelError } from '../errors';
import { Ring } from './ring';
import type { StopPlace } from './stops';

/** What is to be watched of a program. */
export interface Watched {
  /** Places of breakpoints, by the breakpoint's id. */
  stops: readonly { breakpoint: number; place: StopPlace }[];
  flight?: { told: Told } | undefined;
}

export interface Instrumentation {
  /** Handle of the variant. */
  program: number;
  detail: SnapshotDetail;
  /** What is not shown, and why, in words. */
  notes: string[];
  snapshots?: { ring: Ring; instrumented: LiveInstrumented; breakpoints: ReadonlyMap<number, number> };
  flight?: { ring: Ring; flight: Flight };
  close(): Promise<void>;
}

export interface WatchedProgram {
  kernel: KernelClient;
  program: LoadedProgram;
  prepared: PreparedProgram;
  license: string;
  btf: Btf | undefined;
  /** Of how many programs it is one, which share the memory that rings may take. */
  among: number;
}

/**
 * Bytes of the rings of all programs together: at a million hits a second, what comes between two looks of the reader
 * has room in the one; the other holds some 50,000 short runs. A larger one costs time on every run, since it leaves
 * the processor's caches; runs that are looked for are kept outside of it.
 */
const SNAPSHOT_CAPACITY = 16 * 1024 * 1024;
const FLIGHT_CAPACITY = 16 * 1024 * 1024;
const SMALL_CAPACITY = 1024 * 1024;

/** From all that can be taken to what every kernel and program allows. */
const DETAILS: readonly SnapshotDetail[] = [
  { stack: 'all', stamped: true, packet: 'probe_read' },
  { stack: 'written', stamped: true, packet: 'probe_read' },
  { stack: 'all', stamped: true, packet: 'load_bytes' },
  { stack: 'written', stamped: true, packet: 'load_bytes' },
  { stack: 'all', stamped: true, packet: false },
  { stack: 'written', stamped: true, packet: false },
  { stack: 'written', stamped: false, packet: false },
  { stack: 'none', stamped: false, packet: false },
];

/** Loads the variant that shows most of what is wanted; why there is none, in words, if the kernel takes none. */
export async function loadInstrumentation(
  watched: WatchedProgram,
  wanted: Watched,
): Promise<Instrumentation | CannotRecord> {
  const stops = wanted.stops.map(({ place }, index) => ({ ...place, id: index + 1 }));
  if (stops.length >= RING.HITS_COUNT)
    return {
      reason: `its breakpoints stand at ${stops.length} places, and ${RING.HITS_COUNT - 1} are counted`,
    };
  const rings: Ring[] = [];
  const closeRings = () => Promise.all(rings.map((ring) => ring.close()));
  try {
    const create = async (name: string, capacity: number, rest = 0) => {
      const share = capacity >> Math.ceil(Math.log2(watched.among));
      const ring = await createRing(watched.kernel, name, Math.max(share, SMALL_CAPACITY), rest);
      rings.push(ring);
      return ring;
    };
    const snapshots = stops.length > 0 ? await create('bpfs_snapshots', SNAPSHOT_CAPACITY) : undefined;
    const told = wanted.flight?.told ?? 'none';
    const rest = told === 'none' ? 0 : KEPT_REGION;
    const flight = wanted.flight ? await create('bpfs_runs', FLIGHT_CAPACITY, rest) : undefined;
    const loaded = await loadFirst(watched, (detail) => ({
      ...(snapshots ? { snapshots: { ring: snapshots.layout, stops, detail } } : {}),
      ...(flight
        ? {
            flight: {
              ring: flight.layout,
              told,
              keptOffset: flight.restOffset,
              copies: detail.packet === 'probe_read',
            },
          }
        : {}),
      packet: detail.packet ? packetFields(watched.program.type, detail.packet) : undefined,
      parametersOf: (type) => parametersOf(watched.btf, type),
    }));
    if ('reason' in loaded) {
      await closeRings();
      return loaded;
    }
    const { program, detail, instrumented, refusals } = loaded;
    const hasPacket = packetFields(watched.program.type) !== undefined;
    const breakpoints = new Map(wanted.stops.map(({ breakpoint }, index) => [index + 1, breakpoint]));
    return {
      program,
      detail,
      notes: missing(watched.program.name, detail, hasPacket, refusals),
      ...(snapshots ? { snapshots: { ring: snapshots, instrumented, breakpoints } } : {}),
      ...(flight && instrumented.flight ? { flight: { ring: flight, flight: instrumented.flight } } : {}),
      async close() {
        await watched.kernel.request('programVariantClose', { program });
        await closeRings();
      },
    };
  } catch (error) {
    await closeRings();
    if (!(error instanceof KernelError) || error.code === 'hostGone' || error.code === 'cancelled')
      throw error;
    return { reason: describeKernelError(error) };
  }
}

async function createRing(kernel: KernelClient, name: string, capacity: number, rest: number): Promise<Ring> {
  try {
    return await Ring.create(kernel, name, capacity, rest);
  } catch (error) {
    // Linux 5.10 limits an array's value to 4 MiB (array_map_alloc_check), and memory may be short.
    const tooLarge = error instanceof KernelError && ['E2BIG', 'ENOMEM'].includes(error.errno ?? '');
    if (!tooLarge || capacity <= SMALL_CAPACITY) throw error;
    return Ring.create(kernel, name, SMALL_CAPACITY, rest);
  }
}

/** Why there was less to be taken than was tried. */
interface Refusal extends CannotRecord {
  detail: SnapshotDetail;
}
interface Loaded {
  program: number;
  detail: SnapshotDetail;
  instrumented: LiveInstrumented;
  refusals: Refusal[];
}

/** What is left out, with what the kernel said when it was last tried. */
function missing(
  program: string,
  { packet, stamped, stack }: SnapshotDetail,
  hasPacket: boolean,
  refusals: readonly Refusal[],
): string[] {
  const lacks = (what: string, tried: (detail: SnapshotDetail) => boolean) => {
    const reason = refusals.findLast(({ detail }) => tried(detail))?.reason;
    return `${what} of ${program} cannot be shown${reason === undefined ? '' : `: ${reason}`}.`;
  };
  return [
    ...(hasPacket && !packet ? [lacks('The packets', (detail) => detail.packet !== false)] : []),
    ...(stamped ? [] : [lacks('Time and CPU', (detail) => detail.stamped)]),
    ...(stack === 'none' ? [lacks('The stack', (detail) => detail.stack !== 'none')] : []),
  ];
}

async function loadFirst(
  { kernel, program, prepared, license }: WatchedProgram,
  wanted: (detail: SnapshotDetail) => LiveWanted,
): Promise<Loaded | CannotRecord> {
  const stackDepth = program.verdict.stats?.stackDepth ?? [];
  const { type } = program;
  const refusals: Refusal[] = [];
  for (const detail of DETAILS) {
    // It would be no more than without the packet, which is tried next.
    if (detail.packet && packetFields(type) && !packetFields(type, detail.packet)) continue;
    const instrumented = instrumentLive(prepared, stackDepth, wanted(detail));
    if ('reason' in instrumented) {
      refusals.push({ detail, ...instrumented });
      continue;
    }
    const { variant } = instrumented;
    const given = { program: program.handle, license, ...variant, log: 'rejected' } as const;
    const loaded = await kernel.request('programVariant', given);
    if (loaded.program !== null) return { program: loaded.program, detail, instrumented, refusals };
    refusals.push({ detail, ...refusalOf(kernel, type, loaded) });
  }
  return refusals[0] ?? { reason: 'the kernel does not accept it' };
}

/** Fetching atomics came with 5.12; before, the verifier says something about reserved fields or unknown opcodes. */
function refusalOf(
  kernel: KernelClient,
  type: string,
  refused: { errno: string; message?: string },
): CannotRecord {
  const { release, version } = kernel.hello.kernel;
  if (version.major * 100 + version.minor >= 512)
    return cannotLoad('the program with the recording in it', refused);
  const instead = testRunSupport(type)
    ? 'record a single run of it with F5 instead'
    : 'its bpf_printk lines and its maps are shown here as ever';
  return {
    reason: `Linux ${release} has no atomic instructions that return a value (5.12 and later have), without which runs on several CPUs cannot share a ring. The program runs as it is; ${instead}, or choose a newer kernel`,
  };
}
