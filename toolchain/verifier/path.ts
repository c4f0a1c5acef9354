/**
 * What a log says of the path on which the verifier gave up: the instructions in the order they were looked at,
 * the branches taken, and the words it ended with.
 */
import { CALL, EXIT } from '../insn/opcodes';
import { branchOf, instructionOf } from './log';
import { indexLog } from './logIndex';
import type { LogIndex } from './logIndex';
import { PathStates } from './pathStates';
import { Walk } from './walk';
import type { Branch } from './walk';

export { MAX_STEPS } from './walk';
export type { Branch } from './walk';

/** An instruction the verifier looked at. Its line is taken apart when somebody asks for what stands in it. */
export class Step {
  private parsed: { text: string; state: string } | undefined;

  constructor(
    private readonly log: LogIndex,
    /** Line of the log, zero-based. */
    readonly logLine: number,
    /** Call depth: 0 in the program itself. */
    readonly frame: number,
  ) {}

  get insn(): number {
    return this.log.insn(this.logLine);
  }

  /** In the kernel's assembly. */
  get text(): string {
    return (this.parsed ??= this.parse()).text;
  }

  /** Registers it changed, as logged; empty before Linux 5.17. {@link FailingPath.states} has all that is known. */
  get state(): string {
    return (this.parsed ??= this.parse()).state;
  }

  /** Whether it ends a function. */
  get isExit(): boolean {
    return this.log.opcode(this.logLine) === EXIT;
  }

  /** Whether it calls a function of the program's own. */
  get isLocalCall(): boolean {
    return this.log.opcode(this.logLine) === CALL && this.log.target(this.logLine) >= 0;
  }

  private parse(): { text: string; state: string } {
    const line = this.log.at(this.logLine);
    return instructionOf(line) ?? { text: line.text, state: '' };
  }
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
  /** What the verifier knew before and after each of the steps. */
  states: PathStates;
  log: LogIndex;
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

/** The verifier's reasons have a handful of lines; of a longer run of unknown ones only the end can be its reason. */
const MAX_WORDS = 32;

/** Follows a log from its first line to its last. */
export function followPath(log: string | LogIndex): FailingPath {
  const index = typeof log === 'string' ? indexLog(log) : log;
  const walk = new Walk(index);
  const path: Omit<FailingPath, 'steps' | 'branches' | 'states'> = {
    log: index,
    terminal: [],
    insn: -1,
    statistics: [],
    lines: index.length,
    unknownLines: 0,
  };
  const reportLines: string[] = [];
  let words: string[] = [];
  for (let line = 0; line < index.length; line++) {
    switch (index.kind(line)) {
      case 'instruction':
        path.unknownLines += words.length;
        words = [];
        walk.step(line);
        path.insn = index.insn(line);
        break;
      case 'branch': {
        const branch = branchOf(index.at(line));
        if (!branch || branch.safe) break;
        path.unknownLines += words.length;
        words = [];
        walk.branch(branch.from, branch.to);
        path.insn = branch.to;
        break;
      }
      case 'pruned':
        walk.end();
        break;
      case 'function': {
        const text = index.text(line);
        if (text.startsWith('Validating ')) {
          path.validating = /^Validating (\S+?)\(\)/.exec(text)?.[1] ?? path.validating;
          walk.restart();
        }
        if (/^Func#\d+ (\(.*\) )?is safe/.test(text)) delete path.validating;
        break;
      }
      case 'text':
        // libbpf and bpftool go on talking after the statistics; their words are not the verifier's.
        if (path.statistics.length === 0) words.push(index.text(line));
        else path.unknownLines++;
        if (words.length > MAX_WORDS) {
          words.shift();
          path.unknownLines++;
        }
        break;
      case 'report':
        reportLines.push(index.text(line));
        break;
      case 'statistics':
        path.statistics.push(index.text(line));
        break;
      default:
        break;
    }
  }
  path.terminal = words;
  if (reportLines.length) path.report = readKernelReport(reportLines);
  const steps = walk.lines.map((line, step) => new Step(index, line, walk.frames[step] as number));
  return { ...path, steps, branches: walk.branches, states: new PathStates(index, steps) };
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
