/**
 * One open document and the work on it: parse at once, then compile, then verify, each for the newest text only.
 * Whatever is under way for an older text is stopped.
 */
import type { Parser } from 'web-tree-sitter';
import type { KernelClient } from '../../kernel/client/client';
import { isBpfSource, positionAt, readSource, type SourceFile } from '../../toolchain/c/source';
import { compile, MAX_SOURCE_BYTES } from '../../toolchain/clang/compile';
import type { Diagnostic } from '../../toolchain/diagnostic';
import type { DocumentStatusParams, ProgramStatus } from '../protocol';
import { Baseline } from './baseline';
import type { Environment } from './environment';
import { attachHints } from './attach-hints';
import { besideClang, moveDiagnostics, syntaxDiagnostics } from './findings';
import { moveRange, stretchRange, type Edit } from './track';
import { verifyObject, type Verification } from './verify';

type Problem = NonNullable<DocumentStatusParams['problem']>;

/** A result and the version of the text it is about. */
interface Dated<T> {
  version: number;
  value: T;
}

/** What clang and the kernel found in one text; another object after every verification. */
export interface CurrentFindings {
  clang: Diagnostic[];
  /** Absent when the text did not compile or no kernel was asked. */
  verification?: Verification;
}

export interface DocumentEvents {
  /** Findings changed; `diagnostics` are all there are now. */
  findings(document: BpfDocument): void;
  status(document: BpfDocument): void;
}

const UNTRUSTED: Problem = {
  code: 'untrusted',
  message:
    'The workspace is not trusted: files are neither compiled nor verified, only their syntax is checked.',
  hint: 'Trust the workspace to get the verdicts of clang and the kernel.',
};

export class BpfDocument {
  source: SourceFile | undefined;
  /** The object clang made of the text of its version. */
  private object: Dated<Uint8Array<ArrayBuffer>> | undefined;
  private clang: Dated<Diagnostic[]> | undefined;
  private verdict: Dated<Verification> | undefined;
  private verdictDiagnostics: Diagnostic[] = [];
  private readonly baseline = new Baseline();
  /** Of the newest verdict whose programs were looked up; they stay until newer ones are known. */
  private hints: Diagnostic[] = [];
  private problem: Problem | undefined;
  private phase: DocumentStatusParams['phase'] = 'idle';
  private work: AbortController | undefined;
  private timer: NodeJS.Timeout | undefined;
  private edits = new AbortController();
  private found: CurrentFindings | undefined;
  private finished: Promise<void> = Promise.resolve();

  constructor(
    readonly uri: string,
    /** Absolute; for an unsaved document, where it would be. */
    readonly path: string,
    public text: string,
    public version: number,
    readonly parser: Parser,
    private readonly environment: Environment,
    private readonly events: DocumentEvents,
  ) {
    this.parse();
  }

  /** Whether this is BPF C at all; a C file becomes one when it includes BPF's headers. */
  isBpf = false;

  /** The verdicts of the newest verification, perhaps of an older text. */
  get verification(): Verification | undefined {
    return this.verdict?.value;
  }

  /** Version of the text that {@link verification} is about. */
  get verifiedVersion(): number | undefined {
    return this.verdict?.version;
  }

  /** The object of the newest text that compiled. */
  get newestObject(): Uint8Array<ArrayBuffer> | undefined {
    return this.object?.value;
  }

  /** What was found in the text as it is; undefined while that is under way. */
  get current(): CurrentFindings | undefined {
    return this.found && this.clang?.version === this.version ? this.found : undefined;
  }

  /** Aborted by the next edit of the text, and when the document is closed. */
  get edited(): AbortSignal {
    return this.edits.signal;
  }

  /** What is known now, at the places of the newest text. */
  get diagnostics(): Diagnostic[] {
    if (!this.isBpf || !this.source) return [];
    const clang = this.clang && {
      isOfThisText: this.clang.version === this.version,
      findings: this.clang.value,
    };
    const syntax = besideClang(syntaxDiagnostics(this.source, this.path), clang);
    return [...syntax, ...(this.clang?.value ?? []), ...this.verdictDiagnostics, ...this.hints];
  }

  get status(): DocumentStatusParams {
    const { uri, version, phase, problem } = this;
    const kernel = this.verdict?.value.kernel;
    return {
      uri,
      version,
      phase,
      ...(problem && { problem }),
      ...(kernel && { kernel }),
      programs: this.programs,
    };
  }

