/**
 * The one protocol between unprivileged code and the kernel host: every request the privileged process
 * accepts is listed here, with the schema it is checked against before anything is done.
 *
 * Transport: a byte stream (a Unix socket in a directory only this user can enter, or a virtio-serial port of a
 * VM). A frame is a little-endian u32 byte count followed by one MessagePack value: a {@link RequestFrame} from
 * client to host; a {@link ResponseFrame} or {@link EventFrame} back. Byte arrays travel as MessagePack `bin`,
 * 64-bit integers as MessagePack int64/uint64 (BigInt).
 *
 * A connection is a session. Every object, map, link and reader belongs to the session that made it and is closed
 * by the host when the session's connection ends, for whatever reason.
 */
import * as z from 'zod';

export { PROTOCOL_VERSION } from './protocol-version';

/** `BPF_OBJ_NAME_LEN` etc. do not matter here: names are the ELF symbol names, not the kernel's truncated ones. */
const name = z.string().min(1).max(512);
/** Any Uint8Array, whatever buffer is behind it; zod alone would infer `Uint8Array<ArrayBuffer>`. */
const bytes: z.ZodType<Uint8Array, Uint8Array> = z.instanceof(Uint8Array);
/** Handles are small integers chosen by the host; they mean nothing outside their session. */
const handle = z.number().int().nonnegative();
const u32 = z.number().int().min(0).max(0xffff_ffff);
const u64 = z.bigint().min(0n).max(0xffff_ffff_ffff_ffffn);
/** Bytes to keep ready for what a run returns: more than any input that fits into a frame. */
const outputRoom = u32.max(0x800_0000);
/** A network namespace: a path such as `/run/netns/NAME`, or absent for the host's own. */
const netns = z.string().min(1).optional();

/** Options that decide how an ELF object is opened, shared by `verify` and `objectOpen`. */
const openOptions = {
  /** A relocatable BPF ELF object, as clang wrote it. */
  object: bytes,
  /** Programs to load, by function name; absent: all that libbpf would load, to `verify` also those in `SEC("?…")`. */
  programs: z.array(name).optional(),
  /**
   * Overrides for programs whose attach target is fixed at load time (fentry, fexit, LSM, tp_btf, iter, ext):
   * function name of the program → kernel function to attach to.
   */
  attachTargets: z.record(name, z.string().min(1)).optional(),
};

/** What to attach a loaded program to. `auto` uses the target named in its `SEC()`. */
export const attachSpec = z.discriminatedUnion('hook', [
  z.object({ hook: z.literal('auto') }),
  z.object({
    hook: z.literal('kprobe'),
    function: z.string().min(1),
    offset: u32.optional(),
    return: z.boolean(),
  }),
  z.object({
    hook: z.literal('kprobeMulti'),
    /** Either a glob pattern such as `tcp_*` or a list of function names. */
    pattern: z.string().min(1).optional(),
    functions: z.array(z.string().min(1)).optional(),
    return: z.boolean(),
  }),
  z.object({ hook: z.literal('tracepoint'), category: z.string().min(1), name: z.string().min(1) }),
  z.object({ hook: z.literal('rawTracepoint'), name: z.string().min(1) }),
  /** fentry, fexit, fmod_ret, tp_btf, LSM: the target was fixed when the program was loaded. */
  z.object({ hook: z.literal('trace') }),
  z.object({
    hook: z.literal('uprobe'),
    binary: z.string().min(1),
    function: z.string().min(1).optional(),
    offset: u64.optional(),
    return: z.boolean(),
    /** Absent: every process. */
    pid: z.number().int().positive().optional(),
  }),
  z.object({
    hook: z.literal('usdt'),
    binary: z.string().min(1),
    provider: z.string().min(1),
    name: z.string().min(1),
    pid: z.number().int().positive().optional(),
  }),
  z.object({
    hook: z.literal('perfEvent'),
    /** `perf_event_attr.type` and `.config`, see perf_event_open(2). */
    type: u32,
    config: u64,
    /** Exactly one of the two. */
    samplePeriod: u64.optional(),
    sampleFrequency: u64.optional(),
    /** Absent: one event on every online CPU. */
    cpu: z.number().int().nonnegative().optional(),
    pid: z.number().int().positive().optional(),
  }),
  z.object({
    hook: z.literal('xdp'),
    interface: z.string().min(1),
    /** Absent: the kernel's choice. */
    mode: z.enum(['native', 'generic', 'offload']).optional(),
    netns,
  }),
  z.object({
    hook: z.literal('tc'),
    interface: z.string().min(1),
    direction: z.enum(['ingress', 'egress']),
    /** `auto`: tcx where the kernel has it (6.6), clsact otherwise. */
    implementation: z.enum(['auto', 'tcx', 'clsact']),
    netns,
  }),
  z.object({
    hook: z.literal('netkit'),
    interface: z.string().min(1),
    side: z.enum(['primary', 'peer']),
    netns,
  }),
  z.object({ hook: z.literal('cgroup'), path: z.string().min(1) }),
  /** sk_msg and sk_skb programs; the map is a sockmap or sockhash of the same session. */
  z.object({ hook: z.literal('sockmap'), map: handle }),
  z.object({ hook: z.literal('iter'), map: handle.optional(), pid: z.number().int().positive().optional() }),
  z.object({
    hook: z.literal('netfilter'),
    family: z.enum(['ipv4', 'ipv6']),
    hookNumber: z.enum(['prerouting', 'localIn', 'forward', 'localOut', 'postrouting']),
    priority: z.number().int(),
    defragment: z.boolean().optional(),
    netns,
  }),
  /** sk_lookup and flow_dissector. */
  z.object({ hook: z.literal('netns'), netns: z.string().min(1).optional() }),
  /** A socket filter, on an AF_PACKET socket that the host opens on the interface. */
  z.object({ hook: z.literal('socket'), interface: z.string().min(1), netns }),
]);
export type AttachSpec = z.infer<typeof attachSpec>;

