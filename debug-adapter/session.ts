/** The debug adapter's conversation with its client: DAP and nothing else is known here and only here. */
import { Event, Response } from '@vscode/debugadapter';
import { ProtocolServer } from '@vscode/debugadapter/lib/protocol';
import type { DebugProtocol } from '@vscode/debugprotocol';
import type { OpenedKernel } from '../kernel/client/open';
import { readConfiguration, type Configuration } from './arguments';
import { attach } from './attach';
import type { Debuggee, Environment } from './debuggee';
import * as errors from './errors';
import { SessionState } from './protocol';
import { launch } from './launch';
import { listenerFor } from './notices';
import { replay } from './replay';
import { checkArguments, requests, type Arguments, type Command } from './requests';
import { capabilities } from './capabilities';
import { compilerFor, describeDiagnostic } from './runner/compile';
import { breakpointHandlers, placeBreakpoints } from './handlers/breakpoints';
import { customHandlers } from './handlers/custom';
import type { Handler, Handlers, SessionAccess } from './handlers/handler';
import { gotoHandlers } from './handlers/goto';
import { historyHandlers } from './handlers/history';
import { inspectionHandlers } from './handlers/inspect';
import { liveHandlers } from './handlers/live';
import { steppingHandlers } from './handlers/stepping';
import { Breakpoints } from './stepping/breakpoints/store';
import { VariablesView } from './variables/view';

/** How to get at a kernel; injected, because it depends on where the bundle lies. */
export type OpenKernel = (
  options: { target?: string; hostSocket?: string },
  log: (line: string) => void,
  signal: AbortSignal,
) => Promise<OpenedKernel>;

export class BpfDebugSession extends ProtocolServer {
  private client: Arguments<'initialize'> | undefined;
  private configuration: Configuration | undefined;
  private kernel: OpenedKernel | undefined;
  private debuggee: Debuggee | undefined;
  private readonly view = new VariablesView();
  private readonly breakpoints = new Breakpoints();
  private phase: 'new' | 'starting' | 'started' | 'ended' = 'new';
  private configured = false;
  private announced = false;
  /** Requests under way that can be cancelled, by `seq`. */
  private readonly running = new Map<number, AbortController>();
  /** What ends work whose progress is shown, by the id it is shown under. */
  private readonly cancellable = new Map<string, () => void>();
  private progressCount = 0;
  /** The answer to the launch, attach or restart that is under way. */
  private starting: Promise<void> = Promise.resolve();
  private ending: Promise<void> | undefined;

  private readonly listener = listenerFor({
    send: (event) => {
      // Values are those of where the debuggee rests now.
      if (event.event === 'stopped' && this.debuggee) this.view.show(this.debuggee.context);
      // Every run is another one to stop in.
      if (event.event === SessionState) this.placeBreakpoints();
      this.sendEvent(event);
    },
    firstThread: () => this.debuggee?.threads[0]?.id,
    supportsInvalidated: () => this.client?.supportsInvalidatedEvent === true,
    startProgress: (cancel) => {
      if (this.client?.supportsProgressReporting !== true) return undefined;
      const id = `search ${++this.progressCount}`;
      this.cancellable.set(id, cancel);
      return id;
    },
    finish: () => this.finish(),
  });

  constructor(
    private readonly openKernel: OpenKernel,
    /** Called once everything is released and answered. */
    private readonly onEnd: () => void,
  ) {
    super();
    // What is not even JSON cannot be answered; without this listener it would end the process.
    this.on('error', (event: { body?: unknown }) =>
      this.listener.output('stderr', [
        `The client sent what is not DAP: ${JSON.stringify(event.body ?? '')}`,
      ]),
    );
  }

  protected override dispatchRequest(request: DebugProtocol.Request): void {
    const answered = this.answer(request);
    if (['launch', 'attach', 'restart'].includes(request.command)) this.starting = answered;
  }

  private async answer(request: DebugProtocol.Request): Promise<void> {
    const response: DebugProtocol.Response = new Response(request);
    try {
      const { stepping } = this.debuggee ?? {};
      // What looks at a run, or moves it, waits until it rests.
      if (stepping && !AT_ONCE.has(request.command)) await stepping.idle();
      response.body = await this.handle(request);
      this.sendResponse(response);
    } catch (thrown) {
      const error = errors.asAdapterError(thrown);
      response.success = false;
      response.message = error.message;
      response.body = {
        error: errors.describeError(error, this.client?.clientID, request.command, request.arguments),
      };
      this.sendResponse(response);
    } finally {
      this.running.delete(request.seq);
    }
    this.afterResponse(request.command, response.success);
  }

