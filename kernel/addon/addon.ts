/**
 * The addon's functions, typed. They are thin over libbpf: file descriptors are numbers, objects and links opaque.
 * Functions that return promises run on a thread of their own; cancelling their {@link Operation} interrupts the
 * system call. A rejected promise carries an {@link AddonError}.
 */
import { createRequire } from 'node:module';

/** One or more calls that can be cancelled together, one after the other. */
export interface Operation {
  cancel(): void;
}

/** How a call failed: errno's name in `code` (`ECANCELED` after a cancel), and libbpf's warnings during it. */
export interface AddonError extends Error {
  operation: string;
  code: string;
  errno: number;
  libbpfLog: string;
}

export function isAddonError(error: unknown): error is AddonError {
  return error instanceof Error && 'operation' in error && 'errno' in error;
}

declare const opaque: unique symbol;
export type AddonObject = { [opaque]: 'bpf_object' };
export type AddonLink = { [opaque]: 'link' };
export type AddonReader = { [opaque]: 'reader' };
export type AddonMemory = { [opaque]: 'memory' };
type Op = Operation | null;

export interface AddonProgram {
  name: string;
  section: string;
  /** The section whose type it was given by `programSetTypeOf`; empty if none. */
  typeOf: string;
  type: string;
  typeNumber: number;
  attachType: string;
  attachTypeNumber: number;
  autoload: boolean;
  /** Opened with autoload off: `SEC("?…")`, whose mark libbpf leaves out of `section`. */
  optional: boolean;
  /** -1 unless loaded. */
  fd: number;
  insnCount: number;
  lineInfo: Uint8Array;
  /** What the verifier wrote at the log level set with `programSet`. */
  log: string;
  logSize: number;
}

export interface AddonMap {
  name: string;
  type: string;
  typeNumber: number;
  keySize: number;
  valueSize: number;
  maxEntries: number;
  flags: number;
  keyTypeId: number;
  valueTypeId: number;
  globals: boolean;
  pinnedAt: string;
  fd: number;
}

export interface AddonMapInfo {
  id: number;
  type: string;
  typeNumber: number;
  name: string;
  keySize: number;
  valueSize: number;
  maxEntries: number;
  flags: number;
  btfId: number;
  keyTypeId: number;
  valueTypeId: number;
  vmlinuxValueTypeId: number;
  frozen: boolean;
}

export interface AddonProgramInfo {
  id: number;
  type: string;
  typeNumber: number;
  name: string;
  tag: string;
  /** Nanoseconds since boot. */
  loadTime: bigint;
  btfId: number;
  runCount: bigint;
  runTimeNs: bigint;
  verifiedInsns: number;
  jitedSize: number;
  mapIds: number[];
}

export interface MapPage {
  keys: Uint8Array;
  values: Uint8Array;
  count: number;
  cursor?: Uint8Array;
  /** errno's name of values that could not be read and are zero. */
  unreadable?: string;
}

export interface AddonInterface {
  index: number;
  name: string;
  kind: string;
  mac: string;
  up: boolean;
  mtu: number;
  addresses: string[];
  /** Ids of attached programs, 0 if none. */
  xdpNative: number;
  xdpGeneric: number;
  xdpOffload: number;
}

/** `struct bpf_link_info`: what every link has, and what its type has. */
export interface AddonLinkInfo {
  id: number;
  type: string;
  programId: number;
  /** Tracepoint, kernel function, file or iterator target, for the types that have one. */
  name: string;
  ifindex?: number;
  attachType?: number;
  cgroupId?: number;
  netnsIno?: number;
  mapId?: number;
  targetObjId?: number;
  targetBtfId?: number;
  family?: number;
  hookNumber?: number;
  priority?: number;
  /** kprobe_multi: number of functions. */
  count?: number;
  /** `enum bpf_perf_event_type`. */
  perfType?: number;
}

/** A filter on clsact, found again by the program it runs. */
export interface TcFilter {
  ifindex: number;
  ingress: boolean;
  programId: number;
  /** The clsact qdisc was not there before and may be removed when it is empty. */
  createdQdisc: boolean;
}

/** Records of a reader: `data` holds them back to back. `cpus` has -1 where the kernel does not say. */
export interface RecordBatch {
  data: Uint8Array;
  lengths: Uint32Array;
  cpus: Int32Array;
  lost: number;
  /** Number of the last flush that is done with this batch; 0 where none is. */
  flushed: number;
}

type AttachFunction<Options> = (
  op: Op,
  object: AddonObject,
  program: string,
  options: Options,
) => Promise<AddonLink>;
interface InNetns {
  interface: string;
  netns?: string | undefined;
}

export interface Addon {
  Operation: new () => Operation;
  libbpfVersion: string;
  possibleCpus: number;

