/** Requests that go to a chosen place of a recorded run. */
import { cannotGo } from '../errors';
import { frameOf } from '../stepping/requests';
import { activationOf, callsAhead, nearestOfLine } from '../stepping/targets';
import type { Handlers, SessionAccess } from './handler';

export function gotoHandlers(
  session: SessionAccess,
): Handlers<'gotoTargets' | 'goto' | 'restartFrame' | 'stepInTargets' | 'bpf/goToStep'> {
  return {
    gotoTargets: ({ source, line }) => {
      const { run } = session.stepping('gotoTargets').stepper;
      const target = (label: string, step: number | undefined) =>
        step === undefined ? [] : [{ id: step, label, line }];
      const path = source.path ?? '';
      return {
        targets: [
          ...target('the next time this line runs', nearestOfLine(run, path, line, 1)),
          ...target('the last time this line ran', nearestOfLine(run, path, line, -1)),
        ],
      };
    },
    goto: ({ threadId, targetId }) => go('goto', targetId, threadId),
    'bpf/goToStep': ({ step }) => go('bpf/goToStep', step),
    restartFrame: ({ frameId }) => {
      const stepping = session.stepping('restartFrame');
      const frame = frameOf(stepping, frameId);
      const calls = stepping.stepper.run.timeline.machine.frames.length;
      const depth = calls - Math.floor((frame.id - 1) / 256);
      const { from } = activationOf(stepping.stepper.run, depth);
      session.soon(() => stepping.goTo(from, 'The beginning of this call'));
    },
    stepInTargets: ({ frameId }) => {
      const stepping = session.stepping('stepInTargets');
      frameOf(stepping, frameId);
      return {
        targets: callsAhead(stepping.stepper.run).map(({ name, step }) => ({ id: step, label: name })),
      };
    },
  };

  /** Targets are steps, so that they stay what they are wherever the run rests. */
  function go(command: string, step: number, threadId?: number): void {
    const stepping = session.stepping(command);
    if (threadId !== undefined) session.thread(threadId);
    const { length } = stepping.stepper.run.timeline;
    if (step < 0 || step > length) throw cannotGo(step, length);
    session.soon(() => stepping.goTo(step));
  }
}
