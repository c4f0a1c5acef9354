/**
 * Debug type `bpf`: what launch and attach configurations hold, and the custom requests and events of a session.
 * The manifest's `contributes.debuggers` schema is checked against this by a test.
 */
import type { AttachSpec } from '../kernel/protocol';

export const DEBUG_TYPE = 'bpf';

/** A layer of a packet described in a launch configuration; see toolchain/packet for fields and defaults. */
export type PacketLayers = Record<string, unknown>[];

interface Common {
  /** A `.bpf.c` source or a `.o` object. */
  program: string;
  /** `local`, `vm`, `vm:PATH-TO-VMLINUZ`; absent: the window's kernel, or automatic. */
  target?: string;
  /** Socket of the window's kernel host, put in by the extension; absent: the adapter starts its own host. */
  hostSocket?: string;
  /** Put in by the extension when a command made the configuration: there is no launch.json to mend. */
  unlisted?: boolean;
  /** Flags for clang, replacing those found or default; and the clang to use. */
  clangArgs?: string[];
  clangPath?: string;
  /** Values of global variables set before load: variable name → JSON value. */
  globals?: Record<string, unknown>;
  /** Ring buffers and perf event arrays carry no type: map name → C type of its records, e.g. `struct event`. */
  events?: Record<string, string>;
}

/** `request: "launch"`: load, run once (or `repeat` times) through BPF_PROG_TEST_RUN, keep the maps to look at. */
export interface LaunchArguments extends Common {
  /** C function name of the program; may be left out when the file has only one. */
  entry?: string;
  /** Hex text (`"00 11 22 …"`), a capture file and one-based packet number (the first when left out), or layers. */
  packet?: string | { pcap: string; index?: number } | PacketLayers;
  /** Context fields by name, e.g. `{ "ingress_ifindex": 1 }`, or raw bytes as hex. */
  context?: Record<string, unknown> | string;
  repeat?: number;
  cpu?: number;
  /** Stop before the run, with the maps as they were loaded; continue runs. */
  stopOnEntry?: boolean;
  /** Run, print, and end the session. Set by the client for "Run Without Debugging". */
  noDebug?: boolean;
}

/**
 * {@link AttachSpec} as JSON can say it: maps by name, and 64-bit numbers (`config`, `samplePeriod`,
 * `sampleFrequency`, a uprobe's `offset`) as numbers or, beyond 2^53, as text.
 */
export type ConfiguredSpec =
  | AttachSpec
  | { hook: 'sockmap'; map: string }
  | { hook: 'iter'; map: string }
  | (Omit<Extract<AttachSpec, { hook: 'perfEvent' }>, 'config' | 'samplePeriod' | 'sampleFrequency'> & {
      config: number | string;
      samplePeriod?: number | string;
      sampleFrequency?: number | string;
    })
  | (Omit<Extract<AttachSpec, { hook: 'uprobe' }>, 'offset'> & { offset: number | string });

/** `request: "launch"` of a run that was recorded before: no kernel and no program of this machine take part. */
export interface ReplayArguments {
  /** A file that "BPF: Save Recording" or `bpf-studio record` wrote. */
  recording: string;
}

/** `request: "attach"`: load and attach to the real hook; maps refresh every second until the user detaches. */
export interface AttachArguments extends Common {
  /**
   * Programs to attach, by C function name, or struct_ops, by the name of their variable, and how; absent: everything
   * in the object, as its `SEC()` says.
   */
  attach?: { entry: string; spec?: ConfiguredSpec }[];
  /** Record every run, the newest kept; see {@link FlightRecorder}. */
  flightRecorder?: boolean | { stopWhen: string };
}

/**
 * Custom requests, for views that show a map apart from the Variables view. Keys and values are written as the
 * Variables view shows them: `42`, `"text"`, `{saddr = 10.0.0.1, dport = 80}`.
 */
export const DeleteMapEntry = 'bpf/deleteMapEntry';
export interface DeleteMapEntryArguments {
  map: string;
  key: string;
}
/** `deleted` is false when there was no such entry. */
export interface DeleteMapEntryResponse {
  deleted: boolean;
}

export const SetMapEntry = 'bpf/setMapEntry';
export interface SetMapEntryArguments {
  map: string;
  key: string;
  value: string;
  /** `noexist`: add only; `exist`: change only; default: either. */
  flags?: 'any' | 'noexist' | 'exist';
}

/** Writes the run that is being gone through to a file, for {@link ReplayArguments}. */
export const SaveRecording = 'bpf/saveRecording';
export interface SaveRecordingArguments {
  /** Left out, nothing is written: the request fails where there is no run, before anybody is asked for a path. */
  path?: string;
}

