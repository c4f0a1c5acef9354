/**
 * A finding about a source file, in the shape LSP uses, so that the editor, the CLI's `--json` and tests all show
 * the same thing. Positions are zero-based; `character` counts UTF-16 units.
 */
export interface Position {
  line: number;
  character: number;
}
export interface Range {
  start: Position;
  end: Position;
}

/** Whether two ranges have a place in common; ranges that touch do. */
export function rangesMeet(a: Range, b: Range): boolean {
  return !isBefore(a.end, b.start) && !isBefore(b.end, a.start);
}

/** Whether two ranges begin and end at the same places. */
export function isSameRange(a: Range, b: Range): boolean {
  return isSamePosition(a.start, b.start) && isSamePosition(a.end, b.end);
}

function isBefore(a: Position, b: Position): boolean {
  return a.line < b.line || (a.line === b.line && a.character < b.character);
}

function isSamePosition(a: Position, b: Position): boolean {
  return a.line === b.line && a.character === b.character;
}

/** LSP's DiagnosticSeverity. */
export const Severity = { Error: 1, Warning: 2, Information: 3, Hint: 4 } as const;
export type Severity = (typeof Severity)[keyof typeof Severity];

export interface RelatedInformation {
  /** Absolute path of a source file. */
  path: string;
  range: Range;
  message: string;
}

/** A change of a source that mends it. */
export interface Fix {
  title: string;
  /** The only one that does what the programmer must have meant. */
  isPreferred: boolean;
  /** In order, not overlapping. */
  edits: { range: Range; newText: string }[];
  /** The same for `patch -p1` and `git apply`. */
  diff: string;
}

export interface Diagnostic {
  /** Absolute path of the file the finding is in: the compiled file, or a header it includes. */
  path: string;
  range: Range;
  severity: Severity;
  /** Stable identifier, e.g. `bpf/null-deref`, `clang/-Wunused-variable`, `syntax`. */
  code: string;
  /** Who says so: `syntax` (tree-sitter), `clang`, `verifier` (a kernel), `libbpf`. */
  source: 'syntax' | 'clang' | 'verifier' | 'libbpf' | 'bpf-studio';
  message: string;
  related: RelatedInformation[];
  data?: {
    /** The verifier's own terminal line, verbatim. */
    kernelMessage?: string;
    /** `uname -r` of the kernel that spoke. */
    kernel?: string;
    /** C function name of the program. */
    program?: string;
    /** Index of the failing instruction in the verifier's log. */
    instruction?: number;
    /** Line of the whole log, zero-based, on which the verifier came to that instruction. */
    logLine?: number;
    /** What the programmer can do about it. */
    help?: string;
    /** Of a hint: whole texts for the program's `SEC()` that may have been meant, the likeliest first. */
    sections?: string[];
    /** Changes of the source that the kernel accepted, the best first, where somebody asked for them. */
    fixes?: Fix[];
    /** What a newer kernel, which explains its rejections itself, says of the same program. */
    secondOpinion?: string;
  };
}
