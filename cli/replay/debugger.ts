/** What the commands of an interactive replay share: where the run rests, what is selected, and how that is printed. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import type { Recording } from '../../debug-adapter/recorder/recording';
import type { Io } from '../io';
import { harmless, printable } from '../render/columns';
import { paint } from '../render/color';
import type { Style } from '../render/color';
import { Adapter, Refusal } from './adapter';
import type { Stop } from './adapter';
import { BreakpointList } from './breakpoint-list';

export interface Display {
  id: number;
  expression: string;
}

/** Opens a recording for an interactive replay. Rejects with a {@link Refusal}. */
export async function openDebugger(file: string, recording: Recording, io: Io): Promise<Debugger> {
  const breakpoints = new BreakpointList();
  const listeners = {
    output: (category: string, text: string) => {
      if (category === 'stderr') io.err(harmless(text));
      else io.out(harmless(text));
    },
    breakpoint: (changed: DebugProtocol.Breakpoint) => breakpoints.update(changed),
  };
  const { adapter, stop } = await Adapter.open(file, listeners);
  breakpoints.adapter = adapter;
  const opened = new Debugger(adapter, recording, breakpoints, io);
  await opened.rest(stop);
  return opened;
}

export class Debugger {
  readonly displays: Display[] = [];
  readonly paint: ReturnType<typeof paint>;
  frames: DebugProtocol.StackFrame[] = [];
  /** Index of the frame that commands look at. */
  selected = 0;
  stop: Stop = { reason: 'entry' };
  /** What `list` goes on from: the last line that it printed. */
  listed: { path: string; line: number } | undefined;
  private shown = '';

  constructor(
    readonly adapter: Adapter,
    readonly recording: Recording,
    readonly breakpoints: BreakpointList,
    readonly io: Io,
  ) {
    this.paint = paint(io.color);
  }

  get frame(): DebugProtocol.StackFrame {
    const frame = this.frames[this.selected];
    if (!frame) throw new Refusal('No function is being executed here.');
    return frame;
  }

  /** Prints a line; whatever is in it, the terminal obeys nothing of it. */
  print(line: string, style?: Style): void {
    const text = harmless(line);
    this.io.out(`${style ? this.paint(style, text) : text}\n`);
  }

  /** Moves, and says where the run rests then. */
  async move(command: string, given: object = {}): Promise<Stop> {
    await this.rest(await this.adapter.move(command, given));
    return this.stop;
  }

  async rest(stop: Stop): Promise<void> {
    this.stop = stop;
    this.frames = await this.adapter.frames();
    this.selected = 0;
    this.listed = undefined;
    this.printReason();
    this.printPlace(this.frames[0]);
    await this.printDisplays();
    await this.breakpoints.removeTemporary(stop.hitBreakpointIds);
  }

  /** What is new: steps and places that somebody went to speak for themselves. */
  private printReason(): void {
    const { reason, description, hitBreakpointIds = [], text } = this.stop;
    const numbers = this.breakpoints.numbersOf(hitBreakpointIds);
    const which = numbers.length > 0 ? `Breakpoint ${numbers.join(', ')}` : undefined;
    const why =
      text ?? (reason === 'entry' || reason === 'pause' || reason === 'exception' ? description : undefined);
    const told = [which, why].filter((part) => part !== undefined).join(': ');
    if (told !== '') this.print(told, 'strong');
    // As in gdb: after a stop that nobody has gone to, the function is named again.
    if (numbers.length > 0) this.shown = '';
  }

  /** The function when it is another one than before, and the line. */
  printPlace(frame: DebugProtocol.StackFrame | undefined): void {
    if (!frame) return;
    const place = placeText(frame);
    if (this.shown !== frame.name || !frame.source) this.print(place);
    this.shown = frame.name;
    this.printLine(frame.source?.path, frame.line, 'note');
  }

  printLine(path: string | undefined, line: number, style?: 'note'): boolean {
    const text = this.linesOf(path)?.[line - 1];
    if (text === undefined) return false;
    const number = this.paint(style ?? 'gutter', String(line).padStart(5));
    this.io.out(`${number}  ${printable(text).text}\n`);
    return true;
  }

  /** Lines of a file as they were when the run was recorded. */
  linesOf(path: string | undefined): string[] | undefined {
    return this.recording.sources.find((source) => source.path === path)?.text.split(/\r?\n/);
  }

  /** The file that a name, or the end of a path, means. */
  fileNamed(name: string): string {
    const paths = this.recording.sources.map(({ path }) => path);
    const found = paths.filter((path) => path === name || path.endsWith(`/${name}`));
    if (found.length === 1) return found[0]!;
    const known = paths.map((path) => path.split('/').at(-1)).join(', ');
    throw new Refusal(
      found.length > 1
        ? `${name} may be any of ${found.join(', ')}; write more of the path.`
        : `The program has no code from a file ${name}; it has from ${known || 'none whose text was recorded'}.`,
    );
  }

  async evaluate(expression: string): Promise<DebugProtocol.EvaluateResponse['body']> {
    return this.adapter.request('evaluate', { expression, frameId: this.frame.id, context: 'repl' });
  }

  async variables(reference: number): Promise<DebugProtocol.Variable[]> {
    const { variables } = await this.adapter.request<DebugProtocol.VariablesResponse['body']>('variables', {
      variablesReference: reference,
    });
    return variables;
  }

  async printDisplays(): Promise<void> {
    for (const { id, expression } of this.displays) {
      const shown = await this.evaluate(expression).then(
        ({ result }) => result,
        (error: Error) => `<${error.message}>`,
      );
      this.print(`${id}: ${expression} = ${shown}`);
    }
  }
}

/** `weigh at steps.bpf.c:31` */
export function placeText({ name, source, line }: DebugProtocol.StackFrame): string {
  return source ? `${name} at ${source.name}:${line}` : name;
}