/** Lines and branches that the run which is being gone through has executed. */
export const Coverage = 'bpf/coverage';
export interface CoverageResponse {
  /** C function name of the program. */
  program: string;
  /** One for each file that the program has code from. */
  files: FileCoverage[];
}
export interface FileCoverage {
  /** Absolute path. */
  path: string;
  /** SHA-256 of the text that was compiled, as hex; absent when it was not at hand. */
  digest?: string;
  /** Lines with code, in order. */
  lines: LineCoverage[];
}
export interface LineCoverage {
  /** One-based. */
  line: number;
  /** How often a breakpoint on the line would have been hit. */
  hits: number;
  branches: BranchCoverage[];
}
/** A conditional jump; in C it may be a part of a condition, and its sides may be exchanged. */
export interface BranchCoverage {
  /** One-based; 0 when the compiler knows none. */
  column: number;
  /** To the next instruction, and to where it jumps. */
  sides: [BranchSide, BranchSide];
}
export interface BranchSide {
  times: number;
  /** Where this side goes on; absent where the compiler names no line. `path`: in another file. */
  line?: number;
  column?: number;
  path?: string;
}

/** Reads the values again now, without waiting for the next second. */
export const Refresh = 'bpf/refresh';

/**
 * What somebody asks the history of: a row of the Variables view, as `setVariable` names it, or an expression in a
 * frame of the present step (the innermost one when left out): a variable, `$r3`, `packet[12]`, `packet[12..14]`,
 * `counts[17].packets`.
 */
export type HistoryPlace =
  { variablesReference: number; name: string } | { expression: string; frameId?: number };

/** A moment of a recorded run. */
export interface Moment {
  /** Number of the step, for {@link GoToStep}. */
  step: number;
  /** Index of the instruction in the program. */
  insn: number;
  /** Absolute path and one-based line, where the instruction has one. */
  path?: string;
  line?: number;
}

/**
 * Goes back to the instruction that last wrote to a place, before the present step; `stopped` (reason `goto`) follows.
 * When there is none in the run, nothing moves, and `text` says since when the place has been as it is.
 */
export const LastWrite = 'bpf/lastWrite';
export type LastWriteArguments = HistoryPlace;
export interface LastWriteResponse {
  /** In a sentence: `Line 42 (instruction 17) changed sum.rounds from 2 to 3.` */
  text: string;
  /** Absent when nothing wrote to it. */
  at?: Moment;
  /** As the Variables view writes them; absent for what the run does not show. */
  before?: string;
  after?: string;
}

/**
 * Goes back to the step at which an expression became what it is now, or, with `condition`, at which the condition
 * came to hold the last time; `stopped` (reason `goto`) follows, unless there is no such step.
 */
export const WhenBecame = 'bpf/whenBecame';
export interface WhenBecameArguments {
  /** A C expression of the frame; may be left out when there is a condition. */
  expression?: string;
  /** A C expression, `sum.rounds > 3`. */
  condition?: string;
  frameId?: number;
}
export type WhenBecameResponse = LastWriteResponse;

/** The decisions that led to the present step: conditional jumps that were passed on the way, oldest first. */
export const Decisions = 'bpf/decisions';
export interface DecisionsArguments {
  /** At most so many, the newest; 1000 when left out. */
  count?: number;
}
export interface Decision extends Moment {
  /** Function that it was made in, inlined ones among them. */
  function: string;
  /** The condition in C as the source has it, `data + 14 > end`, else the instruction. */
  condition: string;
  /** Whether the jump was taken. */
  jumped: boolean;
  /** Whether the condition in C held; absent where that cannot be told from the instruction. */
  held?: boolean;
  /** How the values that were compared compare, as far as they are known: `4 > 3`, which is true. */
  compared?: string;
  /** How often in a row it went like this in the rounds of a loop; the moment is the last of them. */
  times: number;
}
export interface DecisionsResponse {
  decisions: Decision[];
  /** Decisions before the first of these that are not listed. */
  earlier: number;
}

/**
 * Steps back that DAP has no request for: into the function that was called last before here, to the last line of it
 * that ran, or out of the present function to the line that called it. `stopped` follows.
 */
export const StepBack = 'bpf/stepBack';
export interface StepBackArguments {
  threadId: number;
  kind: 'into' | 'out';
  granularity?: 'statement' | 'line' | 'instruction';
}

/** What to write beside the code: for each expression `= 60` or `→ packet+14`, or null for nothing. */
export const InlineValues = 'bpf/inlineValues';
export interface InlineValuesArguments {
  expressions: string[];
  frameId?: number;
}
export interface InlineValuesResponse {
  values: (string | null)[];
}

/** Goes to a step of the run; `stopped` (reason `goto`) follows. */
export const GoToStep = 'bpf/goToStep';
export interface GoToStepArguments {
  step: number;
}

