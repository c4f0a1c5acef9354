/**
 * Turns candidates into fixes: each is applied to the text, compiled with the document's flags and given to the
 * kernel. What the kernel does not accept nobody sees.
 */
import type { Parser } from 'web-tree-sitter';
import { readSource } from '../../toolchain/c/source';
import { Severity, type Diagnostic } from '../../toolchain/diagnostic';
import type { CompileResult } from '../../toolchain/clang/compile';
import type { ProgramVerdict } from '../../kernel/protocol';
import type { Failure } from '../../toolchain/verifier/report';
import type { Slots } from '../model/slots';
import { candidatesFor } from './classes';
import { capitalised } from './code/words';
import { Draft } from './draft';
import type { Candidate, TextEdit, Trouble } from './fix';
import { situationOf } from './situation';

/** A fix that the kernel accepted. */
export interface VerifiedFix {
  title: string;
  /** In order, offsets of the text it was asked for. */
  edits: TextEdit[];
  /** The only fix that does what the programmer must have meant. */
  isPreferred: boolean;
}

/** The outside world, as the engine needs it. Both reject only when cancelled or when nothing can be asked. */
export interface Judge {
  compile(text: string, signal: AbortSignal): Promise<CompileResult>;
  /** Verdicts on the named programs of an object, or on all; none for an object that cannot be loaded. */
  verify(
    object: Uint8Array<ArrayBuffer>,
    options: { programs?: string[]; log: 'none' | 'rejected' },
    signal: AbortSignal,
  ): Promise<ProgramVerdict[]>;
  explain(object: Uint8Array<ArrayBuffer>, verdict: ProgramVerdict): Failure | undefined;
  /** Texts of the source lines that the compiler made instructions of, for a program. */
  lines(object: Uint8Array<ArrayBuffer>, verdict: ProgramVerdict): ReadonlySet<string>;
}

export interface FixRequest {
  parser: Parser;
  /** Absolute path of the document. */
  path: string;
  text: string;
  trouble: Trouble;
  /** What clang said of the text. */
  clang: readonly Diagnostic[];
  /** The kernel's verdicts on the text; none when it did not compile. */
  verdicts: readonly ProgramVerdict[];
  judge: Judge;
  /** Limits how many candidates are compiled and loaded at a time, over all findings. */
  slots: Slots;
  signal: AbortSignal;
}

/** Fixes shown for one finding. */
const MAX_FIXES = 4;
/** Candidates looked at for one finding, and for each failure that shows once one is mended. */
const MAX_CANDIDATES = 8;
const MAX_NEXT_CANDIDATES = 3;
/** Failures mended by one fix: a program without any check has one for each header it reads. */
const MAX_STEPS = 8;
/** Compilations for one finding: a tenth of a second each. */
const MAX_TRIALS = 30;
/** Fixes for a finding, the best first. Empty when none holds, or when cancelled. */
export async function verifiedFixes(request: FixRequest): Promise<VerifiedFix[]> {
  const { parser, text, path, trouble, signal } = request;
  const situation = situationOf(parser, readSource(parser, text), path, trouble);
  if (!situation) return [];
  const candidates = candidatesFor(situation).slice(0, MAX_CANDIDATES);
  const search = new Search(request);
  const results = await search.all(candidates.filter((one) => !one.isLastResort));
  if (results.length === 0) results.push(...(await search.all(candidates.filter((one) => one.isLastResort))));
  if (signal.aborted) return [];
  const seen = new Set<string>();
  const fixes = results.filter(({ draft }) => !seen.has(draft.text) && seen.add(draft.text));
  // A candidate that holds only together with one that holds by itself adds nothing to it.
  const first = new Set(fixes.filter(({ titles }) => titles.length === 1).map(({ titles }) => titles[0]));
  const useful = fixes.filter(({ titles }) => !titles.slice(1).some((title) => first.has(title)));
  const sure = useful.filter((fix) => !fix.isAlternative);
  return useful.slice(0, MAX_FIXES).map(({ titles, draft, isAlternative }) => ({
    title: titleOf(titles),
    edits: draft.edits,
    isPreferred: sure.length === 1 && !isAlternative,
  }));
}

interface Completed {
  titles: string[];
  draft: Draft;
  isAlternative: boolean;
}

/** Follows candidates until the kernel accepts: mending one failure may uncover the next one of the same program. */
class Search {
  private trials = 0;
  private readonly lineEnd: string;
  private readonly known: Map<string, number>;

  constructor(private readonly request: FixRequest) {
    this.lineEnd = request.text.includes('\r\n') ? '\r\n' : '\n';
    this.known = countBy(request.clang);
  }

  /** Of each group of candidates the first that holds, in their order. */
  async all(candidates: readonly Candidate[]): Promise<Completed[]> {
    const { slots, signal } = this.request;
    const groups = new Map<string, Candidate[]>();
    for (const [at, candidate] of candidates.entries()) {
      const key = candidate.group ?? `own ${at}`;
      groups.set(key, [...(groups.get(key) ?? []), candidate]);
    }
    const results = await Promise.all(
      [...groups.values()].map((group) => slots.run(signal, () => this.first(group))),
    );
    return results.filter((found) => found !== undefined);
  }

  private async first(candidates: readonly Candidate[]): Promise<Completed | undefined> {
    const { text, trouble } = this.request;
    for (const candidate of candidates) {
      const found = await this.step(candidate, Draft.of(text), [], trouble, false);
      if (found) return found;
    }
    return undefined;
  }

