/** The debug adapter in this process: the same session as an editor's, so that a terminal offers what it offers. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { BpfDebugSession } from '../../debug-adapter/session';

export type Stop = DebugProtocol.StoppedEvent['body'];

/** What the adapter refused, in its words. */
export class Refusal extends Error {}

/** Called with lines that the program or the adapter prints, and with what became of breakpoints. */
export interface Listeners {
  output(category: string, text: string): void;
  breakpoint(changed: DebugProtocol.Breakpoint): void;
}

export class Adapter {
  private readonly session: BpfDebugSession;
  private readonly pending = new Map<number, (response: DebugProtocol.Response) => void>();
  private onStop: ((stop: Stop) => void) | undefined;
  private seq = 1;
  capabilities: DebugProtocol.Capabilities = {};
  private thread = 1;

  private constructor(private readonly listeners: Listeners) {
    // A recording needs no kernel, and nothing else is opened here.
    const noKernel = () => Promise.reject(new Refusal('A recorded run has no kernel.'));
    this.session = new BpfDebugSession(noKernel, () => {});
    this.session.onDidSendMessage((message) => this.receive(message as DebugProtocol.ProtocolMessage));
  }

  /** Opens a recording; rests at its first instruction. Rejects with a {@link Refusal}. */
  static async open(recording: string, listeners: Listeners): Promise<{ adapter: Adapter; stop: Stop }> {
    const adapter = new Adapter(listeners);
    adapter.capabilities = await adapter.request<DebugProtocol.Capabilities>('initialize', {
      adapterID: 'bpf',
      clientID: 'bpf-studio',
      pathFormat: 'path',
    });
    await adapter.request('launch', { recording });
    await adapter.stopAfter(async () => {
      await adapter.request('configurationDone');
      return true;
    });
    // Without breakpoints that was the run's end.
    return { adapter, stop: await adapter.move('reverseContinue') };
  }

  /** The response's body; rejects with a {@link Refusal}. */
  request<T = unknown>(command: string, given?: object): Promise<T> {
    const seq = this.seq++;
    const answered = new Promise<T>((resolve, reject) => {
      this.pending.set(seq, (response) => {
        if (response.success) resolve(response.body as T);
        else reject(new Refusal(response.message ?? `${command} failed`));
      });
    });
    const request: DebugProtocol.Request = { seq, type: 'request', command, arguments: given };
    this.session.handleMessage(request);
    return answered;
  }

  /** Goes on or back; answers where the run rests then. */
  async move(command: string, given: object = {}): Promise<Stop> {
    return (await this.stopAfter(async () => {
      await this.request(command, { threadId: this.thread, ...given });
      return true;
    }))!;
  }

  /** Asks a question whose answer, when it has an `at`, goes there. */
  async ask<T extends { at?: unknown }>(command: string, given: object): Promise<{ answer: T; stop?: Stop }> {
    let answer: T | undefined;
    const stop = await this.stopAfter(async () => {
      answer = await this.request<T>(command, given);
      return answer.at !== undefined;
    });
    return stop ? { answer: answer!, stop } : { answer: answer! };
  }

  /** Ends a move that takes long. */
  async pause(): Promise<void> {
    if (this.onStop) await this.request('pause', { threadId: this.thread });
  }

  async frames(): Promise<DebugProtocol.StackFrame[]> {
    const { stackFrames } = await this.request<DebugProtocol.StackTraceResponse['body']>('stackTrace', {
      threadId: this.thread,
    });
    return stackFrames;
  }

  async close(): Promise<void> {
    await this.request('disconnect');
  }

  /** @param work tells whether a stop follows. */
  private async stopAfter(work: () => Promise<boolean>): Promise<Stop | undefined> {
    const stopped = new Promise<Stop>((resolve) => (this.onStop = resolve));
    try {
      return (await work()) ? await stopped : undefined;
    } finally {
      this.onStop = undefined;
    }
  }

  private receive(message: DebugProtocol.ProtocolMessage): void {
    if (message.type === 'response') {
      const response = message as DebugProtocol.Response;
      this.pending.get(response.request_seq)?.(response);
      this.pending.delete(response.request_seq);
      return;
    }
    const { event, body } = message as DebugProtocol.Event;
    if (event === 'stopped') {
      const stop = body as Stop;
      this.thread = stop.threadId ?? this.thread;
      this.onStop?.(stop);
    } else if (event === 'output') {
      const { category, output } = body as DebugProtocol.OutputEvent['body'];
      this.listeners.output(category ?? 'console', output);
    } else if (event === 'breakpoint') {
      this.listeners.breakpoint((body as DebugProtocol.BreakpointEvent['body']).breakpoint);
    }
  }
}