/** Every request, by method: the schema of its parameters. Results are in {@link Results}. */
export const requestSchemas = {
  /** First request of a session. Refused when the versions differ. */
  hello: z.object({ protocol: z.number().int(), client: z.string() }),
  /** What the kernel can do, probed with libbpf (program types, map types) and read from its configuration. */
  features: z.object({}),

  /**
   * Load each program of an object, report the kernel's verdict, and unload it again before answering.
   * A rejection of one program does not hide the others' verdicts.
   */
  verify: z.object({
    ...openOptions,
    /**
     * `rejected`: the verdict comes from a load without a log; rejected programs are loaded once more at level 1.
     * `all`: level 1 for accepted programs too, of which the kernel itself keeps only the last path and the costs.
     * `states`: level 2 for all, every path. `none`: statistics only.
     */
    log: z.enum(['none', 'rejected', 'all', 'states']),
    /**
     * With `log: "rejected"`: small programs that were rejected a moment ago, and likely are again. They are loaded with
     * a log at once, which spares the second load.
     */
    likelyRejected: z.array(name).optional(),
    /**
     * A program that the kernel faulted on is not given to it again: its verdict is an `error` at once. With this it
     * is, because somebody asked for just that.
     */
    despiteFault: z.boolean().optional(),
  }),

  objectOpen: z.object({
    ...openOptions,
    /** Values for global variables set before load: section map name (`.rodata`, `.bss`, `.data`) → whole value. */
    globals: z.record(z.string(), bytes).optional(),
  }),
  objectLoad: z.object({ object: handle, log: z.enum(['rejected', 'all', 'states']) }),
  objectClose: z.object({ object: handle }),

  /** BPF_PROG_TEST_RUN; which of the inputs apply depends on the program type. */
  testRun: z.object({
    program: handle,
    data: bytes.optional(),
    context: bytes.optional(),
    repeat: u32.optional(),
    /** raw_tp: the CPU to run on. */
    cpu: z.number().int().nonnegative().optional(),
    flags: u32.optional(),
    batchSize: u32.optional(),
    /** Room for the output packet in bytes; 0 for program types that return none. */
    dataOutSize: outputRoom,
    contextOutSize: outputRoom,
  }),

  /** A loaded program's instructions before the kernel changed them, to make variants of it. */
  programPrepared: z.object({ program: handle }),
  /**
   * Loads other instructions in place of a loaded program's, with the same type, attach target, license and BTF.
   * References to maps (`BPF_PSEUDO_MAP_FD`, `BPF_PSEUDO_MAP_VALUE`) hold map handles of this session. The variant is
   * unloaded with its program's object.
   */
  programVariant: z.object({
    program: handle,
    license: z.string().max(128),
    instructions: bytes,
    funcInfo: bytes,
    lineInfo: bytes,
    log: z.enum(['none', 'rejected']),
  }),
  programVariantClose: z.object({ program: handle }),
  /** From now on attaching the program attaches the variant, or with its own handle the program itself again. */
  programExchange: z.object({ program: handle, variant: handle }),
  /**
   * Lets an attachment run a program or a variant of it from now on, without a moment in which none is attached (an
   * update of the link, of the filter on clsact, of the sockmap); see {@link Results.linkExchange}.
   */
  linkExchange: z.object({ link: handle, program: handle }),
  /** An array map of one value of so many bytes, which {@link Results.sharedRead} reads without a system call. */
  sharedArrayCreate: z.object({ name: z.string().min(1).max(15), bytes: u32.max(0x4000_0000) }),
  sharedRead: z.object({ map: handle, offset: u32, length: u32 }),
  sharedWrite: z.object({ map: handle, offset: u32, data: bytes }),

  attach: z.object({ program: handle, spec: attachSpec }),
  /** struct_ops: the map is the program. */
  attachStructOps: z.object({ map: handle }),
  detach: z.object({ link: handle }),
  /** Run an attached iterator once and return what it wrote. */
  iterRead: z.object({ link: handle, maxBytes: u32 }),

  /** Open a map that exists already (an inner map, another process's map), by kernel id. */
  mapOpenById: z.object({ id: u32 }),
  mapClose: z.object({ map: handle }),
  mapInfo: z.object({ map: handle }),
  /** For per-CPU maps `value` holds one 8-byte-aligned value for each possible CPU. */
  mapLookup: z.object({ map: handle, key: bytes, flags: u64.optional() }),
  mapUpdate: z.object({ map: handle, key: bytes, value: bytes, flags: z.enum(['any', 'noexist', 'exist']) }),
  mapDelete: z.object({ map: handle, key: bytes }),
  /**
   * A page of entries in the kernel's order. Uses batch lookups where the map type has them. `cursor` is opaque:
   * what the previous page returned, absent for the first.
   */
  mapEntries: z.object({ map: handle, cursor: bytes.optional(), limit: u32 }),
  /**
   * Queue and stack: look at the head without removing it. Bloom filter: whether `value`, which it needs, may be in
   * it; the answer is that value, or null when it certainly is not.
   */
  mapPeek: z.object({ map: handle, value: bytes.optional() }),
  mapPush: z.object({ map: handle, value: bytes }),
  mapPop: z.object({ map: handle }),

  /** Start reading a ring buffer or a perf event array; records arrive as `records` events. */
  readerOpen: z.object({ map: handle, kind: z.enum(['ringbuf', 'perf', 'userRingbuf']) }),
  /** Answered when everything that is in the buffer now has been sent as `records`. */
  readerFlush: z.object({ reader: handle }),
  readerClose: z.object({ reader: handle }),
  /** bpf_printk lines of the whole kernel, from an own tracefs instance's pipe, as `tracePipe` events. */
  tracePipeOpen: z.object({}),
  /** Answered when every line that has been printed until now has been sent as `tracePipe`. */
  tracePipeFlush: z.object({}),
  tracePipeClose: z.object({}),

  listPrograms: z.object({}),
  listMaps: z.object({}),
  listLinks: z.object({}),
  listBtf: z.object({}),
  listInterfaces: z.object({ netns }),
  listProcesses: z.object({}),
  listKernelFunctions: z.object({ contains: z.string(), limit: u32 }),
  listTracepoints: z.object({ contains: z.string(), limit: u32 }),
  listCgroups: z.object({ limit: u32 }),
  listNetworkNamespaces: z.object({}),
  /** Function symbols of an executable or library, for uprobes; USDT probes it carries. */
  listBinarySymbols: z.object({ binary: z.string().min(1), contains: z.string(), limit: u32 }),

  /** Kernel addresses, such as those of a stack trace, as the functions that they lie in. */
  symbolize: z.object({ addresses: z.array(u64).max(65_536) }),

  /** Raw BTF: of the kernel (`vmlinux`), of a module, or by kernel id. */
  btf: z.object({ source: z.union([z.object({ module: name }), z.object({ id: u32 })]) }),
  /** The kernel's types as C, for `vmlinux.h`, written by libbpf's btf_dump. */
  vmlinuxHeader: z.object({}),
  /** Instructions of a loaded program as the kernel has them, with line and function information. */
  programDump: z.object({ program: handle }),

  /** Stop another request of this session. The stopped request answers with code `cancelled`. */
  cancel: z.object({ request: z.number().int() }),
} as const;

