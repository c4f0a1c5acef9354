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
  path: string;
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

/** Event: what the session is doing, for views and lenses. */
export const SessionState = 'bpf/sessionState';
export interface SessionStateEvent {
  phase: 'preparing' | 'running' | 'finished' | 'attached' | 'ended';
  /** `XDP_DROP (1)` after a run. */
  returned?: string;
  /** What is attached, one line each: `xdp on veth0 (native)`. */
  attached?: string[];
}
