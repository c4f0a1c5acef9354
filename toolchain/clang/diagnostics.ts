/** Reads what clang and LLVM's BPF backend print about a source file. */
import { readFileSync } from 'node:fs';
import { Severity, type Diagnostic, type Position, type Range } from '../diagnostic';
import { explainBackend } from './backend-errors';

/** Flags that make clang print what {@link parseDiagnostics} reads; put after the user's own. */
export const DIAGNOSTIC_FLAGS = [
  '-fno-color-diagnostics',
  '-fno-caret-diagnostics',
  '-fdiagnostics-print-source-range-info',
  '-fdiagnostics-show-option',
  '-fdiagnostics-absolute-paths',
  '-fdiagnostics-format=clang',
  '-fno-diagnostics-show-hotness',
  '-fno-crash-diagnostics',
  '-ferror-limit=50',
  '-fmessage-length=0',
];

/** At most this many of a compilation are kept. */
const MAX_DIAGNOSTICS = 500;

const located =
  /^(.+?):(\d+):(\d+):((?:\{\d+:\d+-\d+:\d+\})*):? ?(fatal error|error|warning|note|remark): (.*)$/;
const unlocated = /^(?:fatal )?(error|warning): (.*)$/;
const includedFrom = /^In file included from (.+?):(\d+)[,:]$/;
/** `error: FILE:LINE:COLUMN: in function NAME TYPE: MESSAGE`, as LLVM prints it without clang's help. */
const backend = /^(.+?):(\d+):(\d+): in function (\S+) .*?: (.*)$/;
/** What follows the error of an instruction selection that failed without a place. */
const inFunction = /^In function: (\w+)$/;
/** LLVM names the place itself when clang, which knows only files on disk, cannot find it. */
const realPlace = /^could not determine the original source location for (.+):(\d+):(\d+)$/;

/**
 * Diagnostics of one compilation, in clang's order, notes as related information of what they belong to.
 * @param stderr what clang wrote.
 * @param mainPath the compiled file; `text` its content, which need not be on disk.
 */
export function parseDiagnostics(stderr: string, mainPath: string, text: string): Diagnostic[] {
  const sources = new Sources(mainPath, text);
  const found: Diagnostic[] = [];
  let includeStack: { path: string; line: number }[] = [];
  let current: Diagnostic | undefined;
  for (const line of stderr.split('\n')) {
    const include = includedFrom.exec(line);
    if (include) {
      includeStack.push({ path: include[1]!, line: Number(include[2]) });
      continue;
    }
    const match = located.exec(line);
    if (match) {
      const [, path, row, column, ranges, kind, message] = match;
      if (kind === 'note') {
        const place = realPlace.exec(message!);
        if (current && place) {
          const [, file, line, from] = place;
          if (line !== '0') current.range = sources.range(file!, Number(line), Number(from), '');
        } else if (current) {
          const range = sources.range(path!, Number(row), Number(column), ranges!);
          current.related.push({ path: path!, range, message: message! });
        }
      } else {
        current = diagnosticOf(
          path!,
          sources.range(path!, Number(row), Number(column), ranges!),
          kind!,
          message!,
        );
        found.push(current);
        const at = includeStack.find((entry) => entry.path === mainPath);
        if (path !== mainPath && at)
          found.push(atInclude(current, mainPath, sources.line(mainPath, at.line)));
      }
      includeStack = [];
      continue;
    }
    const gaveUpIn = inFunction.exec(line)?.[1];
    if (gaveUpIn !== undefined && current?.code === GAVE_UP && current.range.start.line === 0) {
      current.range = sources.definition(mainPath, gaveUpIn) ?? current.range;
    }
    const bare = unlocated.exec(line);
    if (bare) {
      current = fromBackend(bare[1]!, bare[2]!, mainPath, sources);
      if (current) found.push(current);
      includeStack = [];
    }
  }
  // Where LLVM gave up at last says less than what it complained of before.
  const errors = found.filter(({ severity }) => severity === Severity.Error);
  const telling = errors.some(({ code }) => code !== GAVE_UP);
  const kept = withoutRepeats(found.filter(({ code }) => !telling || code !== GAVE_UP));
  return oneStackFindingEach(kept, sources).slice(0, MAX_DIAGNOSTICS);
}

