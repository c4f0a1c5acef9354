/** What the handlers of DAP requests are given, and what they are. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import type { Debuggee, DebuggeeThread, Listener, Stepping } from '../debuggee';
import type { Arguments, Command } from '../requests';
import type { Breakpoint, Breakpoints } from '../stepping/breakpoints/store';
import type { VariablesView } from '../variables/view';

/** A request's body, or a promise of it; what it throws becomes the error that the client shows. */
export type Handler<C extends Command> = (given: Arguments<C>, request: DebugProtocol.Request) => unknown;

export type Handlers<C extends Command> = { [Each in C]: Handler<Each> };

/** The part of a session that requests about what is debugged need. */
export interface SessionAccess {
  readonly view: VariablesView;
  readonly breakpoints: Breakpoints;
  /** Places all breakpoints again, since what is debugged is stopped in by all of them; answers for `fresh`. */
  place(fresh: readonly Breakpoint[]): Promise<{ breakpoints: DebugProtocol.Breakpoint[] }>;
  readonly listener: Listener;
  /** What is debugged, or undefined before the launch is done. */
  current(): Debuggee | undefined;
  /** What is debugged; throws when the launch is not done. */
  started(command: string): Debuggee;
  /** Throws when this run cannot be gone through. */
  stepping(command: string): Stepping;
  thread(id: number): DebuggeeThread;
  /** Does the work after the answer to the present request is sent, and reports what goes wrong. */
  soon(work: () => Promise<void>): void;
}