export type Method = keyof typeof requestSchemas;
export type Params<M extends Method> = z.input<(typeof requestSchemas)[M]>;

export interface KernelIdentity {
  /** `uname -r`, e.g. `6.12.107+deb13-amd64`. */
  release: string;
  /** `uname -v`, which tells builds of one release apart. */
  build: string;
  /** First two numbers of the release, for comparisons: 6.12 → `{major: 6, minor: 12}`. */
  version: { major: number; minor: number; patch: number };
  machine: string;
  /** Number of possible CPUs: how many values a per-CPU map holds for each key. */
  possibleCpus: number;
  onlineCpus: number;
}

/** What the host found itself able to do; each `false` carries the reason a user would need. */
export interface HostCapabilities {
  load: Ability;
  /** /sys/kernel/btf/vmlinux */
  btf: Ability;
  /** tracefs, for tracepoints by name and bpf_printk. */
  tracing: Ability;
  /** The kernel's option for probes on its own functions; privileges are `tracing`'s matter. */
  kprobes: Ability;
  /** CAP_NET_ADMIN, for XDP and tc. */
  network: Ability;
  jit: boolean;
}
export type Ability = { ok: true } | { ok: false; reason: string };

export interface ProgramDescription {
  /** C function name. */
  name: string;
  /** ELF section, the argument of `SEC()` without a leading `?`. */
  section: string;
  /** Written with a leading `?`: libbpf loads it only when a loader asks for it. */
  optional?: boolean;
  /** Kernel's name in lower case without prefix: `xdp`, `sched_cls`, `kprobe`, `tracing`. */
  type: string;
  /** Kernel's number, `enum bpf_prog_type`. */
  typeNumber: number;
  /** `enum bpf_attach_type`'s name in lower case without prefix, when the section fixes one. */
  attachType?: string;
  /** The section whose type was assumed, e.g. `classifier`, where libbpf has none for the program's own. */
  typeOf?: string;
}