  objectOpen(op: Op, bytes: Uint8Array, name: string): Promise<{ object: AddonObject; log: string }>;
  objectLoad(op: Op, object: AddonObject): Promise<string>;
  objectClose(op: Op, object: AddonObject): Promise<void>;
  objectPrograms(object: AddonObject): AddonProgram[];
  objectMaps(object: AddonObject): AddonMap[];
  programSet(
    object: AddonObject,
    name: string,
    options: { autoload?: boolean; logLevel?: number; logSize?: number },
  ): void;
  programSetAttachTarget(op: Op, object: AddonObject, name: string, target: string): Promise<void>;
  mapSetInitialValue(object: AddonObject, name: string, value: Uint8Array): void;
  /** What a map's definition leaves open, before load. */
  mapSetSizes(
    object: AddonObject,
    name: string,
    sizes: { maxEntries?: number | undefined; valueSize?: number | undefined },
  ): void;
  /** Gives a program the type that libbpf has for a section's name; false where it has none. */
  programSetTypeOf(object: AddonObject, name: string, section: string): boolean;

  programTestRun(
    op: Op,
    fd: number,
    input: {
      data?: Uint8Array;
      context?: Uint8Array;
      contextInPlace?: boolean;
      dataOutSize: number;
      contextOutSize: number;
      repeat?: number;
      cpu?: number;
      flags?: number;
      batchSize?: number;
    },
  ): Promise<{ returnValue: number; duration: number; data: Uint8Array; context: Uint8Array }>;
  programInfo(op: Op, fd: number): Promise<AddonProgramInfo>;
  programDump(
    op: Op,
    fd: number,
  ): Promise<{ instructions: Uint8Array; lineInfo: Uint8Array; funcInfo: Uint8Array }>;

  /** As libbpf gave it to the kernel; references to maps are file descriptors. */
  programPrepared(
    object: AddonObject,
    name: string,
  ): { instructions: Uint8Array; lineInfo: Uint8Array; funcInfo: Uint8Array };
  /** Loads other instructions with the attributes of a loaded program; `fd` is -1 when the kernel refuses them. */
  programLoadVariant(
    op: Op,
    object: AddonObject,
    name: string,
    variant: {
      license: string;
      instructions: Uint8Array;
      lineInfo: Uint8Array;
      funcInfo: Uint8Array;
      /** `BPF_F_…` beyond those that libbpf keeps. */
      flags: number;
      logLevel: number;
      logSize: number;
    },
  ): Promise<{ fd: number; errno?: string; log: string }>;
  /** The object's program becomes the one behind `fd`, for whatever attaches it; returns the former's descriptor. */
  programExchange(object: AddonObject, name: string, fd: number): number;

  /** An array map of one value, shared with this process. */
  sharedArrayCreate(op: Op, name: string, size: number): Promise<{ fd: number; memory: AddonMemory }>;
  sharedRead(memory: AddonMemory, offset: number, length: number): Uint8Array;
  sharedWrite(memory: AddonMemory, offset: number, bytes: Uint8Array): void;

  mapLookup(
    op: Op,
    fd: number,
    key: Uint8Array,
    valueSize: number,
    flags?: bigint,
    /** What a bloom filter is asked for; the kernel reads it from where it writes other maps' values. */
    asked?: Uint8Array,
  ): Promise<Uint8Array | null>;
  mapUpdate(op: Op, fd: number, key: Uint8Array, value: Uint8Array, flags: number): Promise<void>;
  mapDelete(op: Op, fd: number, key: Uint8Array): Promise<boolean>;
  mapLookupAndDelete(op: Op, fd: number, key: Uint8Array, valueSize: number): Promise<Uint8Array | null>;
  mapReadBatch(
    op: Op,
    fd: number,
    keySize: number,
    valueSize: number,
    limit: number,
    cursor?: Uint8Array,
  ): Promise<MapPage>;
  mapReadEach(
    op: Op,
    fd: number,
    keySize: number,
    valueSize: number,
    limit: number,
    cursor?: Uint8Array,
  ): Promise<MapPage>;
  mapInfo(op: Op, fd: number): Promise<AddonMapInfo>;

