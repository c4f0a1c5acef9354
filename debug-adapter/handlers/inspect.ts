/** Requests that look at what is debugged: threads, frames, variables, memory. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import type { DebuggeeThread } from '../debuggee';
import { describeFrame, frameOf, stackFrames } from '../stepping/requests';
import type { Handlers, SessionAccess } from './handler';

export function inspectionHandlers(
  session: SessionAccess,
): Handlers<
  | 'threads'
  | 'stackTrace'
  | 'scopes'
  | 'variables'
  | 'setVariable'
  | 'setExpression'
  | 'evaluate'
  | 'readMemory'
> {
  const { view } = session;
  return {
    threads: () => ({ threads: (session.current()?.threads ?? []).map(({ id, name }) => ({ id, name })) }),
    stackTrace: ({ threadId, startFrame = 0, levels = 0 }) => {
      const own = threadFrame(session.thread(threadId));
      const { stepping, snapshot, shownThread = threadId } = session.started('stackTrace');
      const frames = () => {
        if (shownThread !== threadId) return [own];
        if (snapshot) return snapshot.frames().map((frame) => describeFrame(frame));
        return stepping ? stackFrames(stepping.stepper, own.name) : [own];
      };
      const all = frames();
      const end = levels === 0 ? all.length : startFrame + levels;
      return { stackFrames: all.slice(startFrame, end), totalFrames: all.length };
    },
    scopes: ({ frameId }) => {
      const { stepping, snapshot } = session.started('scopes');
      const inSnapshot = snapshot?.frames().find(({ id }) => id === frameId);
      if (inSnapshot) return { scopes: view.scopes(snapshot?.scopes(inSnapshot)) };
      if (stepping && frameId < THREAD_FRAMES)
        return { scopes: view.scopes(stepping.scopes(frameOf(stepping, frameId))) };
      session.thread(frameId - THREAD_FRAMES);
      return { scopes: view.scopes() };
    },
    variables: async ({ variablesReference, filter, start, count }) => {
      session.started('variables');
      return { variables: await view.variables(variablesReference, filter, start, count) };
    },
    setVariable: async ({ variablesReference, name, value }) => {
      session.started('setVariable');
      const { name: _, ...rest } = await view.set(variablesReference, name, value);
      return rest;
    },
    setExpression: async ({ expression, value }) => {
      session.started('setExpression');
      const { name: _, ...rest } = await view.setExpression(expression, value);
      return rest;
    },
    evaluate: async ({ expression, frameId }) => {
      const { stepping, snapshot } = session.started('evaluate');
      const inSnapshot = snapshot?.frames().find(({ id }, index) => (frameId ? id === frameId : index === 0));
      const scopes = inSnapshot
        ? snapshot?.scopes(inSnapshot)
        : stepping && stepping.scopes(frameOf(stepping, frameId ?? stepping.stepper.frames()[0]!.id));
      return view.evaluate(expression, scopes);
    },
    readMemory: ({ memoryReference, offset, count }) => {
      session.started('readMemory');
      return view.readMemory(memoryReference, offset ?? 0, count);
    },
  };
}

/** Frames of threads that nobody can look into are numbered from here on, apart from those of runs and snapshots. */
const THREAD_FRAMES = 1 << 24;

/** The one frame of a thread that nobody can look into. */
function threadFrame({ id, frame, place }: DebuggeeThread): DebugProtocol.StackFrame {
  return {
    id: THREAD_FRAMES + id,
    name: frame,
    line: place?.line ?? 0,
    column: place ? 1 : 0,
    ...(place
      ? { source: { name: place.path.split('/').at(-1)!, path: place.path } }
      : { presentationHint: 'label' as const }),
  };
}
