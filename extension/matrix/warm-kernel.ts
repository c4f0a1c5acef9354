/** A kernel that is kept running while it is asked now and then, and ended when nobody asked for a while. */
import type * as vscode from 'vscode';
import { identity, type MatrixKernel } from '../../kernel-matrix/choose';
import type { KernelClient } from '../../kernel/client/client';
import type { OpenedKernel } from '../../kernel/client/open';
import type { TargetProblem } from '../../kernel/targets/target';

/** Milliseconds without a question after which its memory, 2 GiB for a VM, is worth more than the next start's 4 s. */
const IDLE_MS = 5 * 60_000;

export class WarmKernel implements vscode.Disposable {
  private opened: { id: string; session: Promise<OpenedKernel | TargetProblem> } | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly open: (kernel: MatrixKernel) => Promise<OpenedKernel | TargetProblem>) {}

  /** The kernel's session, started when there is none. One that is gone is started again. */
  async client(kernel: MatrixKernel): Promise<KernelClient | TargetProblem> {
    const id = identity(kernel);
    if (this.opened && this.opened.id !== id) await this.end();
    this.opened ??= { id, session: this.open(kernel) };
    const mine = this.opened;
    const forget = () => {
      if (this.opened === mine) this.opened = undefined;
    };
    try {
      const answer = await mine.session;
      if (!('client' in answer)) {
        forget();
        return answer;
      }
      void answer.client.gone.then(forget);
      clearTimeout(this.timer);
      this.timer = setTimeout(() => void this.end(), IDLE_MS);
      return answer.client;
    } catch (error) {
      forget();
      throw error;
    }
  }

  dispose(): void {
    void this.end();
  }

  async end(): Promise<void> {
    clearTimeout(this.timer);
    const { opened } = this;
    this.opened = undefined;
    // A start that failed has nothing to end.
    const answer = await opened?.session.catch(() => undefined);
    if (answer && 'client' in answer) await answer.dispose();
  }
}
