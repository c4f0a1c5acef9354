/**
 * What a log says of the path on which the verifier gave up: the instructions in the order they were looked at,
 * the branches taken, and the words it ended with.
 */
import { branchOf, instructionOf, parseLogChunks } from './log';
import type { LogLine } from './log';

/** An instruction the verifier looked at. Its line is taken apart when somebody asks for what stands in it. */
export class Step {
  private parsed: { text: string; state: string } | undefined;

  constructor(
    private readonly line: LogLine,
    /** Call depth: 0 in the program itself. */
    readonly frame: number,
  ) {}

  get insn(): number {
    return this.line.insn;
  }

  /** Line of the log, zero-based. */
  get logLine(): number {
    return this.line.number;
  }

  /** In the kernel's assembly. */
  get text(): string {
    return (this.parsed ??= this.parse()).text;
  }

  /** Registers it changed, as logged; empty before Linux 6.0. */
  get state(): string {
    return (this.parsed ??= this.parse()).state;
  }

  /** Whether it ends a function. */
  get isExit(): boolean {
    return this.line.text.includes(': (95) ');
  }

  /** Whether it calls a function of the program's own. */
  get isLocalCall(): boolean {
    return this.line.text.includes(') call pc');
  }

  private parse(): { text: string; state: string } {
    return instructionOf(this.line) ?? { text: this.line.text, state: '' };
  }
}

export interface Branch {
  /** The conditional jump, and where the path went on. */
  from: number;
  to: number;
  /** Position in {@link FailingPath.steps} of the first step after it. */
  step: number;
}

/** Linux 7.3's own report. */
export interface KernelReport {
  /** `Register Type Safety`, `Memory Safety`, … */
  category: string;
  /** What is wrong, the header's second half. */
  problem: string;
  reason: string;
  at?: KernelPlace;
  causes: KernelPlace[];
  suggestion: string;
}
export interface KernelPlace {
  function?: string;
  file: string;
  /** One-based. */
  line: number;
  column: number;
  /** What the kernel writes under the source excerpt. */
  note: string;
}

export interface FailingPath {
  /** Steps from the program's start to its end; the oldest are dropped beyond {@link MAX_STEPS}. */
  steps: Step[];
  branches: Branch[];
  /** The verifier's last words before its statistics, one line each; empty when it accepted. */
  terminal: string[];
  /** Instruction the log was at when it said them: the last one printed, or the target of a branch. */
  insn: number;
  /** `func#…` being validated on its own when the log ended, for global functions. */
  validating?: string;
  report?: KernelReport;
  /** The end of the log, from `processed …` on. */
  statistics: string[];
  lines: number;
  /** Lines of no known form, the terminal ones not counted. */
  unknownLines: number;
}

/** Enough for any path that a person or an explanation follows; the memory for it stays under some 50 MB. */
export const MAX_STEPS = 200_000;

/** The verifier's reasons have a handful of lines; of a longer run of unknown ones only the end can be its reason. */
const MAX_WORDS = 32;