  private handle(request: DebugProtocol.Request): unknown {
    const { command } = request;
    const leaving = command === 'disconnect' || command === 'terminate';
    if (this.phase === 'ended' && !leaving) throw errors.sessionEnded(command);
    if (!this.client && command !== 'initialize' && !leaving) throw errors.notInitialized(command);
    if (!Object.hasOwn(requests, command)) throw errors.unknownCommand(command);
    const checked = checkArguments(command as Command, request.arguments);
    if (!checked.ok) throw errors.badArguments(command, checked.problem);
    const handler = this.handlers[command as Command] as Handler<Command>;
    return handler(checked.value, request);
  }

  /** Events whose place is behind a response. */
  private afterResponse(command: string, success: boolean): void {
    if (command === 'initialize' && success) this.sendEvent(new Event('initialized'));
    if (['launch', 'attach', 'configurationDone'].includes(command) && success) this.announceOnce();
    if (command === 'restart' && success) this.debuggee?.announce();
    if (EDITS.has(command) && success) this.listener.changed();
    if (command === 'terminate') this.sendEvent(new Event('terminated'));
    if (command === 'disconnect') this.onEnd();
  }

  private readonly access: SessionAccess = this.accessForHandlers();

  /** What concerns the session as a whole is answered here; the rest needs only what is debugged. */
  private readonly handlers: Handlers<Command> = {
    ...inspectionHandlers(this.access),
    ...breakpointHandlers(this.access),
    ...steppingHandlers(this.access),
    ...gotoHandlers(this.access),
    ...historyHandlers(this.access),
    ...customHandlers(this.access),
    ...liveHandlers(this.access),
    initialize: (given) => {
      if (this.client) throw errors.alreadyInitialized();
      if (given.pathFormat !== undefined && given.pathFormat !== 'path') throw errors.pathFormat();
      this.client = given;
      return capabilities;
    },
    launch: (given, request) => this.open('launch', given, request),
    attach: (given, request) => this.open('attach', given, request),
    restart: async (given, request) => {
      if (!this.configuration || this.phase !== 'started') throw errors.notStarted('restart');
      const next = given?.arguments
        ? readConfiguration(this.configuration.request === 'attach' ? 'attach' : 'launch', given.arguments)
        : this.configuration;
      await this.debuggee?.stop();
      this.debuggee = undefined;
      try {
        await this.begin(next, this.controller(request).signal);
      } catch (thrown) {
        // What ran before is unloaded; there is nothing to go back to.
        this.finish();
        throw thrown;
      }
    },
    configurationDone: () => {
      this.configured = true;
    },
    disconnect: () => this.end(),
    terminate: () => this.end(),
    cancel: (given) => {
      if (given?.requestId !== undefined) this.running.get(given.requestId)?.abort();
      if (given?.progressId !== undefined) this.cancellable.get(given.progressId)?.();
    },
  };

  private controller(request: DebugProtocol.Request): AbortController {
    const controller = new AbortController();
    this.running.set(request.seq, controller);
    return controller;
  }

  private async open(
    kind: 'launch' | 'attach',
    given: unknown,
    request: DebugProtocol.Request,
  ): Promise<void> {
    if (this.phase !== 'new') throw errors.alreadyStarted();
    const configuration = readConfiguration(kind, given);
    this.phase = 'starting';
    const { signal } = this.controller(request);
    try {
      if (configuration.request !== 'replay') await this.connect(configuration.given, signal);
      await this.begin(configuration, signal);
      if (this.ending) throw errors.cancelled();
      this.phase = 'started';
    } catch (thrown) {
      await this.release();
      if (!this.ending) this.phase = 'new';
      throw signal.aborted ? errors.cancelled() : thrown;
    }
  }

  private async connect(
    { target, hostSocket }: { target?: string; hostSocket?: string },
    signal: AbortSignal,
  ): Promise<void> {
    const opened = await this.openKernel(
      { ...(target === undefined ? {} : { target }), ...(hostSocket === undefined ? {} : { hostSocket }) },
      (line) => this.listener.output('stdout', [line]),
      signal,
    );
    this.kernel = opened;
    void opened.client.gone.then((reason) => {
      // Connections that this session closed itself are no news.
      if (this.kernel === opened) this.kernelGone(reason);
    });
  }

  private async begin(configuration: Configuration, signal: AbortSignal): Promise<void> {
    this.debuggee =
      configuration.request === 'replay'
        ? await replay(configuration.given.recording, this.listener)
        : await this.debuggeeFor(configuration, signal);
    this.configuration = configuration;
    this.view.show(this.debuggee.context);
    this.placeBreakpoints();
  }

