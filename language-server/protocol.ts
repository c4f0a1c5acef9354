/**
 * What the language server and its editor say to each other beyond LSP. Each request and notification is named
 * once, here. No vscode types, so that other editors can be served too.
 */

import type { Range } from '../toolchain/diagnostic';

/** `initializationOptions`, and the shape of the `bpf` section in `workspace/configuration`. */
export interface Settings {
  clang: {
    /** Path of clang; empty: the newest on PATH. */
    path: string;
    /** Flags that replace all found or default ones; absent: compile_commands.json, then defaults. */
    args: string[] | null;
    /** Flags added to whichever were chosen. */
    extraArgs: string[];
  };
  verify: {
    /** `onType`: a pause in typing verifies the buffer; `onSave`; `manual`: only on request. */
    when: 'onType' | 'onSave' | 'manual';
    /** Milliseconds of silence before an edited buffer is verified. */
    delay: number;
  };
  inlayHints: {
    /** Ranges that the verifier has proven, behind the lines that set a variable. */
    ranges: boolean;
  };
  /** `local`, `vm`, `vm:PATH-TO-VMLINUZ`, or empty for automatic: local with privileges, else vm. */
  target: string;
}

export interface InitializationOptions extends Partial<Settings> {
  /**
   * Socket of a kernel host that is running already and shared by everything in the window. Absent: the server
   * starts a host of its own for `target`. Null: the client owns the kernel and will announce it with
   * {@link HostChanged}; until then the server compiles and has no verdicts.
   */
  hostSocket?: string | null;
  /** False while the workspace is not trusted: nothing is compiled or loaded, syntax checks only. */
  trusted?: boolean;
}

/** Client → server, notification: the window's kernel changed (or is gone: socket null, with the reason). */
export const HostChanged = 'bpf/hostChanged';
export interface HostChangedParams {
  socket: string | null;
  reason?: string;
}

/** Client → server, notification: trust was granted. */
export const TrustGranted = 'bpf/trustGranted';

/** Client → server, request: verify now, whatever `verify.when` says. */
export const VerifyNow = 'bpf/verifyNow';
export interface VerifyNowParams {
  uri: string;
}

/** Server → client, notification: the state of the work on a document, for lenses and the status item. */
export const DocumentStatus = 'bpf/documentStatus';
export interface DocumentStatusParams {
  uri: string;
  version: number;
  phase: 'idle' | 'compiling' | 'verifying' | 'done' | 'failed';
  /** What stopped the work, when it is not a finding in the source: no clang, no kernel, … with the next step. */
  problem?: { code: string; message: string; hint?: string };
  kernel?: string;
  programs: ProgramStatus[];
}
export interface ProgramStatus {
  name: string;
  section: string;
  type: string;
  /** Zero-based line of its `SEC()`. */
  line: number;
  verdict: 'accepted' | 'rejected' | 'error' | 'unknown';
  insns?: number;
  states?: number;
  stackDepth?: number;
  microseconds?: number;
  /** Of the text as it was saved last and on the same kernel; absent while that is the text, and when unknown. */
  saved?: { verdict: 'accepted' | 'rejected' | 'error'; insns?: number; states?: number };
}

/**
 * Client → server, request: the whole verifier log of one program, for the read-only log document. The log is
 * asked of the kernel again at the given level when it is not at hand.
 */
export const VerifierLog = 'bpf/verifierLog';
export interface VerifierLogParams {
  uri: string;
  program: string;
}
export interface VerifierLogResult {
  text: string;
  /** Zero-based line of the log → the source position it speaks of. Sorted by line. */
  links: { line: number; path: string; sourceLine: number; sourceCharacter: number }[];
  kernel: string;
}

