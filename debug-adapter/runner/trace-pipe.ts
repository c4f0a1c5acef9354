/** What bpf_printk wrote: lines of the kernel's trace pipe. */
import type { KernelClient } from '../../kernel/client/client';
import { KernelError } from '../../kernel/client/errors';
import { ignoreGone } from './records';

export interface TraceLine {
  /** Name and thread id of the task that was running, `node-1234`. */
  task: string;
  cpu?: number;
  /** What was printed. */
  message: string;
}

/** `  node-1234  [001] d..21  123.456: bpf_trace_printk: text`, the tracer's usual line. */
export function parseTraceLine(line: string): TraceLine | undefined {
  const match = /^\s*(.+-\d+)\s+(?:\(.*?\)\s+)?\[(\d+)\].*?:\s*bpf_trace_printk: ?(.*)$/.exec(line);
  if (match) return { task: match[1]!, cpu: Number(match[2]), message: match[3]! };
  return line.trim() === '' ? undefined : { task: '', message: line };
}

/** The pipe is the whole kernel's: lines of other programs come too and are told apart by their task only. */
export class TracePipe {
  private constructor(
    private readonly kernel: KernelClient,
    private readonly subscription: { dispose(): void },
  ) {}

  /** Undefined, and a reason for the user, where the kernel's tracing cannot be read. */
  static async open(
    kernel: KernelClient,
    onLine: (line: TraceLine) => void,
  ): Promise<{ pipe: TracePipe } | { reason: string }> {
    const subscription = kernel.on('tracePipe', ({ lines }) => {
      for (const line of lines) {
        const parsed = parseTraceLine(line);
        if (parsed) onLine(parsed);
      }
    });
    try {
      await kernel.request('tracePipeOpen', {});
    } catch (error) {
      subscription.dispose();
      if (!(error instanceof KernelError) || error.code === 'hostGone') throw error;
      return { reason: [error.message, error.hint].filter(Boolean).join(' ') };
    }
    return { pipe: new TracePipe(kernel, subscription) };
  }

  /** Resolves when every line that has been printed until now was told of. */
  async flush(): Promise<void> {
    await this.kernel.request('tracePipeFlush', {});
  }

  async close(): Promise<void> {
    await this.kernel.request('tracePipeClose', {}).catch(ignoreGone);
    this.subscription.dispose();
  }
}
