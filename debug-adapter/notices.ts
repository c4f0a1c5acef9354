/** What a debuggee tells, as DAP events. */
import { Event } from '@vscode/debugadapter';
import type { Listener } from './debuggee';
import { describePlacement } from './handlers/breakpoints';
import { SessionState } from './protocol';

export interface NoticeContext {
  send(event: Event): void;
  /** The thread that a stop is shown on. */
  firstThread(): number | undefined;
  supportsInvalidated(): boolean;
  /** Remembers what ends a piece of work, by the id returned; undefined for a client that shows no progress. */
  startProgress(cancel: () => void): string | undefined;
  /** Ends the session, because nothing is left to debug. */
  finish(): void;
}

export function listenerFor({
  send,
  firstThread,
  supportsInvalidated,
  startProgress,
  finish,
}: NoticeContext): Listener {
  const output: Listener['output'] = (category, lines) => {
    if (lines.length > 0) send(new Event('output', { category, output: `${lines.join('\n')}\n` }));
  };
  return {
    output,
    stopped(reason, description, thread, { hitBreakpointIds, text } = {}) {
      const threadId = thread ?? firstThread();
      send(
        new Event('stopped', {
          reason,
          description,
          allThreadsStopped: true,
          ...(threadId === undefined ? {} : { threadId }),
          ...(hitBreakpointIds === undefined ? {} : { hitBreakpointIds }),
          ...(text === undefined ? {} : { text }),
        }),
      );
    },
    progress(title, cancel) {
      const progressId = startProgress(cancel);
      if (progressId === undefined) return undefined;
      send(new Event('progressStart', { progressId, title, cancellable: true, percentage: 0 }));
      return {
        report: (fraction) =>
          send(new Event('progressUpdate', { progressId, percentage: Math.floor(fraction * 100) })),
        done: () => send(new Event('progressEnd', { progressId })),
      };
    },
    logged(lines) {
      // One event for all lines from one place: a loop prints thousands.
      for (let first = 0; first < lines.length;) {
        const { place } = lines[first]!;
        const isOther = (line: (typeof lines)[number]) =>
          line.place?.path !== place?.path || line.place?.line !== place?.line;
        const next = lines.findIndex((line, index) => index > first && isOther(line));
        const end = next < 0 ? lines.length : next;
        const text = lines.slice(first, end).map((line) => line.text);
        const source = place && { source: { name: place.path.split('/').at(-1), path: place.path } };
        send(
          new Event('output', {
            category: 'stdout',
            output: `${text.join('\n')}\n`,
            ...(place ? { ...source, line: place.line } : {}),
          }),
        );
        first = end;
      }
    },
    changed() {
      if (supportsInvalidated()) send(new Event('invalidated', { areas: ['variables'] }));
    },
    threadGone: (threadId) => send(new Event('thread', { reason: 'exited', threadId })),
    ended(reason) {
      output('console', [reason]);
      finish();
    },
    state: (state) => send(new Event(SessionState, state)),
    breakpoint: (id, placement) =>
      send(new Event('breakpoint', { reason: 'changed', breakpoint: describePlacement(id, placement) })),
    live: (event, body) => send(new Event(event, body)),
  };
}