/** Event: what the session is doing, for views and lenses. */
export const SessionState = 'bpf/sessionState';
export interface SessionStateEvent {
  phase: 'preparing' | 'running' | 'finished' | 'attached' | 'ended';
  /** `XDP_DROP (1)` after a run. */
  returned?: string;
  /** What is attached, one line each: `xdp on veth0 (native)`. */
  attached?: string[];
}

/**
 * Live traffic: in a session that is attached nothing stops. A breakpoint takes a snapshot each time it is hit. Hits are
 * counted all; of those that are hit often only some are sent as this event, at most {@link SNAPSHOT_EVENTS} a second.
 */
export const Snapshot = 'bpf/snapshot';
export const SNAPSHOT_EVENTS = 50;
export interface SnapshotEvent {
  /** For {@link OpenSnapshot}. */
  id: number;
  threadId: number;
  /** `at_xdp: xdp on veth0 (native)`. */
  hook: string;
  /** DAP's id of the breakpoint. */
  breakpoint: number;
  path: string;
  line: number;
  function: string;
  /** Milliseconds since 1970, and the kernel's monotonic clock in nanoseconds, as decimal text. Absent if not taken. */
  time?: number;
  monotonic?: string;
  cpu?: number;
  /** The simple ones, as the Variables view writes them. */
  locals: { name: string; value: string }[];
}

/** Event: what all breakpoints of the attached programs have counted, at most twice a second and only when it changed. */
export const SnapshotCounts = 'bpf/snapshots';
export interface SnapshotCountsEvent {
  /** The sums of what follows. */
  hits: number;
  shown: number;
  lost: number;
  breakpoints: {
    /** DAP's id of the breakpoint. */
    id: number;
    /** Hits in the kernel; exact. */
    hits: number;
    /** Snapshots that met the breakpoint's conditions, and were sent as events or log messages. */
    shown: number;
    /** Hits whose snapshot was overwritten before it was read. */
    lost: number;
  }[];
}

/** The newest snapshots that can be opened, newest first: for views that open late. */
export const Snapshots = 'bpf/listSnapshots';
export interface SnapshotsResponse {
  snapshots: SnapshotEvent[];
}

/** The thread shows frames and variables of a snapshot; `stopped` follows. `continue` goes back to what is live. */
export const OpenSnapshot = 'bpf/openSnapshot';
export interface OpenSnapshotArguments {
  id: number;
}

/** Starts or ends the recording of every run. Answers with the state, which {@link FlightRecorderState} tells too. */
export const FlightRecorder = 'bpf/flightRecorder';
export interface FlightRecorderArguments {
  enabled: boolean;
  /** Keep the first run of which this holds: `returned == XDP_DROP && saddr == 0x0700000a`. */
  stopWhen?: string;
}

/** Event: at most twice a second, and when a condition has held. */
export const FlightRecorderState = 'bpf/flightRecorderState';
export interface FlightRecorderStateEvent {
  enabled: boolean;
  stopWhen?: string;
  /** Runs that ended since it was enabled. */
  runs: number;
  /** Of them, those that the condition was tried on. A condition on `returned` alone is tried on all, in the kernel. */
  checked: number;
  /** Those that `returned` matches and that were gone before the rest of the condition could be tried. */
  lost: number;
  /** The run of which the condition held; recording has stopped, and `bpf/openRun` opens it. */
  stoppedAt?: number;
  /** Programs that cannot be recorded, and why. */
  notRecorded: { program: string; reason: string }[];
}

/** The newest runs in the recorder, newest first. */
export const Runs = 'bpf/runs';
export interface RunsArguments {
  /** 1 to 10,000; 100 when left out. */
  limit?: number;
  /** Only those of this hook's program. */
  threadId?: number;
}
export interface RunsResponse {
  runs: RecordedRunSummary[];
}
export interface RecordedRunSummary {
  /** For {@link OpenRun}. */
  id: number;
  threadId: number;
  hook: string;
  /** When it began: milliseconds since 1970, and the kernel's monotonic clock in nanoseconds. */
  time: number;
  monotonic: string;
  /**
   * The time is that of an earlier run in the same tick of the kernel (1 to 10 ms): of many runs in a tick only the
   * first ask for the time. The order of a program's runs is known all the same.
   */
  isTimeOfTick: boolean;
  cpu: number;
  /** `XDP_DROP (1)`. */
  returned: string;
  returnValue: number;
  /** Instructions; left out of a long list, or of long runs. */
  steps?: number;
}

/** The thread goes through a run, from its end; `stopped` follows. `continue` at its end goes back to what is live. */
export const OpenRun = 'bpf/openRun';
export interface OpenRunArguments {
  id: number;
}

/** Events about programs that are attached, by name. */
export interface LiveEvents {
  [Snapshot]: SnapshotEvent;
  [SnapshotCounts]: SnapshotCountsEvent;
  [FlightRecorderState]: FlightRecorderStateEvent;
}
