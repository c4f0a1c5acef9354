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
  /** Ends the session, because nothing is left to debug. */
  finish(): void;
}

export function listenerFor({ send, firstThread, supportsInvalidated, finish }: NoticeContext): Listener {
  const output: Listener['output'] = (category, lines) => {
    if (lines.length > 0) send(new Event('output', { category, output: `${lines.join('\n')}\n` }));
  };
  return {
    output,
    stopped(reason, description, thread) {
      const threadId = thread ?? firstThread();
      send(
        new Event('stopped', {
          reason,
          description,
          allThreadsStopped: true,
          ...(threadId === undefined ? {} : { threadId }),
        }),
      );
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