export interface VerifierStats {
  /** Instructions the verifier processed, from the `processed N insns` line. */
  insns: number;
  states: number;
  peakStates: number;
  maxStatesPerInsn: number;
  /** Bytes of stack by subprogram, from the `stack depth a+b+…` line. */
  stackDepth: number[];
  /** Time the kernel reports for verification; 0 when it reports none. */
  microseconds: number;
}

export interface ProgramVerdict extends ProgramDescription {
  /** `error`: the kernel was never asked, or failed for a reason that is not a verdict on the code. */
  verdict: 'accepted' | 'rejected' | 'error';
  stats?: VerifierStats;
  /** The last words of the verifier or of libbpf on this program. Present unless accepted. */
  message?: string;
  errno?: string;
  /** libbpf's own warnings while this program was prepared and loaded. */
  libbpfLog: string;
  /** The verifier's log, when asked for; whole, however long, but for `logIsTail`. */
  log?: string;
  /**
   * `log: "rejected"` only: the log is so long that these are its last MiB, from a line's beginning on. They hold
   * the path that failed; `all` asks for the whole. Kernels before 6.4 cannot keep a log's end and give the whole.
   */
  logIsTail?: boolean;
  /** Number of instructions after libbpf's relocation, subprograms included. */
  insnCount: number;
  /**
   * Bytes of machine code the JIT made of it, 0 without a JIT. Absent when the program was not loaded to the end: it
   * was rejected, or another program of its object was and this one's load went with that one's.
   */
  jitedSize?: number;
  /**
   * `struct bpf_line_info[]` (16 bytes each: insn_off, file_name_off, line_off, line_col; little endian) for those
   * instructions. String offsets refer to the object's `.BTF` string section. Empty without `.BTF.ext`.
   */
  lineInfo: Uint8Array;
}