  private get verifiesOnType(): boolean {
    return this.environment.settings.verify.when === 'onType';
  }

  private get programs(): ProgramStatus[] {
    // Without a newer one under way, a verdict on an older text says nothing about this one.
    const isUnderWay = this.phase === 'compiling' || this.phase === 'verifying';
    const verdict = this.verdict?.version === this.version || isUnderWay ? this.verdict : undefined;
    return (this.source?.programs ?? []).map(({ name, section, span }) => {
      const known = verdict?.value.programs.find((program) => program.name === name);
      const { stats } = known ?? {};
      return {
        name,
        section,
        type: known?.type ?? '',
        line: positionAt(this.source!, span.start).line,
        verdict: known?.verdict ?? 'unknown',
        ...(stats && {
          insns: stats.insns,
          states: stats.states,
          stackDepth: stats.stackDepth.reduce((sum, depth) => sum + depth, 0),
          microseconds: stats.microseconds,
        }),
        ...(known && this.baseline.of(name, this.text, verdict!.value.kernel)),
      };
    });
  }

  /** The text changed. Findings of the older text move along until newer ones replace them. */
  change(text: string, version: number, edits: Edit[]): void {
    this.stop();
    this.edits.abort();
    this.edits = new AbortController();
    this.text = text;
    this.version = version;
    // With newer findings on their way an edited place keeps its own until they are there; without, nobody would
    // ever say whether they still hold.
    const move = this.verifiesOnType ? stretchRange : moveRange;
    for (const edit of edits) {
      if (this.clang) this.clang.value = moveDiagnostics(this.clang.value, this.path, edit, move);
      this.verdictDiagnostics = moveDiagnostics(this.verdictDiagnostics, this.path, edit, move);
      this.hints = moveDiagnostics(this.hints, this.path, edit, move);
    }
    this.parse();
    this.events.findings(this);
    this.schedule(this.environment.settings.verify.delay);
  }

  /** The file on disk has this text; the text of the document when left out. */
  saved(text = this.text): void {
    const current = this.verdict?.version === this.version ? this.verdict.value : undefined;
    this.baseline.saved(text, text === this.text ? current : undefined);
    this.events.status(this);
  }

  /** Does what the settings ask for after `delay` milliseconds without another edit. */
  schedule(delay = 0): void {
    if (!this.isBpf) return;
    clearTimeout(this.timer);
    // From here on a newer verdict is on its way, so the last one may stand until it is there.
    if (this.verifiesOnType) this.phase = 'compiling';
    this.timer = setTimeout(() => void this.start(this.verifiesOnType), delay);
  }

  /**
   * Compiles and, with `verify`, asks the kernel, from scratch; what it faulted on before only with `despiteFault`.
   * Resolves when that is done or was overtaken.
   */
  start(verify: boolean, despiteFault = false): Promise<void> {
    this.stop();
    const work = new AbortController();
    this.work = work;
    this.finished = this.perform(verify, despiteFault, work.signal).catch((error: unknown) => {
      if (!work.signal.aborted) this.fail({ code: 'internal', message: String(error) });
    });
    return this.finished;
  }

  /** Resolves when no work is under way or waiting to begin. */
  async settled(): Promise<void> {
    for (let seen; seen !== this.finished;) {
      seen = this.finished;
      await seen;
    }
  }

  /** The object of the text as it is, compiled if need be. */
  async compiledObject(): Promise<{ object: Uint8Array<ArrayBuffer> } | { problem: Problem }> {
    // Compiling for somebody must not take the place of the verification that is due.
    if (this.object?.version !== this.version) await this.start(this.verifiesOnType);
    if (this.object?.version === this.version) return { object: this.object.value };
    const problem = this.problem ?? {
      code: 'compileErrors',
      message: 'The file does not compile.',
      hint: 'See the errors in the editor.',
    };
    return { problem };
  }

  stop(): void {
    clearTimeout(this.timer);
    this.work?.abort();
    this.work = undefined;
    this.found = undefined;
  }

  close(): void {
    this.stop();
    this.edits.abort();
  }

  private parse(): void {
    this.isBpf = isBpfSource(this.text.slice(0, 100_000), this.path);
    this.source =
      this.text.length > MAX_SOURCE_BYTES || this.text.slice(0, 65_536).includes('\0')
        ? undefined
        : readSource(this.parser, this.text, this.source);
  }

