import type { ProgramStatus } from '../protocol';
import type { Verification } from './verify';

/** What a kernel said of the text that was saved last, to compare an edited text with. */
export class Baseline {
  private text: string | undefined;
  private verdict: Verification | undefined;

  /** The file has this text now; `verdict` is on it, when there is one. */
  saved(text: string, verdict: Verification | undefined): void {
    if (text === this.text) return;
    this.text = text;
    this.verdict = verdict;
  }

  /** A kernel judged a text. */
  judged(text: string, verdict: Verification): void {
    if (text === this.text) this.verdict = verdict;
  }

  /** What it said of a program, unless `text` is the saved one or `kernel` is another one. */
  of(program: string, text: string, kernel: string): Pick<ProgramStatus, 'saved'> {
    if (text === this.text || this.verdict?.kernel !== kernel) return {};
    const known = this.verdict.programs.find(({ name }) => name === program);
    if (!known) return {};
    const { verdict, stats } = known;
    return { saved: { verdict, ...(stats && { insns: stats.insns, states: stats.states }) } };
  }
}