/** Follows a log from its first line to its last. */
export function followPath(log: string | Iterable<string>): FailingPath {
  const path: FailingPath = {
    steps: [],
    branches: [],
    terminal: [],
    insn: -1,
    statistics: [],
    lines: 0,
    unknownLines: 0,
  };
  const reportLines: string[] = [];
  let words: string[] = [];
  let frame = 0;
  /** Whether the path went to its end, so that what follows belongs to another. */
  let ended = false;
  for (const line of parseLogChunks(typeof log === 'string' ? [log] : log)) {
    path.lines++;
    switch (line.kind) {
      case 'instruction': {
        path.unknownLines += words.length;
        words = [];
        // Up to 5.10 a log of level 2 says nothing where a branch put off is taken up again.
        if (ended || isElsewhere(path.steps.at(-1), line.insn)) frame = resume(path, line.insn, frame);
        frame = addStep(path, line, frame);
        ended = frame === 0 && path.steps.at(-1)?.isExit === true;
        path.insn = line.insn;
        break;
      }
      case 'branch': {
        const branch = branchOf(line);
        if (!branch || branch.safe) break;
        path.unknownLines += words.length;
        words = [];
        frame = rewind(path, branch.from, frame);
        ended = false;
        path.branches.push({ from: branch.from, to: branch.to, step: path.steps.length });
        path.insn = branch.to;
        break;
      }
      case 'pruned':
        ended = true;
        break;
      case 'function':
        if (line.text.startsWith('Validating ')) {
          path.validating = /^Validating (\S+?)\(\)/.exec(line.text)?.[1] ?? path.validating;
          // A function that is verified on its own has a path of its own.
          path.steps = [];
          path.branches = [];
          frame = 0;
        }
        if (/^Func#\d+ \('?.*'?\) is safe|^Func#\d+ is safe/.test(line.text)) delete path.validating;
        break;
      case 'text':
        // libbpf and bpftool go on talking after the statistics; their words are not the verifier's.
        if (path.statistics.length === 0) words.push(line.text);
        else path.unknownLines++;
        if (words.length > MAX_WORDS) {
          words.shift();
          path.unknownLines++;
        }
        break;
      case 'report':
        reportLines.push(line.text);
        break;
      case 'statistics':
        path.statistics.push(line.text);
        break;
      default:
        break;
    }
  }
  path.terminal = words;
  if (reportLines.length) path.report = readKernelReport(reportLines);
  return path;
}

function addStep(path: FailingPath, line: LogLine, frame: number): number {
  const { steps } = path;
  const last = steps.at(-1);
  let depth = frame;
  // A call of a global function is not followed: the next instruction is the one after the call.
  if (last?.isLocalCall && line.insn !== last.insn + 1) depth++;
  else if (last?.isExit && depth > 0) depth--;
  steps.push(new Step(line, depth));
  if (steps.length > MAX_STEPS) {
    const dropped = steps.length - MAX_STEPS / 2;
    steps.splice(0, dropped);
    path.branches = path.branches
      .map((branch) => ({ ...branch, step: branch.step - dropped }))
      .filter((branch) => branch.step >= 0);
  }
  return depth;
}

/**
 * The verifier goes depth first, so a branch followed later continues the path up to the last visit of its
 * jump. At log level 1 the kernel has cut the abandoned part from the log itself; at level 2 it stands there still.
 */
function rewind(path: FailingPath, from: number, frame: number): number {
  for (let at = path.steps.length - 1; at >= 0; at--) {
    const step = path.steps[at] as Step;
    if (step.insn !== from) continue;
    path.steps.length = at + 1;
    path.branches = path.branches.filter((branch) => branch.step <= at);
    return step.frame;
  }
  return frame;
}

/** Whether control cannot go from a step to an instruction; calls and returns may go anywhere. */
function isElsewhere(last: Step | undefined, insn: number): boolean {
  if (!last || insn === last.insn + 1 || last.isLocalCall || last.isExit) return false;
  const offset = /goto pc([+-]\d+)/.exec(last.text)?.[1];
  // A 64-bit constant takes two instructions, and may_goto and callbacks have targets of their own.
  if (offset === undefined) return insn !== last.insn + 2 && !/^(call|may_goto|gotol|<)/.test(last.text);
  return insn !== last.insn + 1 + Number(offset);
}

/** Takes up the latest conditional jump that leads to an instruction. */
function resume(path: FailingPath, insn: number, frame: number): number {
  for (let at = path.steps.length - 1; at >= 0; at--) {
    const step = path.steps[at] as Step;
    const offset = /^if .* goto pc([+-]\d+)$/.exec(step.text)?.[1];
    if (offset === undefined || (insn !== step.insn + 1 && insn !== step.insn + 1 + Number(offset))) continue;
    path.steps.length = at + 1;
    path.branches = path.branches.filter((branch) => branch.step <= at);
    path.branches.push({ from: step.insn, to: insn, step: at + 1 });
    return step.frame;
  }
  return frame;
}

/** `Verification failed: CATEGORY: WHAT`, then titled sections with text or source excerpts. */
function readKernelReport(lines: string[]): KernelReport {
  const header = /^Verification failed: ([^:]*)(?:: (.*))?$/.exec(lines[0] ?? '');
  const report: KernelReport = {
    category: header?.[1]?.trim() ?? '',
    problem: header?.[2]?.trim() ?? '',
    reason: '',
    causes: [],
    suggestion: '',
  };
  let section = '';
  let place: KernelPlace | undefined;
  for (const line of lines.slice(1)) {
    const title = /^([A-Z][A-Za-z ]*):$/.exec(line)?.[1];
    if (title) {
      section = title;
      place = undefined;
      continue;
    }
    if (section === 'Reason') report.reason = joinWords(report.reason, line);
    else if (section === 'Suggestion') report.suggestion = joinWords(report.suggestion, line);
    else {
      const found = placeOf(line);
      if (found) {
        place = found;
        if (section === 'At') report.at = found;
        else report.causes.push(found);
      } else if (place) {
        const note = /\|\s*\^-- (.*)$/.exec(line)?.[1];
        if (note) place.note = joinWords(place.note, note);
        else if (place.note && /^\s+\|\s{2,}\S/.test(line))
          place.note = joinWords(place.note, line.replace(/^\s+\|/, ''));
      }
    }
  }
  return report;
}

function placeOf(line: string): KernelPlace | undefined {
  const match = /^\s+(?:(\S+) @ )?(\S.*?):(\d+):(\d+)$/.exec(line);
  if (!match || line.includes('|')) return undefined;
  const [, name, file, row, column] = match;
  const place: KernelPlace = { file: file as string, line: Number(row), column: Number(column), note: '' };
  return name ? { ...place, function: name } : place;
}

function joinWords(before: string, line: string): string {
  return `${before} ${line.trim()}`.trim();
}
