/** DAP requests about frames, steps and breakpoints, answered from a recorded run. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import type { Stepping } from '../debuggee';
import { unknownReference } from '../errors';
import { instructionText } from './scopes';
import type { SourceFiles } from './source-files';
import type { StepFrame, Stepper } from './stepper';

/** Frames of the present step in DAP's terms, `title` being the innermost one's name at the run's end. */
export function stackFrames(stepper: Stepper, title: string): DebugProtocol.StackFrame[] {
  return stepper
    .frames()
    .map((frame, index) =>
      describeFrame(frame, stepper.sources, index === 0 && stepper.isAtEnd ? title : frame.name),
    );
}

export function describeFrame(
  { id, name, at, view }: StepFrame,
  sources: SourceFiles,
  title: string = name,
): DebugProtocol.StackFrame {
  return {
    id,
    name: title,
    line: at?.line ?? 0,
    column: at?.column ?? 0,
    instructionPointerReference: addressOf(view.insn),
    ...(at ? { source: sources.source(at.path) } : { presentationHint: 'label' as const }),
  };
}

export function frameOf({ stepper }: Stepping, id: number): StepFrame {
  const frame = stepper.frames().find((candidate) => candidate.id === id);
  if (!frame) throw unknownReference('frame', id);
  return frame;
}

/** Where an instruction stands for a disassembly view: 8 bytes each from 0 on. */
export function addressOf(insn: number): string {
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
      ...(at && isNew ? { location: stepper.sources.source(at.path), line: at.line, column: at.column } : {}),
    };
  });
}
