/** Requests that go through a run, or go on with it. */
import { steppingUnsupported } from '../errors';
import { disassembly } from '../stepping/requests';
import type { Move } from '../stepping/stepper';
import type { Handlers, SessionAccess } from './handler';

export function steppingHandlers(
  session: SessionAccess,
): Handlers<
  'next' | 'stepIn' | 'stepOut' | 'stepBack' | 'reverseContinue' | 'continue' | 'pause' | 'disassemble'
> {
  const move = (
    kind: Move,
    { threadId, granularity }: { threadId: number; granularity?: string | undefined },
  ): void => {
    const debuggee = session.started(kind);
    session.thread(threadId);
    const { stepping } = debuggee;
    if (stepping)
      session.soon(() => stepping.move(kind, granularity === 'instruction' ? 'instruction' : 'line'));
    // What has not run yet, or cannot be gone through, is run.
    else if (kind === 'next' || kind === 'stepIn') session.soon(() => debuggee.resume());
    else throw steppingUnsupported(kind);
  };
  return {
    next: (given) => move('next', given),
    stepIn: (given) => move('stepIn', given),
    stepOut: (given) => move('stepOut', given),
    stepBack: (given) => move('stepBack', given),
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
      session.soon(async () => debuggee.announce());
    },
    disassemble: ({ memoryReference, offset, instructionOffset, instructionCount }) => ({
      instructions: disassembly(
        session.stepping('disassemble'),
        memoryReference,
        offset ?? 0,
        instructionOffset ?? 0,
        instructionCount,
      ),
    }),
  };
}
