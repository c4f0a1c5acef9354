/** Requests that look at what is debugged: threads, frames, variables, memory. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import type { DebuggeeThread } from '../debuggee';
import { frameOf, stackFrames } from '../stepping/requests';
import { noSource } from '../errors';
import type { Handlers, SessionAccess } from './handler';

export function inspectionHandlers(
  session: SessionAccess,
): Handlers<
  | 'threads'
  | 'stackTrace'
  | 'scopes'
  | 'variables'
  | 'loadedSources'
  | 'source'
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
      const { stepping } = session.started('stackTrace');
      const frames = stepping ? stackFrames(stepping.stepper, stepping.sources, own.name) : [own];
      const end = levels === 0 ? frames.length : startFrame + levels;
      return { stackFrames: frames.slice(startFrame, end), totalFrames: frames.length };
    },
    scopes: ({ frameId }) => {
      const { stepping } = session.started('scopes');
      if (stepping) return { scopes: view.scopes(stepping.scopes(frameOf(stepping, frameId))) };
      session.thread(frameId);
      return { scopes: view.scopes() };
    },
    variables: async ({ variablesReference, filter, start, count }) => {
      session.started('variables');
      return { variables: await view.variables(variablesReference, filter, start, count) };
    },
    loadedSources: () => ({ sources: session.current()?.stepping?.sources.all ?? [] }),
    source: ({ source, sourceReference }) => {
      const { sources } = session.stepping('source');
      const content = sources.text({ path: source?.path, sourceReference });
      if (content === undefined) throw noSource(source?.path ?? String(sourceReference));
      return { content, mimeType: 'text/x-c' };
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
      const { stepping } = session.started('evaluate');
      const scopes =
        stepping && stepping.scopes(frameOf(stepping, frameId ?? stepping.stepper.frames()[0]!.id));
      return view.evaluate(expression, scopes);
    },
    readMemory: ({ memoryReference, offset, count }) => {
      session.started('readMemory');
      return view.readMemory(memoryReference, offset ?? 0, count);
    },
  };
}

/** The one frame of a thread that nobody can look into. */
function threadFrame({ id, frame, place }: DebuggeeThread): DebugProtocol.StackFrame {
  return {
    id,
    name: frame,
    line: place?.line ?? 0,
    column: place ? 1 : 0,
    ...(place
      ? { source: { name: place.path.split('/').at(-1)!, path: place.path } }
      : { presentationHint: 'label' as const }),
  };
}