  private async perform(verify: boolean, despiteFault: boolean, signal: AbortSignal): Promise<void> {
    if (!this.isBpf) return;
    if (!this.environment.trusted) return this.fail(UNTRUSTED, 'idle');
    if (/\.h$/.test(this.path)) return this.finish(undefined, 'idle');
    await this.environment.slots.run(signal, async () => {
      const object = await this.compile(signal);
      if (!object || signal.aborted) return;
      if (verify) await this.verify(object, despiteFault, signal);
      else this.finish(undefined, 'done');
    });
  }

  private async compile(signal: AbortSignal): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const { environment, version, text } = this;
    this.enter('compiling');
    const clang = await environment.clang();
    if (signal.aborted) return undefined;
    if ('code' in clang) {
      this.clang = undefined;
      this.fail(clang);
      return undefined;
    }
    const flags = await environment.flags(this.path, text);
    if (flags.problem) environment.log(flags.problem);
    const { cache, log } = environment;
    const result = await compile({ clang, path: this.path, text, args: flags.args, cache, signal, log });
    if (signal.aborted || result.outcome === 'cancelled') return undefined;
    if (result.outcome === 'problem') {
      log(`${clang.path} ${flags.args.join(' ')}`);
      this.clang = undefined;
      this.fail(result);
      return undefined;
    }
    this.clang = { version, value: result.diagnostics };
    this.object = result.outcome === 'compiled' ? { version, value: result.object } : undefined;
    if (result.outcome === 'errors') {
      // Nobody finishes a statement within one pause: the kernel's words stay at their places until it has judged the
      // text again, or until what they are about was deleted. When nobody asks it again by itself, they are dropped.
      if (!this.verifiesOnType) this.forgetVerdict();
      // A kernel that was asked for vmlinux.h and is not there may be why it does not compile.
      const { problem } = environment.kernel;
      if (problem) this.fail(problem);
      else this.finish(undefined, 'done');
      return undefined;
    }
    this.events.findings(this);
    return result.object;
  }

  private async verify(
    object: Uint8Array<ArrayBuffer>,
    despiteFault: boolean,
    signal: AbortSignal,
  ): Promise<void> {
    const { version, source, text } = this;
    this.enter('verifying');
    const client = await this.environment.kernel.client();
    if (signal.aborted || !source) return;
    if (!('request' in client)) {
      this.forgetVerdict();
      return this.fail(client);
    }
    try {
      const verification = await verifyObject(client, object, source, this.path, signal, {
        before: this.verification,
        despiteFault,
      });
      if (signal.aborted) return;
      this.verdict = { version, value: verification };
      this.baseline.judged(text, verification);
      this.verdictDiagnostics = verification.diagnostics;
      this.finish(undefined, 'done');
      void this.hint(client, verification, source, signal);
    } catch (error) {
      if (signal.aborted) return;
      this.forgetVerdict();
      const { code = 'internal', message, hint } = error as { code?: string; message: string; hint?: string };
      this.fail({ code, message, ...(hint && { hint }) });
    }
  }

  /** Hints follow the verdict and never keep it waiting. */
  private async hint(
    client: KernelClient,
    { programs }: Verification,
    source: SourceFile,
    signal: AbortSignal,
  ): Promise<void> {
    const hints = await attachHints(client, source, this.path, programs);
    if (signal.aborted || (hints.length === 0 && this.hints.length === 0)) return;
    this.hints = hints;
    this.events.findings(this);
  }

  private forgetVerdict(): void {
    this.verdict = undefined;
    this.verdictDiagnostics = [];
    this.hints = [];
  }

  private enter(phase: DocumentStatusParams['phase']): void {
    this.phase = phase;
    this.events.status(this);
  }

  private finish(problem: Problem | undefined, phase: DocumentStatusParams['phase']): void {
    this.problem = problem;
    this.phase = phase;
    const verification = this.verdict?.version === this.version ? this.verdict.value : undefined;
    this.found = this.clang && { clang: this.clang.value, ...(verification && { verification }) };
    this.events.findings(this);
    this.events.status(this);
  }

  private fail(problem: Problem, phase: DocumentStatusParams['phase'] = 'failed'): void {
    const { code, message, hint } = problem;
    this.finish({ code, message, ...(hint && { hint }) }, phase);
  }
}