/** Client → server, request: how the verifier came to where it gave up on a program, for a tree. */
export const FailingPath = 'bpf/failingPath';
export interface FailingPathParams {
  uri: string;
  program: string;
}
export interface FailingPathResult {
  program: string;
  kernel: string;
  /** Id of the finding, e.g. `bpf/null-deref`, and what is wrong in plain words. */
  code: string;
  message: string;
  /** Version of the text that the ranges are about. */
  version: number;
  /** From the program's beginning to the refused instruction; the last node is where the verifier gave up. */
  nodes: PathNode[];
}
/** A row of the tree. Its children are what ran from there until the next one, or inside it. */
export interface PathNode {
  /**
   * `start`: the program's beginning; `cause`: a place that explains the failure; `failure`: where the verifier gave up; `line`: a visit of a source line; `decision`: a line that ends in a conditional jump;
   * `call`: a line that calls a function, whose rows are its children; `loop`: rows gone through `count` times, shown
   * as they were the last time; `more`: rows that were left out.
   */
  kind: 'start' | 'cause' | 'failure' | 'line' | 'decision' | 'call' | 'loop' | 'more';
  /**
   * Of a `cause`: where a value came from, what was done to it, a check that proves something of it, where that was
   * lost, a branch taken, where a reference or lock was taken, the loop the path is in, a variable that takes stack.
   */
  cause?: 'origin' | 'change' | 'proof' | 'proof-lost' | 'decision' | 'acquired' | 'loop' | 'stack';
  /** The source line, or what is to be said of the place. */
  label: string;
  /** `line 14`, `line 14 → line 17`. */
  detail?: string;
  place?: PathPlace;
  /** Of the log document, zero-based, both included. */
  logLines?: { first: number; last: number };
  count?: number;
  /**
   * What the verifier knew of the registers that the node's instructions use, in words, and the C variable that lives
   * there; absent where the log does not tell.
   */
  registers?: { name: string; variable?: string; before?: string; after?: string }[];
  /** The node's last instruction in the kernel's assembly. */
  instruction?: string;
  children: PathNode[];
}
export interface PathPlace {
  uri: string;
  range: Range;
}

/** Client → server, request: how often the verifier came to each source line. The kernel is asked for the log it takes. */
export const VerifierCosts = 'bpf/verifierCosts';
export interface VerifierCostsParams {
  uri: string;
}
export interface VerifierCostsResult {
  kernel: string;
  /** Version of the text that the lines are about. */
  version: number;
  lines: VerifierLineCost[];
  programs: {
    name: string;
    /** Zero-based line of its `SEC()`. */
    line: number;
    /** Instructions that the verifier processed. */
    insns?: number;
    /** Why its instructions were not counted; absent when they were. */
    notMeasured?: string;
  }[];
}
export interface VerifierLineCost {
  uri: string;
  /** Zero-based. */
  line: number;
  visits: number;
  /** Compiled into the object, and never come to on this kernel: dead code. Only said of whole verifications. */
  isUnreached: boolean;
  /** Some of its instructions were come to and others never. */
  isPartlyUnreached: boolean;
}

/** Client → server, request: the object compiled from the buffer as it is, for running and attaching. */
export const CompileDocument = 'bpf/compile';
export interface CompileDocumentParams {
  uri: string;
}
/** Either an object, or why there is none; the source's errors are among the document's diagnostics. */
export interface CompileDocumentResult {
  /** The ELF object, base64. */
  object?: string;
  problem?: { code: string; message: string; hint?: string };
}

/** Scheme of the verifier log document: `bpf-log:/PROGRAM.bpflog?SOURCE-URI`. */
export const LOG_SCHEME = 'bpf-log';

/**
 * Commands of the editor that lenses, code actions and the hints of problems carry. A program command takes one
 * {@link ProgramCommandArguments}; `verifyNow` takes `{ uri }`, `explainFinding` takes `{ code }`; the others nothing.
 */
export const EditorCommands = {
  runProgram: 'bpf.runProgram',
  attachProgram: 'bpf.attachProgram',
  showVerifierLog: 'bpf.showVerifierLog',
  showFailingPath: 'bpf.showFailingPath',
  explainFinding: 'bpf.explainFinding',
  verifyNow: 'bpf.verifyNow',
  selectKernel: 'bpf.selectKernel',
  checkEnvironment: 'bpf.checkEnvironment',
  generateVmlinuxHeader: 'bpf.generateVmlinuxHeader',
} as const;
export interface ProgramCommandArguments {
  uri: string;
  /** C function name of the program. */
  program: string;
  /** Of `showVerifierLog`: the line of the log to show, zero-based; absent: the last instruction. */
  line?: number;
}
