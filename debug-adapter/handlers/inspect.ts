/** Requests that look at what is debugged: threads, frames, variables, memory. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import type { DebuggeeThread } from '../debuggee';
import { noSource } from '../errors';
import type { InlineValuesResponse } from '../protocol';
import { describeFrame, frameOf, stackFrames } from '../stepping/requests';
import { SourceFiles } from '../stepping/source-files';
import type { Handlers, SessionAccess } from './handler';

export function inspectionHandlers(
  session: SessionAccess,
): Handlers<
  | 'source'
  | 'threads'
  | 'stackTrace'
  | 'scopes'
  | 'variables'
  | 'loadedSources'
  | 'setVariable'
  | 'setExpression'
  | 'evaluate'
  | 'readMemory'
  | 'writeMemory'
  | 'bpf/inlineValues'
> {
  const { view } = session;
  /** The frame that an expression is about; the innermost one if the client names none. */
  const standpoint = (frameId: number | undefined) => {
    const { stepping, snapshot, live } = session.current() ?? {};
    const inSnapshot = snapshot?.frames().find(({ id }, index) => (frameId ? id === frameId : index === 0));
    if (snapshot && inSnapshot)
      return { at: { moment: snapshot.moment, frame: inSnapshot }, mapsAreNow: true };
    if (!stepping || (frameId !== undefined && frameId > THREAD_FRAMES)) return undefined;
    const frame = frameId === undefined ? stepping.stepper.frames()[0]! : frameOf(stepping, frameId);
    return { ...stepping.standpoint(frame), mapsAreNow: live !== undefined };
  };
  return {
    threads: () => ({ threads: (session.current()?.threads ?? []).map(({ id, name }) => ({ id, name })) }),
    stackTrace: ({ threadId, startFrame = 0, levels = 0 }) => {
      const own = threadFrame(session.thread(threadId));
      const { stepping, snapshot, shownThread = threadId } = session.started('stackTrace');
      const frames = () => {
        if (shownThread !== threadId) return [own];
        if (snapshot) return snapshot.frames().map((frame) => describeFrame(frame, SourceFiles.onDisk([])));
        return stepping ? stackFrames(stepping.stepper, own.name) : [own];
      };
      const all = frames();
      const end = levels === 0 ? all.length : startFrame + levels;
      return { stackFrames: all.slice(startFrame, end), totalFrames: all.length };
    },
    scopes: ({ frameId }) => {
      const { stepping, snapshot, live } = session.started('scopes');
      const inSnapshot = snapshot?.frames().find(({ id }) => id === frameId);
      if (inSnapshot) return { scopes: view.scopes(snapshot?.scopes(inSnapshot), NOT_THEN) };
      if (stepping && frameId < THREAD_FRAMES) {
        const scopes = stepping.scopes(frameOf(stepping, frameId));
        return { scopes: view.scopes(scopes, live ? NOT_THEN : undefined) };
      }
      session.thread(frameId - THREAD_FRAMES);
      return { scopes: view.scopes() };
    },
    variables: async ({ variablesReference, filter, start, count }) => {
      session.started('variables');
      return { variables: await view.variables(variablesReference, filter, start, count) };
    },
    loadedSources: () => ({ sources: session.current()?.stepping?.stepper.sources.all ?? [] }),
    source: ({ source, sourceReference }) => {
      const { sources } = session.stepping('source').stepper;
      const content = sources.text({
        ...(source?.path === undefined ? {} : { path: source.path }),
        sourceReference,
      });
      if (content === undefined) throw noSource(source?.path ?? String(sourceReference));
      return { content, mimeType: 'text/x-c' };
    },
    setVariable: async ({ variablesReference, name, value }) => {
      session.started('setVariable');
      const { name: _, ...rest } = await view.set(variablesReference, name, value);
      return rest;
    },
    setExpression: async ({ expression, value, frameId }) => {
      session.started('setExpression');
      const { name: _, ...rest } = await view.setExpression(expression, value, standpoint(frameId));
      return rest;
    },
    evaluate: async ({ expression, frameId }) => {
      session.started('evaluate');
      return view.evaluate(expression, standpoint(frameId));
    },
    'bpf/inlineValues': async ({ expressions, frameId }): Promise<InlineValuesResponse> => {
      session.started('bpf/inlineValues');
      return { values: await view.inlineValues(expressions, standpoint(frameId)) };
    },
    readMemory: ({ memoryReference, offset, count }) => {
      session.started('readMemory');
      return view.readMemory(memoryReference, offset ?? 0, count);
    },
    writeMemory: async ({ memoryReference, offset, data }) => {
      session.started('writeMemory');
      const bytes = Buffer.from(data, 'base64');
      await view.writeMemory(memoryReference, offset ?? 0, bytes);
      return { offset: offset ?? 0, bytesWritten: bytes.length };
    },
  };
}

/** What attached programs left in maps while they ran is not recorded; what they hold at present can be shown. */
const NOT_THEN = 'as they are now';
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