  private async step(
    candidate: Candidate,
    before: Draft,
    earlier: string[],
    trouble: Trouble,
    wasAlternative: boolean,
  ): Promise<Completed | undefined> {
    const { judge, signal } = this.request;
    if (signal.aborted || this.trials++ >= MAX_TRIALS) return undefined;
    const draft = before.apply(
      candidate.edits.map((edit) => ({ ...edit, text: edit.text.replace(/\r?\n/g, this.lineEnd) })),
    );
    const titles = [...earlier, candidate.title];
    const isAlternative = wasAlternative || candidate.isAlternative === true;
    const result = await judge.compile(draft.text, signal);
    if (result.outcome !== 'compiled' || this.complains(result.diagnostics)) return undefined;
    const failing = this.failingProgram(trouble);
    const isLong = trouble.by === 'verifier' && trouble.failure.id === 'bpf/complexity';
    const verdicts = await judge.verify(
      result.object,
      { ...(failing !== undefined && { programs: [failing] }), log: isLong ? 'none' : 'rejected' },
      signal,
    );
    const refused = verdicts.find(({ verdict }) => verdict !== 'accepted');
    if (!refused) {
      const isGood =
        verdicts.length > 0 &&
        this.keepsPlace(draft, result.object, verdicts) &&
        (await this.othersHold(result.object, failing));
      return isGood ? { titles, draft, isAlternative } : undefined;
    }
    // The log of a million instructions takes seconds; a loop that is still too long is no step forward.
    const failure = isLong ? undefined : judge.explain(result.object, refused);
    if (!failure || titles.length >= MAX_STEPS || isSame(failure, trouble)) return undefined;
    const { name, section, type } = refused;
    const next: Trouble = { by: 'verifier', failure, program: { name, section, type } };
    const situation = situationOf(
      this.request.parser,
      readSource(this.request.parser, draft.text),
      this.request.path,
      next,
    );
    // After a candidate that did not help, its last resort would be the fix without it.
    const isStuck = trouble.by === 'verifier' && trouble.failure.id === failure.id;
    const derived = situation ? candidatesFor(situation) : [];
    const all = derived.filter(({ isLastResort }) => !isLastResort || !isStuck);
    const alike = candidate.manner ? all.filter(({ manner }) => manner === candidate.manner) : [];
    const others = all.filter((one) => !alike.includes(one));
    for (const one of [...alike, ...others].slice(0, MAX_NEXT_CANDIDATES)) {
      const found = await this.step(one, draft, titles, next, isAlternative);
      if (found) return found;
    }
    return undefined;
  }

  /** Whether clang says something that it did not say before. */
  private complains(diagnostics: readonly Diagnostic[]): boolean {
    return [...countBy(diagnostics)].some(([words, count]) => count > (this.known.get(words) ?? 0));
  }

  /**
   * Whether what was refused is still part of the program: a check that is always true would be accepted too, since
   * the compiler then drops everything behind it.
   */
  private keepsPlace(
    draft: Draft,
    object: Uint8Array<ArrayBuffer>,
    verdicts: readonly ProgramVerdict[],
  ): boolean {
    const { trouble, judge } = this.request;
    const line = trouble.by === 'verifier' ? trouble.failure.at?.text.trim() : undefined;
    const isStill = line !== undefined && draft.text.split('\n').some((one) => one.trim() === line);
    // The returns of a function become one, whose line is that of any of them.
    if (!isStill || !/\w/.test(line) || /^return\b/.test(line)) return true;
    return verdicts.some((verdict) => judge.lines(object, verdict).has(line));
  }

  /** The program that has to be accepted; none when clang refused the text, so that all have to be. */
  private failingProgram(trouble: Trouble): string | undefined {
    const first = this.request.trouble;
    if (first.by !== 'clang') return first.program.name;
    return trouble.by === 'verifier' ? trouble.program.name : undefined;
  }

  /** Whether every program that was accepted before still is. */
  private async othersHold(object: Uint8Array<ArrayBuffer>, failing: string | undefined): Promise<boolean> {
    const { verdicts, judge, signal, trouble } = this.request;
    // Text that did not compile had no verdicts: then every program has to be accepted.
    if (trouble.by === 'clang') {
      const all = failing === undefined ? [] : await judge.verify(object, { log: 'none' }, signal);
      return all.every(({ verdict }) => verdict === 'accepted');
    }
    const names = verdicts.filter(({ verdict }) => verdict === 'accepted').map(({ name }) => name);
    if (names.length === 0) return true;
    const now = await judge.verify(object, { programs: names, log: 'none' }, signal);
    return names.every((name) => now.some((one) => one.name === name && one.verdict === 'accepted'));
  }
}

/** Whether a failure is the one that the last step was to mend. */
function isSame(failure: Failure, trouble: Trouble): boolean {
  return (
    trouble.by === 'verifier' &&
    failure.id === trouble.failure.id &&
    failure.kernelMessage === trouble.failure.kernelMessage &&
    failure.at?.text.trim() === trouble.failure.at?.text.trim()
  );
}

function countBy(diagnostics: readonly Diagnostic[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { severity, code, message } of diagnostics) {
    if (severity > Severity.Warning) continue;
    const key = `${code} ${message}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}

function titleOf(titles: readonly string[]): string {
  const [first = '', ...others] = [...new Set(titles)];
  if (others.length === 0) return titles.length > 1 ? `${first} (${titles.length} places)` : first;
  const rest = others.map((title) => title.charAt(0).toLowerCase() + title.slice(1));
  return others.length <= 2
    ? capitalised([first, ...rest].join('; '))
    : `${capitalised(first)}; and ${others.length} more fixes`;
}
