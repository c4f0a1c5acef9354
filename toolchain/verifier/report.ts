/**
 * A kernel's verdict on one program, explained: which class of failure it is, where in the source, what led there.
 * Everything that is said comes from the verdict, the log and the object; where those are silent, so is this.
 */
import type { Btf } from '../btf/btf';
import { readDwarf } from '../dwarf/dwarf';
import type { BpfObject } from '../elf/object';
import type { NamedPlace } from '../load-failure/finding';
import { explainLoadFailure } from '../load-failure/load-failure';
import type { TargetFacts } from '../load-failure/target';
import { loadedLayout } from '../program/loaded-layout';
import { classifyMessage, entryById, unreadableEntry } from './catalogue';
import type { Classified } from './catalogue';
import type { Entry } from './catalogue/kinds';
import { causesOf, declarationsOf, Trace } from './cause/cause';
import type { CausalStep } from './cause/cause';
import { Names } from './cause/names';
import { factsOf, placeOfFailure } from './explain';
import { libbpfReason } from './libbpf';
import { followPath } from './path';
import type { FailingPath, KernelReport } from './path';
import { sourcePositions } from './position';
import type { MapPath, SourcePositions, SourceSpan } from './position';
import { assignedAt } from './span';
import { refine } from './refine';
import { readStatistics } from './statistics';
import type { Statistics } from './statistics';

/** What a kernel said of a program; `ProgramVerdict` of kernel/protocol.ts has this shape. */
export interface VerdictInput {
  name: string;
  section: string;
  /** In `SEC("?…")`. */
  optional?: boolean;
  type: string;
  verdict: 'accepted' | 'rejected' | 'error';
  stats?: Statistics;
  message?: string;
  errno?: string;
  libbpfLog: string;
  log?: string;
  lineInfo: Uint8Array;
  /** Instructions of the program after relocation. */
  insnCount?: number;
}

export interface ReportContext {
  /** BTF of the object that was loaded, for names of files and text of source lines. */
  btf: Btf | undefined;
  /** The object itself; its DWARF, for the names of variables, is read only when a program was rejected. */
  object?: BpfObject | undefined;
  /** File name as the compiler was given it → absolute path the user knows; identity when absent. */
  mapPath?: MapPath;
  /** Zero-based line of the `else` that belongs to the `if` at a place; absent without the source. */
  elseLine?: (at: SourceSpan) => number | undefined;
  /** `uname -r` of the kernel that spoke. */
  kernel?: string;
  /** The kernel it was loaded into: what failed before the verifier is said by both. */
  target?: TargetFacts;
}

export interface Report {
  program: string;
  section: string;
  /** libbpf loads it only when a loader asks for it. */
  isOptional: boolean;
  verdict: 'accepted' | 'rejected' | 'error';
  kernel?: string;
  statistics?: Statistics;
  /** Present unless the program was accepted. */
  failure?: Failure;
}

export interface Failure {
  /** Id in the catalogue, e.g. `bpf/null-deref`. */
  id: string;
  title: string;
  /** What is wrong, in plain words. */
  message: string;
  /** What the verifier wants, and what to do. */
  wants: string;
  help: string;
  /** The kernel's or libbpf's own words, verbatim; several lines where there are several. */
  kernelMessage: string;
  /** Whether those words are the verifier's or libbpf's. */
  saidBy: 'verifier' | 'libbpf';
  errno?: string;
  /** Index of the instruction that was refused; absent when the finding is about the program as a whole. */
  instruction?: number;
  /** Where that is in the source. */
  at?: SourceSpan;
  /** Where the object's names lead, for findings without an instruction; the first that the source has. */
  places?: NamedPlace[];
  /** What the program lacks is its loader's to say, see `LoadFinding`. */
  isLeftOpen?: boolean;
  /** Whole texts for the program's `SEC()` that may have been meant, the likeliest first. */
  sections?: string[];
  /** First position of the program, for findings without a place of their own. */
  programAt?: SourceSpan;
  /** What led there, in order of time. */
  causes: CausalStep[];
  /** What Linux 7.3 and later say themselves. */
  kernelReport?: KernelReport;
  /** Lines of the log of no known form. */
  unknownLines: number;
  /** The path that leads to the failure, oldest step first, and the branches on it. */
  path: FailingPath;
  /** Where its instructions stand in the source. */
  positions: SourcePositions;
}

/** Explains a verdict. Total: a log of rubbish gives a report that says what could not be read. */
export function explain(verdict: VerdictInput, context: ReportContext): Report {
  const mapPath = context.mapPath ?? ((file: string) => file);
  const { name: program, section, optional: isOptional = false } = verdict;
  const report: Report = { program, section, isOptional, verdict: verdict.verdict };
  if (context.kernel !== undefined) report.kernel = context.kernel;
  const statistics = verdict.stats ?? readStatistics(verdict.log ?? '');
  if (statistics) report.statistics = statistics;
  if (verdict.verdict === 'accepted') return report;

  const trace = followPath(verdict.log ?? '');
  const positions = sourcePositions(verdict.lineInfo, context.btf, mapPath);
  const classified = classify(verdict, trace);
  const failure = failureOf(verdict, trace, positions, classified, context);
  report.failure = withLoadFinding(failure, verdict, context);
  return report;
}