/** LLVM complains of a function's stack at each of its uses; one of them says it all. */
function oneStackFindingEach(found: readonly Diagnostic[], sources: Sources): Diagnostic[] {
  const seen = new Set<string>();
  return found.filter(({ path, range, code }) => {
    if (code !== STACK_SIZE) return true;
    const key = `${path}\n${sources.functionsBefore(path, range.start.line)}`;
    return !seen.has(key) && seen.add(key);
  });
}

/** LLVM complains once for each instruction that it gives up on, at one place in the same words. */
function withoutRepeats(found: readonly Diagnostic[]): Diagnostic[] {
  const seen = new Set<string>();
  return found.filter(({ path, range: { start }, code, message }) => {
    const key = [path, start.line, start.character, code, message].join('\n');
    return !seen.has(key) && seen.add(key);
  });
}

const STACK_SIZE = 'bpf/stack-size';

/** The code for an instruction selection that failed. */
const GAVE_UP = 'bpf/unsupported-code';

function diagnosticOf(path: string, range: Range, kind: string, text: string): Diagnostic {
  const option = / \[(-W[^\],]+)(?:,[^\]]*)?\]$/.exec(text);
  const message = option ? text.slice(0, option.index) : text;
  const isWarning = kind === 'warning' || kind === 'remark';
  // Clang says the same of a call with too many arguments in C, and marks that "to function call".
  const backend = isWarning || /to function call/.test(message) ? undefined : explainBackend(message);
  if (backend) {
    return {
      path,
      range,
      severity: Severity.Error,
      code: backend.id,
      source: 'clang',
      message: backend.message,
      related: [],
      data: { kernelMessage: plainBackendMessage(message), help: backend.help },
    };
  }
  return {
    path,
    range,
    severity: isWarning ? Severity.Warning : Severity.Error,
    code:
      option && option[1] !== '-Werror' ? `clang/${option[1]}` : `clang/${isWarning ? 'warning' : 'error'}`,
    source: 'clang',
    message: plainBackendMessage(message) + advice(message),
    related: [],
  };
}

/** An error inside a header, shown at the `#include` that brought it in. */
function atInclude(inner: Diagnostic, path: string, range: Range): Diagnostic {
  const related = [{ path: inner.path, range: inner.range, message: inner.message }];
  return { ...inner, path, range, related, message: `In an included file: ${inner.message}` };
}

function fromBackend(kind: string, text: string, mainPath: string, sources: Sources): Diagnostic | undefined {
  if (/^(clang frontend command failed|linker command failed|\d+ (error|warning))/.test(text))
    return undefined;
  const match = backend.exec(text);
  if (match) {
    const [, path, row, column, name, message] = match;
    return diagnosticOf(
      path!,
      sources.range(path!, Number(row), Number(column), ''),
      kind,
      `in function ${name}: ${message}`,
    );
  }
  const place = /(\S+):(\d+):(\d+)\s*$/.exec(text);
  const range = place
    ? sources.range(place[1]!, Number(place[2]), Number(place[3]), '')
    : sources.line(mainPath, 1);
  return diagnosticOf(mainPath, range, kind, text);
}

/** LLVM's selection graph nodes carry addresses, which say nothing and change with every run. */
function plainBackendMessage(message: string): string {
  const call = /^0x[\da-f]+: .*?<ptr @(\w+)>.*?, \S+:\d+:\d+ (.*)$/.exec(message);
  if (call) return `${call[2]} in the call of ${call[1]}`;
  return message
    .replace(/0x[\da-f]+: [^,]*, \S+:\d+:\d+ /, '')
    .replace(/0x[\da-f]{6,}(: )?/g, '')
    .trim();
}