export interface MapDescription {
  name: string;
  /** Kernel's name in lower case without prefix: `hash`, `percpu_array`, `ringbuf`. */
  type: string;
  typeNumber: number;
  keySize: number;
  valueSize: number;
  maxEntries: number;
  flags: number;
  /** BTF type ids of key and value in the object's BTF (or in `btfId`'s, for maps opened by id); 0 if none. */
  keyTypeId: number;
  valueTypeId: number;
  /** BTF id of the kernel for a map that was opened by id. */
  btfId?: number;
  /** `.rodata`, `.data`, `.bss` and custom data sections: the value is the section's variables. */
  globals: boolean;
  frozen: boolean;
  /** struct_ops maps: BTF value type id in vmlinux BTF. */
  structOps: boolean;
  pinnedAt?: string;
}

export interface LoadedMap extends MapDescription {
  handle: number;
  id: number;
}
export interface LoadedProgram extends ProgramDescription {
  handle: number;
  id: number;
  tag: string;
  verdict: ProgramVerdict;
}

export interface LinkDescription {
  id?: number;
  /** What it is attached to, in the field's words: `xdp on veth0 (native)`, `kprobe tcp_sendmsg`. */
  description: string;
  /** How the host attached it: `link`, `tcx`, `clsact`, `perf`, `prog_attach`. */
  mechanism: string;
}

export interface NetworkInterface {
  index: number;
  name: string;
  kind: string;
  up: boolean;
  mac: string;
  addresses: string[];
  mtu: number;
  /** What is attached already: program ids by mode. */
  xdp?: { mode: string; programId: number };
}

/** Every result, by method. */
export interface Results {
  hello: { protocol: number; host: string; kernel: KernelIdentity; capabilities: HostCapabilities };
  features: {
    /** Name in lower case → whether this kernel can load it; from libbpf's probes. */
    programTypes: Record<string, boolean>;
    mapTypes: Record<string, boolean>;
    /** `CONFIG_…` lines about BPF, tracing and networking hooks, from the running kernel's configuration. */
    config: Record<string, string>;
    configSource: string | null;
  };
  verify: {
    programs: ProgramVerdict[];
    /** The object as a whole could not be opened or prepared (bad ELF, BTF rejected, map creation failed). */
    error?: ProtocolError;
    maps: MapDescription[];
  };
  objectOpen: { object: number; programs: ProgramDescription[]; maps: MapDescription[] };
  objectLoad: { programs: LoadedProgram[]; maps: LoadedMap[] };
  objectClose: Record<string, never>;
  testRun: {
    /** The program's u32 return value. */
    returnValue: number;
    /** Average time of one run in nanoseconds, as the kernel measured it. */
    duration: number;
    data: Uint8Array;
    context: Uint8Array;
  };
  programPrepared: {
    /**
     * `struct bpf_insn[]` after libbpf's relocation, subprograms appended; references to maps hold handles of this
     * session. Offsets of `funcInfo` (8 bytes each) and `lineInfo` (16 bytes each) count instructions.
     */
    instructions: Uint8Array;
    funcInfo: Uint8Array;
    lineInfo: Uint8Array;
  };
  programVariant:
    | { program: number; stats?: VerifierStats }
    /** The kernel refused it; `message`: the verifier's last words about the program. */
    | { program: null; errno: string; log: string; message?: string };
  programVariantClose: Record<string, never>;
  programExchange: Record<string, never>;
  /** False when the kernel cannot do that with links of this kind: detach, exchange the program, attach again. */
  linkExchange: { exchanged: boolean };
  sharedArrayCreate: { map: number };
  sharedRead: { data: Uint8Array };
  sharedWrite: Record<string, never>;
  attach: { link: number } & LinkDescription;
  attachStructOps: { link: number } & LinkDescription;
  detach: Record<string, never>;
  iterRead: { data: Uint8Array; truncated: boolean };
  mapOpenById: LoadedMap;
  mapClose: Record<string, never>;
  mapInfo: LoadedMap;
  mapLookup: { value: Uint8Array | null };
  mapUpdate: Record<string, never>;
  mapDelete: { existed: boolean };
  /** `keys` and `values` hold `count` fixed-size records back to back (`valueStride` bytes each for values). */
  mapEntries: {
    keys: Uint8Array;
    values: Uint8Array;
    count: number;
    valueStride: number;
    cursor?: Uint8Array;
    /** Entries whose value could not be read (write-only sockets and the like) still appear, with zero values. */
    unreadable?: string;
  };
  mapPeek: { value: Uint8Array | null };
  mapPush: Record<string, never>;
  mapPop: { value: Uint8Array | null };
  readerOpen: { reader: number };
  readerFlush: Record<string, never>;
  readerClose: Record<string, never>;
  tracePipeOpen: Record<string, never>;
  tracePipeFlush: Record<string, never>;
  tracePipeClose: Record<string, never>;
  listPrograms: {
    programs: {
      id: number;
      type: string;
      name: string;
      tag: string;
      loadedAtSeconds: number;
      mapIds: number[];
      btfId: number;
      runCount: bigint;
      runTimeNs: bigint;
      verifiedInsns: number;
      pids: number[];
    }[];
  };
  listMaps: { maps: (Omit<LoadedMap, 'handle'> & { pids: number[] })[] };
  listLinks: { links: { id: number; type: string; programId: number; description: string }[] };
  listBtf: { btfs: { id: number; name: string; kernel: boolean; size: number }[] };
  listInterfaces: { interfaces: NetworkInterface[] };
  listProcesses: {
    /** `arguments`: the command line, separated by blanks, cut where it is very long. */
    processes: { pid: number; command: string; arguments: string; executable: string; user: number }[];
  };
  listKernelFunctions: { functions: string[]; total: number; source: string };
  listTracepoints: { tracepoints: { category: string; name: string }[]; total: number };
  listCgroups: { cgroups: string[] };
  listNetworkNamespaces: { namespaces: { name: string; path: string }[] };
  listBinarySymbols: {
    functions: { name: string; offset: bigint }[];
    probes: { provider: string; name: string; arguments: string }[];
    total: number;
  };
  symbolize: {
    /** For each address, in order; null where no function of the kernel is. `module` is `bpf` for BPF programs. */
    symbols: ({ name: string; offset: number; module?: string } | null)[];
    /** Why the kernel tells no names at all. */
    unavailable?: string;
  };
  btf: { data: Uint8Array; name: string };
  vmlinuxHeader: { text: string };
  programDump: {
    /** `struct bpf_insn[]`, 8 bytes each, as BPF_OBJ_GET_INFO_BY_FD returns them (xlated). */
    instructions: Uint8Array;
    lineInfo: Uint8Array;
    funcInfo: Uint8Array;
    jitedSize: number;
    btfId: number;
  };
  cancel: Record<string, never>;
}