/** What the object and the target say of the failure beyond the kernel's words. */
function withLoadFinding(failure: Failure, verdict: VerdictInput, context: ReportContext): Failure {
  const { instruction, path, positions } = failure;
  const finding = explainLoadFailure(
    {
      ...verdict,
      id: failure.id,
      lines: failure.kernelMessage.split('\n'),
      ...(instruction !== undefined && { instruction }),
      assembly: path.steps.at(-1)?.text ?? '',
      positions,
    },
    { ...context, mapPath: context.mapPath ?? ((file) => file) },
  );
  if (!finding) {
    const hasLines = !context.object || failure.at || (context.object.ext?.lines.size ?? 0) > 0;
    return hasLines
      ? failure
      : {
          ...failure,
          help: `${failure.help} The object has no line information: compile with -g to see where.`,
        };
  }
  const { id, message, help, places, at, sections, isLeftOpen } = finding;
  const entry = entryById(id);
  return {
    ...failure,
    id,
    message,
    title: entry?.title ?? failure.title,
    wants: entry?.wants ?? failure.wants,
    help: help ?? failure.help,
    ...(places && { places }),
    ...(at && { at }),
    ...(sections && { sections }),
    ...(isLeftOpen && { isLeftOpen }),
  };
}

/** The verifier's last words when it got a word in, else libbpf's, else the plain message. */
function classify(
  verdict: VerdictInput,
  trace: FailingPath,
): Classified & { saidBy: Failure['saidBy']; words: string } {
  const terminal = trace.terminal.filter((line) => line.trim() !== '');
  const libbpf = libbpfReason(verdict.libbpfLog);
  const fromVerifier = classifyMessage(terminal);
  if (fromVerifier) return { ...fromVerifier, saidBy: 'verifier', words: terminal.join('\n') };
  const fallback = verdict.message?.trim() ? [verdict.message.trim()] : [];
  // Without a log a rejection's message is all that the verifier's words come to.
  const fromMessage = verdict.verdict === 'rejected' ? classifyMessage(fallback) : undefined;
  if (fromMessage) return { ...fromMessage, saidBy: 'verifier', words: fallback.join('\n') };
  // Where libbpf says no more than that it failed, the host may have found out why.
  const isBare = libbpf.every((line) => /failed to load|load failed/.test(line));
  const lines = isBare ? [...fallback, ...libbpf] : libbpf;
  const fromLibbpf = classifyMessage(verdict.errno ? [...lines, verdict.errno] : lines, 'libbpf');
  const words = (libbpf.length > 0 ? libbpf : fallback).join('\n') || verdict.errno || '';
  if (fromLibbpf) return { ...fromLibbpf, saidBy: 'libbpf', words };
  return { entry: unreadableEntry, line: '', saidBy: 'libbpf', words: '' };
}

function failureOf(
  verdict: VerdictInput,
  trace: FailingPath,
  positions: SourcePositions,
  classified: ReturnType<typeof classify>,
  { object, elseLine }: ReportContext,
): Failure {
  const { words, saidBy } = classified;
  const instruction =
    saidBy === 'verifier' ? placeOfFailure(trace, classified.entry, classified.line) : undefined;
  const said = trace.report?.at;
  const at =
    instruction === undefined
      ? said && positions.atLine(said.file, said.line, said.column)
      : placeOfAccess(positions.at(instruction), trace.steps.at(-1)?.text ?? '');
  const names = new Names(
    trace.steps,
    positions,
    object && readDwarf(object.elf),
    object && loadedLayout(object, verdict.name, verdict.lineInfo),
  );
  const followed = new Trace({ path: trace, positions, names, classified, failing: at, elseLine });
  followed.classified = refine(classified, followed);
  const { entry, rule } = followed.classified;
  const facts = factsOf(verdict, followed);
  const causes = instruction === undefined ? declarationsOf(followed) : causesOf(followed);
  const failure: Failure = {
    id: entry.id,
    title: entry.title,
    message: plainMessage(entry, rule?.say && classified.match ? rule.say(facts) : undefined, words),
    wants: entry.wants,
    help: extensionHelp(causes) ?? (classified.match && rule?.help?.(facts)) ?? entry.help,
    kernelMessage: words,
    saidBy,
    causes,
    unknownLines: trace.unknownLines,
    path: trace,
    positions,
  };
  if (verdict.errno !== undefined) failure.errno = verdict.errno;
  if (instruction !== undefined) failure.instruction = instruction;
  if (at) failure.at = at;
  const programAt = positions.first();
  if (programAt) failure.programAt = programAt;
  if (trace.report) failure.kernelReport = trace.report;
  return failure;
}

/** A store that the compiler places at the right side of an assignment is to the left one. */
function placeOfAccess(at: SourceSpan | undefined, assembly: string): SourceSpan | undefined {
  const target = at && /^\*\(/.test(assembly) ? assignedAt(at.text, at.range) : undefined;
  if (!at || !target) return at;
  return { ...at, range: target, expression: at.text.slice(target.start.character, target.end.character) };
}

/** What to do where the bound is in the source, and clang checks it on a copy of the low bits. */
function extensionHelp(causes: readonly CausalStep[]): string | undefined {
  const extended = causes.findLast((one) => one.extended)?.extended;
  if (!extended) return undefined;
  const value = extended.of ?? 'the value';
  // Comparisons of 32 bits need no sign-extended copy; the other is made where the original is used with 64 bits.
  const orCompile =
    extended.how === 'sign-extended' && extended.bits === 32
      ? ', or compile with -mcpu=v3, which compares 32 bits as they are'
      : '';
  return `clang compares a ${extended.how} copy of the low ${extended.bits} bits of ${value}, and then uses the original of 64 bits, of which nothing is known. Declare ${value} as a number of 64 bits (long, __u64) and check that${orCompile}.`;
}

function plainMessage(entry: Entry, said: string | undefined, words: string): string {
  if (said) return said.charAt(0).toUpperCase() + said.slice(1);
  // Without words of our own for this case the kernel's stand beside the class they belong to.
  const first = words.split('\n')[0] ?? '';
  return first ? `${entry.title}: ${first}` : entry.title;
}
