/** `replay --json`: every source step as one line. */
import type { openForReading } from '../../debug-adapter/replay';
import type { ExitStatus, Io } from '../io';

/** Ends with `{type: "end"}`; 1 when replay and kernel disagree. */
export function printSteps(
  { stepper, returned }: Awaited<ReturnType<typeof openForReading>>,
  io: Io,
): ExitStatus {
  const { statements, timeline, ending } = stepper.run;
  for (let index = 0; index < statements.count && !io.interrupted.aborted; index++) {
    timeline.seek(statements.step(index));
    const [frame] = stepper.frames();
    const { at, name } = frame!;
    io.outJson({
      type: 'step',
      step: stepper.step,
      insn: timeline.machine.pc,
      function: name,
      depth: statements.depth(index) >> 8,
      ...(at ? { path: at.path, line: at.line } : {}),
    });
  }
  io.outJson({ type: 'end', steps: timeline.length, returned, ending });
  return ending.kind === 'diverged' ? 1 : 0;
}