  attachAuto(op: Op, object: AddonObject, program: string): Promise<AddonLink>;
  attachKprobe: AttachFunction<{ function: string; offset?: number | undefined; return: boolean }>;
  attachKprobeMulti: AttachFunction<{
    pattern?: string | undefined;
    functions?: string[] | undefined;
    return: boolean;
  }>;
  attachTracepoint: AttachFunction<{ category: string; name: string }>;
  attachRawTracepoint: AttachFunction<{ name: string }>;
  attachTrace(op: Op, object: AddonObject, program: string): Promise<AddonLink>;
  attachUprobe: AttachFunction<{
    binary: string;
    function?: string | undefined;
    offset?: bigint | undefined;
    return: boolean;
    pid?: number | undefined;
  }>;
  attachUsdt: AttachFunction<{ binary: string; provider: string; name: string; pid?: number | undefined }>;
  attachPerfEvent: AttachFunction<{
    type: number;
    config: bigint;
    samplePeriod?: bigint | undefined;
    sampleFrequency?: bigint | undefined;
    cpu?: number | undefined;
    pid?: number | undefined;
  }>;
  /** `flags`: XDP_FLAGS_SKB_MODE 2, DRV_MODE 4, HW_MODE 8. */
  attachXdp: AttachFunction<InNetns & { flags: number }>;
  attachTcx: AttachFunction<InNetns & { ingress: boolean }>;
  attachNetkit: AttachFunction<InNetns & { peer: boolean }>;
  attachCgroup: AttachFunction<{ path: string }>;
  attachSockmap: AttachFunction<{ map: number }>;
  /** Without a link, as before 6.10; replaces the program that is attached. */
  sockmapAttach(op: Op, options: { map: number; program: number; attachType: number }): Promise<void>;
  sockmapDetach(op: Op, options: { map: number; program: number; attachType: number }): Promise<void>;
  attachIter: AttachFunction<{ map?: number | undefined; pid?: number | undefined }>;
  attachNetfilter: AttachFunction<{
    family: number;
    hookNumber: number;
    priority: number;
    flags: number;
    netns?: string | undefined;
  }>;
  attachNetns: AttachFunction<{ netns?: string | undefined }>;
  attachSocket: AttachFunction<InNetns>;
  attachStructOps(op: Op, object: AddonObject, map: string): Promise<AddonLink>;
  linkDetach(op: Op, link: AddonLink): Promise<void>;
  linkFd(link: AddonLink): number;
  linkUpdate(op: Op, link: AddonLink, program: number): Promise<void>;
  linkInfo(op: Op, fd: number): Promise<AddonLinkInfo>;
  iterRead(op: Op, link: AddonLink, maxBytes: number): Promise<{ data: Uint8Array; truncated: boolean }>;

  tcCreateQdisc(
    op: Op,
    name: string,
    netns: string | undefined,
  ): Promise<{ ifindex: number; created: boolean }>;
  tcAttach(
    op: Op,
    object: AddonObject,
    program: string,
    options: { ifindex: number; ingress: boolean; netns?: string | undefined },
  ): Promise<void>;
  /** The filter runs the program behind `fd` from now on. */
  tcReplace(op: Op, fd: number, filter: TcFilter, netns: string | undefined): Promise<void>;
  tcIsAttached(op: Op, filter: TcFilter, netns: string | undefined): Promise<boolean>;
  /** Resolves to whether the qdisc was removed too. */
  tcDetach(op: Op, filter: TcFilter, netns: string | undefined): Promise<boolean>;

  listInterfaces(op: Op, netns: string | undefined): Promise<AddonInterface[]>;
  listProgramIds(op: Op): Promise<number[]>;
  listMapIds(op: Op): Promise<number[]>;
  listLinkIds(op: Op): Promise<number[]>;
  listBtfIds(op: Op): Promise<number[]>;
  /** Pairs of an id and the processes that have a descriptor of it. */
  listHolders(op: Op): Promise<{ programs: [number, number[]][]; maps: [number, number[]][] }>;
  attachTypeName(attachType: number): string;
  btfInfo(op: Op, fd: number): Promise<{ id: number; name: string; kernel: boolean; size: number }>;
  btfRaw(op: Op, fd: number): Promise<{ data: Uint8Array; name: string; kernel: boolean }>;
  /** Of the running kernel, or of the vmlinux in a file. */
  vmlinuxHeader(op: Op, path?: string): Promise<string>;
  probeFeatures(
    op: Op,
  ): Promise<{ programTypes: Record<string, boolean>; mapTypes: Record<string, boolean> }>;
  /** `file` is tracefs' available_filter_functions or /proc/kallsyms. */
  listKernelFunctions(
    op: Op,
    file: string,
    contains: string,
    limit: number,
  ): Promise<{ functions: string[]; total: number }>;
  listBinarySymbols(
    op: Op,
    binary: string,
    contains: string,
    limit: number,
  ): Promise<{
    functions: { name: string; offset: bigint }[];
    probes: { provider: string; name: string; arguments: string }[];
    total: number;
  }>;

  /** Starts a thread that calls back with batches; each has to be acknowledged for more to come. */
  readerOpen(kind: 'ringbuf' | 'perf', fd: number, callback: (batch: RecordBatch) => void): AddonReader;
  readerOpen(kind: 'pipe', path: string, callback: (batch: RecordBatch) => void): AddonReader;
  readerAcknowledge(reader: AddonReader): void;
  /** A flush's number: what is in the buffer now has come when a batch's `flushed` is not less. */
  readerFlush(reader: AddonReader): number;
  readerClose(op: Op, reader: AddonReader): Promise<void>;

  closeFd(fd: number): void;
  mapOpenById(op: Op, id: number): Promise<number>;
  programOpenById(op: Op, id: number): Promise<number>;
  linkOpenById(op: Op, id: number): Promise<number>;
  btfOpenById(op: Op, id: number): Promise<number>;
  peerCredentials(fd: number): { pid: number; uid: number; gid: number };
  exitNow(status: number): never;
}

/** Loads `bpf-studio.node`; throws the dynamic linker's error when this machine's C library is too old for it. */
export function loadAddon(file: string): Addon {
  return createRequire(file)(file) as Addon;
}