/** What a host tells a session unasked. */
export interface Events {
  /** Records of a ring buffer or perf event array, oldest first. `lost` counts what the kernel dropped. */
  records: { reader: number; records: { cpu: number; data: Uint8Array }[]; lost: number };
  /** Lines of the kernel's trace pipe. */
  tracePipe: { lines: string[] };
  /** A link of this session no longer does anything: its interface or cgroup is gone, somebody detached it. */
  linkGone: { link: number; description: string; reason: string };
}
export type EventName = keyof Events;

export type ErrorCode =
  /** The kernel or libbpf refused: `operation`, `errno` and `message` say what and why. */
  | 'kernel'
  /** The verifier rejected a program; `programs` of the result carry the log. */
  | 'rejected'
  | 'permission'
  | 'unsupported'
  /** The request did not match its schema, or named a handle this session does not have. */
  | 'badRequest'
  /** The ELF object could not be read. */
  | 'badObject'
  | 'cancelled'
  /** The host, the VM or the connection ended while the request was under way. */
  | 'hostGone'
  | 'internal';

/** What failed (`operation`), how (`errno`, libbpf's `message`), and what the user can do about it (`hint`). */
export interface ProtocolError {
  code: ErrorCode;
  operation: string;
  message: string;
  errno?: string;
  libbpfLog?: string;
  hint?: string;
  /** objectLoad: verdicts up to and including the program that was rejected. */
  programs?: ProgramVerdict[];
}

export interface RequestFrame {
  id: number;
  method: Method;
  params: unknown;
}
export type ResponseFrame = { id: number; result: unknown } | { id: number; error: ProtocolError };
export interface EventFrame {
  event: EventName;
  params: unknown;
}
