/** A debugger's user at work: launches a fixture, stops, steps, looks. Lines are named by the markers on them. */
import { readFileSync } from 'node:fs';
import type { DebugProtocol } from '@vscode/debugprotocol';
import { DapClient, fixture, markedLine } from './client';

export type Stopped = DebugProtocol.StoppedEvent['body'];

/** A line breakpoint by its marker, with what it asks. */
export type Wanted = string | ({ at: string } & Omit<DebugProtocol.SourceBreakpoint, 'line'>);

export interface Scenario {
  /** Name of a file in test/fixtures/debug. */
  name: string;
  breakpoints?: Wanted[];
  /** Other requests before `configurationDone`. */
  before?: (dap: DapClient) => Promise<unknown>;
  /** Of the launch. */
  configuration: object;
}

export class Steps {
  private constructor(
    readonly dap: DapClient,
    readonly name: string,
  ) {}

  /** Launches, sets breakpoints and waits for the first stop. */
  static async launch({ name, breakpoints = [], before, configuration }: Scenario): Promise<Steps> {
    const dap = await DapClient.initialized();
    const steps = new Steps(dap, name);
    try {
      const launched = dap.request('launch', configuration);
      await steps.setBreakpoints(breakpoints);
      await before?.(dap);
      const seen = dap.events.length;
      await dap.request('configurationDone');
      await launched;
      await dap.event('stopped', undefined, seen);
      return steps;
    } catch (error) {
      await dap.close();
      throw error;
    }
  }

  async setBreakpoints(wanted: readonly Wanted[]): Promise<DebugProtocol.Breakpoint[]> {
    const { breakpoints } = await this.dap.request<{ breakpoints: DebugProtocol.Breakpoint[] }>(
      'setBreakpoints',
      {
        source: { path: fixture(this.name) },
        breakpoints: wanted.map((one) => {
          const { at, ...asked } = typeof one === 'string' ? { at: one } : one;
          return { line: markedLine(this.name, at), ...asked };
        }),
      },
    );
    return breakpoints;
  }

  /** A request that moves, and the stop that it leads to. */
  async move(command: string, args: object = {}): Promise<Stopped> {
    const seen = this.dap.events.length;
    await this.dap.request(command, { threadId: 1, ...args });
    const body: unknown = await this.dap.event('stopped', undefined, seen);
    return body as Stopped;
  }

  async stack(): Promise<DebugProtocol.StackFrame[]> {
    const { stackFrames } = await this.dap.request<DebugProtocol.StackTraceResponse['body']>('stackTrace', {
      threadId: 1,
    });
    return stackFrames;
  }

  async line(): Promise<number> {
    return (await this.stack())[0]!.line;
  }

  /** The marker of the present line, or its text where there is none. */
  async marker(): Promise<string> {
    return markerOf(this.name, await this.line());
  }

  async evaluate(expression: string): Promise<string> {
    const frameId = (await this.stack())[0]!.id;
    const { result } = await this.dap.request<{ result: string }>('evaluate', { expression, frameId });
    return result;
  }

  /** Markers of the lines that a move leads to, again and again, until it ends otherwise than at a breakpoint. */
  async visits(command: string, most = 50): Promise<string[]> {
    const visited: string[] = [];
    while (visited.length < most) {
      const { reason } = await this.move(command);
      if (reason === 'entry' || reason === 'pause') return visited;
      visited.push(await this.marker());
    }
    return visited;
  }
}

export function markerOf(name: string, line: number): string {
  const text = readFileSync(fixture(name), 'utf8').split('\n')[line - 1] ?? '';
  return /\/\/ (#\w+)/.exec(text)?.[1] ?? `"${text.trim()}"`;
}