  private debuggeeFor(
    configuration: Exclude<Configuration, { request: 'replay' }>,
    signal: AbortSignal,
  ): Promise<Debuggee> {
    const kernel = this.kernel!;
    const { given } = configuration;
    const environment: Environment = {
      kernel: kernel.client,
      label: kernel.label ?? "the window's kernel",
      compile: compilerFor(
        kernel.client,
        given,
        () => {},
        (found) => this.listener.output('console', found.map(describeDiagnostic)),
      ),
      listener: this.listener,
      signal,
    };
    return configuration.request === 'launch'
      ? launch(configuration.given, environment)
      : attach(configuration.given, environment);
  }

  /** The first stop is told when the client has said all it wants to say before, and the launch is answered. */
  private announceOnce(): void {
    if (this.announced || !this.configured || this.phase !== 'started') return;
    this.announced = true;
    if (this.configuration?.request === 'launch' && this.configuration.given.noDebug === true)
      this.sendEvent(new Event('terminated'));
    else this.debuggee?.announce();
  }

  private accessForHandlers(): SessionAccess {
    return {
      view: this.view,
      breakpoints: this.breakpoints,
      listener: this.listener,
      place: async (fresh) => {
        const ids = new Set(fresh.map(({ id }) => id));
        const placed = await placeBreakpoints(this.breakpoints.all, this.debuggee);
        return { breakpoints: placed.filter(({ id }) => ids.has(id!)) };
      },
      current: () => this.debuggee,
      started: (command) => this.started(command),
      stepping: (command) => {
        const { stepping, live } = this.started(command);
        if (!stepping) throw errors.steppingUnsupported(command, live !== undefined);
        return stepping;
      },
      thread: (id) => this.thread(id),
      soon: (work) => {
        setImmediate(() => void work().catch((thrown: unknown) => this.reportFailure(thrown)));
      },
    };
  }

  private thread(id: number) {
    const thread = this.started('thread').threads.find((candidate) => candidate.id === id);
    if (!thread) throw errors.unknownReference('thread', id);
    return thread;
  }

  private started(command: string): Debuggee {
    if (!this.debuggee) throw errors.notStarted(command);
    return this.debuggee;
  }

  /** A run that was recorded has lines to stop at. */
  private placeBreakpoints(): void {
    if (!this.debuggee?.stepping && !this.debuggee?.live) return;
    void placeBreakpoints(this.breakpoints.all, this.debuggee).then(
      (placed) =>
        placed.forEach((breakpoint) =>
          this.sendEvent(new Event('breakpoint', { reason: 'changed', breakpoint })),
        ),
      (thrown: unknown) => this.reportFailure(thrown),
    );
  }

  /** What goes wrong outside a request has only the console to be told in. */
  private reportFailure(thrown: unknown): void {
    const error = errors.asAdapterError(thrown);
    this.listener.output('stderr', [error.message]);
    if (!this.ending) this.debuggee?.announce();
  }

  private kernelGone(reason: string): void {
    if (this.ending) return;
    this.listener.output('stderr', [errors.hostGone(reason).message]);
    this.finish();
  }

  /** The session ends by itself. */
  private finish(): void {
    void this.end().then(() => this.sendEvent(new Event('terminated')));
  }

  /** Cancels what is under way and releases everything; safe in every state and more than once. */
  end(): Promise<void> {
    this.ending ??= (async () => {
      for (const controller of this.running.values()) controller.abort();
      // A launch that is cancelled cleans up after itself and is answered before the session ends.
      await this.starting;
      await this.release();
      this.phase = 'ended';
      this.listener.state({ phase: 'ended' });
    })();
    return this.ending;
  }

  private async release(): Promise<void> {
    const { debuggee, kernel } = this;
    this.debuggee = undefined;
    this.kernel = undefined;
    try {
      await debuggee?.stop();
    } finally {
      // The host releases what is left when its connection ends, so this must happen whatever came before.
      await kernel?.dispose();
    }
  }
}

/** Requests that can end a search. */
const AT_ONCE = new Set(['initialize', 'cancel', 'pause', 'disconnect', 'terminate', 'restart', 'threads']);

/** After these the rows around what was edited are stale: the sum of a row, the text of a struct. */
const EDITS = new Set([
  'setVariable',
  'setExpression',
  'writeMemory',
  'bpf/setMapEntry',
  'bpf/deleteMapEntry',
]);
