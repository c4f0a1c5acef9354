/** DAP requests about frames, steps and breakpoints, answered from a recorded run. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import type { Debuggee, Stepping } from '../debuggee';
import { unknownReference } from '../errors';
import { instructionText } from './scopes';
import type { StepFrame, Stepper } from './stepper';

/** Frames of the present step in DAP's terms, `title` being the innermost one's name at the run's end. */
export function stackFrames(stepper: Stepper, title: string): DebugProtocol.StackFrame[] {
  return stepper.frames().map(({ id, name, at, view }, index) => ({
    id,
    name: index === 0 && stepper.isAtEnd ? title : name,
    line: at?.line ?? 0,
    column: at?.column ?? 0,
    instructionPointerReference: addressOf(view.insn),
    ...(at
      ? { source: { name: at.path.split('/').at(-1)!, path: at.path } }
      : { presentationHint: 'label' as const }),
  }));
}

export function frameOf({ stepper }: Stepping, id: number): StepFrame {
  const frame = stepper.frames().find((candidate) => candidate.id === id);
  if (!frame) throw unknownReference('frame', id);
  return frame;
}

/** Breakpoints as the user has set them; the program they are to be found in may not be there yet. */
export class Breakpoints {
  private readonly wanted = new Map<string, { id: number; line: number }[]>();
  private nextId = 1;

  /** Replaces the breakpoints of one file. */
  set(path: string, lines: readonly number[], debuggee: Debuggee | undefined): DebugProtocol.Breakpoint[] {
    const wanted = lines.map((line) => ({ id: this.nextId++, line }));
    this.wanted.set(path, wanted);
    return this.place(path, debuggee);
  }

  /** Places all of them in a program that was just loaded or run; what became of each. */
  placeAll(debuggee: Debuggee): DebugProtocol.Breakpoint[] {
    return [...this.wanted.keys()].flatMap((path) => this.place(path, debuggee));
  }

  private place(path: string, debuggee: Debuggee | undefined): DebugProtocol.Breakpoint[] {
    const wanted = this.wanted.get(path) ?? [];
    const stepper = debuggee?.stepping?.stepper;
    if (!stepper) {
      const message = debuggee ? NOT_RECORDED : 'Placed when the program has run.';
      return wanted.map(({ id, line }) => ({ id, line, verified: false, message }));
    }
    const places = stepper.setBreakpoints(
      path,
      wanted.map(({ line }) => line),
    );
    return wanted.map(({ id, line }, index) => {
      const place = places[index];
      if (place) return { id, line: place.line, verified: true };
      return { id, line, verified: false, message: 'The program has no code on this line or after it.' };
    });
  }
}

const NOT_RECORDED =
  'The kernel runs a BPF program as a whole, and this run was not recorded, so that there is nothing to stop in.';

/** Where an instruction stands for a disassembly view: 8 bytes each from 0 on. */
function addressOf(insn: number): string {
  return `0x${(insn * 8).toString(16)}`;
}

/** Instructions around a reference; those outside of the program are said to be so, as DAP wants. */
export function disassembly(
  { stepper }: Stepping,
  reference: string,
  byteOffset: number,
  instructionOffset: number,
  count: number,
): DebugProtocol.DisassembledInstruction[] {
  const first = Math.floor((Number(reference) + byteOffset) / 8) + instructionOffset;
  let shown = '';
  return Array.from({ length: Math.min(count, 10_000) }, (_, index) => {
    const insn = first + index;
    const text = insn < 0 ? undefined : instructionText(stepper, insn);
    const address = insn < 0 ? `0x0` : addressOf(insn);
    if (text === undefined) return { address, instruction: '', presentationHint: 'invalid' as const };
    const at = stepper.source.placeOf(insn);
    const here = at ? `${at.path}:${at.line}` : shown;
    const isNew = here !== shown;
    shown = here;
    return {
      address,
      instruction: text,
      ...(at && isNew
        ? { location: { name: at.path.split('/').at(-1)!, path: at.path }, line: at.line, column: at.column }
        : {}),
    };
  });
}