/** What to do about errors whose cause lies outside the source. */
function advice(message: string): string {
  const missing = /^'([^']+)' file not found/.exec(message)?.[1];
  if (missing === undefined) return '';
  if (/(^|\/)vmlinux\.h$/.test(missing))
    return ' (it is made from the BTF of the kernel in use, which gave none: "BPF: Generate vmlinux.h" in the editor, `bpf-studio vmlinux` in a terminal, says why or writes it into the project)';
  if (/^(bpf\/)?(bpf_(helpers|helper_defs|endian|tracing|core_read)|usdt\.bpf)\.h$/.test(missing))
    return " (libbpf's headers: sudo apt-get install libbpf-dev)";
  if (missing.startsWith('asm/')) return " (the kernel's headers: sudo apt-get install linux-libc-dev)";
  return '';
}

/** Converts clang's one-based lines and byte columns to zero-based lines and UTF-16 columns. */
class Sources {
  private readonly files = new Map<string, string[]>();

  constructor(mainPath: string, text: string) {
    this.files.set(mainPath, text.split('\n'));
  }

  /** How many functions end before a line, zero-based: lines of one function have the same number. */
  functionsBefore(path: string, line: number): number {
    return this.lines(path)
      .slice(0, line)
      .filter((text) => text.startsWith('}')).length;
  }

  range(path: string, row: number, column: number, ranges: string): Range {
    const at = this.position(path, row, column);
    for (const [, fromRow, from, toRow, to] of ranges.matchAll(/\{(\d+):(\d+)-(\d+):(\d+)\}/g)) {
      const start = this.position(path, Number(fromRow), Number(from));
      const end = this.position(path, Number(toRow), Number(to));
      if (!before(at, start) && before(at, end)) return { start, end };
    }
    return { start: at, end: this.endOfWord(path, at) };
  }

  /** The text of a line, without the white space around it. */
  line(path: string, row: number): Range {
    const text = this.lines(path)[row - 1] ?? '';
    const line = Math.max(0, row - 1);
    const from = text.length - text.trimStart().length;
    return {
      start: { line, character: from },
      end: { line, character: Math.max(from + 1, text.trimEnd().length) },
    };
  }

  /** A function's name where the file defines it, as well as the text alone tells. */
  definition(path: string, name: string): Range | undefined {
    const pattern = new RegExp(`^(?!\\s*(?:return|//|\\*)).*\\b(${name})(?=\\s*(?:\\(|,)[^;]*$)`);
    for (const [line, text] of this.lines(path).entries()) {
      const match = pattern.exec(text);
      if (!match) continue;
      const end = match[0].length;
      return { start: { line, character: end - name.length }, end: { line, character: end } };
    }
    return undefined;
  }

  private position(path: string, row: number, column: number): Position {
    const line = Math.max(0, row - 1);
    const text = this.lines(path)[line] ?? '';
    const bytes = Math.max(0, column - 1);
    // Most lines are ASCII, where bytes and UTF-16 units are the same.
    // eslint-disable-next-line no-control-regex
    if (/^[\x00-\x7f]*$/.test(text)) return { line, character: bytes };
    return { line, character: Buffer.from(text, 'utf8').subarray(0, bytes).toString('utf8').length };
  }

  private endOfWord(path: string, at: Position): Position {
    const text = this.lines(path)[at.line] ?? '';
    const word = /^(\w+|\S)/.exec(text.slice(at.character))?.[0] ?? ' ';
    return { line: at.line, character: at.character + word.length };
  }

  private lines(path: string): string[] {
    let lines = this.files.get(path);
    if (!lines) {
      try {
        lines = readFileSync(path, 'utf8').split('\n');
      } catch {
        // A path that is no file, such as `<built-in>`: columns are taken as they are.
        lines = [];
      }
      this.files.set(path, lines);
    }
    return lines;
  }
}

function before(a: Position, b: Position): boolean {
  return a.line < b.line || (a.line === b.line && a.character < b.character);
}
