/** Requests that go through a run, or go on with it. */
import { steppingUnsupported, unknownReference } from '../errors';
import { disassembly, insnAt } from '../stepping/disassembly';
import { callsAhead } from '../stepping/targets';
import type { Move } from '../stepping/stepper';
import type { Handlers, SessionAccess } from './handler';

export function steppingHandlers(
  session: SessionAccess,
): Handlers<
  | 'next'
  | 'stepIn'
  | 'stepOut'
  | 'stepBack'
  | 'bpf/stepBack'
  | 'reverseContinue'
  | 'continue'
  | 'pause'
  | 'disassemble'
> {
  const move = (
    kind: Move,
    { threadId, granularity }: { threadId: number; granularity?: string | undefined },
  ): void => {
    const debuggee = session.started(kind);
    session.thread(threadId);
    const { stepping } = debuggee;
    const by = granularity === 'instruction' ? 'instruction' : 'line';
    if (stepping) session.soon(() => stepping.move(kind, by));
    // What has not run yet, or cannot be gone through, is run.
    else if (kind === 'next' || kind === 'stepIn')
      session.soon(() => debuggee.resume({ move: kind, granularity: by }));
    else throw steppingUnsupported(kind, debuggee.live !== undefined);
  };
  return {
    next: (given) => move('next', given),
    stepIn: (given) => {
      const { threadId, targetId } = given;
      if (targetId === undefined) return move('stepIn', given);
      session.thread(threadId);
      const stepping = session.stepping('stepIn');
      const call = callsAhead(stepping.stepper.run).find(({ step }) => step === targetId);
      if (!call) throw unknownReference('target', targetId);
      session.soon(() => stepping.goTo(call.step, `Stepped into ${call.name}`));
    },
    stepOut: (given) => move('stepOut', given),
    stepBack: (given) => move('stepBack', given),
    'bpf/stepBack': (given) => move(given.kind === 'into' ? 'stepBackInto' : 'stepBackOut', given),
    reverseContinue: (given) => move('reverseContinue', given),
    continue: ({ threadId }) => {
      const debuggee = session.started('continue');
      session.thread(threadId);
      // The answer comes first: the client must know that the thread goes on before it hears that it stopped.
      session.soon(() => debuggee.resume());
      return { allThreadsContinued: true };
    },
    pause: ({ threadId }) => {
      const debuggee = session.started('pause');
      session.thread(threadId);
      // A search that is under way tells itself that it was given up.
      if (debuggee.stepping?.isSearching) debuggee.stepping.interrupt();
      else session.soon(async () => debuggee.announce());
    },
    disassemble: ({ memoryReference, offset, instructionOffset = 0, instructionCount }) => {
      const { run, sources } = session.stepping('disassemble').stepper;
      const first = insnAt(memoryReference, offset) + instructionOffset;
      return { instructions: disassembly(run, sources, first, instructionCount) };
    },
  };
}
