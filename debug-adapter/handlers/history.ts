/** Requests that ask why: what wrote to something, since when it is so, which decisions led here. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { cannotEvaluate } from '../errors';
import type { LastWriteResponse } from '../protocol';
import type { Stepping } from '../debuggee';
import type { Outcome } from '../../toolchain/problem';
import { decisionsOf } from '../stepping/history/decisions';
import { findPlace } from '../stepping/history/find-place';
import { lastWrite } from '../stepping/history/last-write';
import { whenBecame } from '../stepping/history/when-became';
import { frameOf } from '../stepping/requests';
import type { StepFrame } from '../stepping/stepper';
import type { Handlers, SessionAccess } from './handler';

export function historyHandlers(
  session: SessionAccess,
): Handlers<
  'dataBreakpointInfo' | 'setDataBreakpoints' | 'bpf/lastWrite' | 'bpf/whenBecame' | 'bpf/decisions'
> {
  /** An expression and the frame that it speaks of, from a row of the Variables view or as it was written. */
  const named = (given: {
    variablesReference?: number | undefined;
    name?: string | undefined;
    expression?: string | undefined;
    frameId?: number | undefined;
  }): { expression: string; frameId: number | undefined } => {
    const { variablesReference, name, expression, frameId } = given;
    if (expression !== undefined) return { expression, frameId };
    // DAP: without a container the name is an expression.
    if (name !== undefined && !variablesReference) return { expression: name, frameId };
    if (name === undefined || variablesReference === undefined)
      throw cannotEvaluate('Name a row of the Variables view, or an expression.');
    return session.view.expressionOf(variablesReference, name);
  };
  const frameFor = (stepping: Stepping, frameId: number | undefined): StepFrame =>
    frameId === undefined ? stepping.stepper.frames()[0]! : frameOf(stepping, frameId);

  /** Answers what a search has found, and goes there once it is answered. */
  const answer = async (
    stepping: Stepping,
    title: string,
    find: Parameters<typeof stepping.search<LastWriteResponse>>[1],
  ): Promise<LastWriteResponse> => {
    const found = await stepping.search(title, (pace) => stepping.stepper.orReturn(() => find(pace)));
    const { at, text } = found;
    if (at) session.soon(() => stepping.goTo(at.step, text));
    return found;
  };

  return {
    dataBreakpointInfo: async (given) => {
      const stepping = session.current()?.stepping;
      if (!stepping) return { dataId: null, description: 'Data can be watched in a recorded run only.' };
      const { expression, frameId } = named(given);
      const info = await stepping.stepper.data.info(expression, frameFor(stepping, frameId));
      return info.ok ? info.value : { dataId: null, description: inWords(info.problem) };
    },
    setDataBreakpoints: ({ breakpoints }) =>
      session.place(
        session.breakpoints.setData(
          breakpoints.map(({ accessType, ...asked }) => ({ ...asked, access: accessType ?? 'write' })),
        ),
      ) satisfies Promise<{ breakpoints: DebugProtocol.Breakpoint[] }>,
    'bpf/lastWrite': async (given) => {
      const stepping = session.stepping('bpf/lastWrite');
      const { expression, frameId } = named(given);
      const place = orThrow(await findPlace(stepping.stepper.run, expression, frameFor(stepping, frameId)));
      return answer(stepping, `Looking for the last write to ${expression}`, (pace) =>
        lastWrite(stepping.stepper.run, place, pace),
      );
    },
    'bpf/decisions': ({ count = 1000 } = {}) => {
      const stepping = session.stepping('bpf/decisions');
      const { stepper } = stepping;
      return stepping.search('Following the way here', (pace) =>
        stepper.orReturn(() => decisionsOf(stepper.run, count, pace)),
      );
    },
    'bpf/whenBecame': async ({ expression, condition, frameId }) => {
      const stepping = session.stepping('bpf/whenBecame');
      const frame = frameFor(stepping, frameId);
      return answer(stepping, 'Looking back', async (pace) =>
        orThrow(await whenBecame(stepping.stepper.run, { expression, condition }, frame, pace)),
      );
    },
  };
}

function inWords({ message, hint }: { message: string; hint: string }): string {
  return `${message} ${hint}`.trim();
}

function orThrow<T>(outcome: Outcome<T>): T {
  if (outcome.ok) return outcome.value;
  throw cannotEvaluate(inWords(outcome.problem));
}
