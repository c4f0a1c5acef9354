/** DAP requests about frames, steps and breakpoints, answered from a recorded run. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import type { Stepping } from '../debuggee';
import { unknownReference } from '../errors';
import { addressOf } from './disassembly';
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
