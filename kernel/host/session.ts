/**
 * A connection's session: what it holds in the kernel, its requests under way, and their end. Everything a session
 * made is released when its connection ends, in the order links, readers, maps, objects.
 */
import type { z } from 'zod';
import type { Addon, AddonLink, AddonMemory, AddonObject, MapPage, Operation } from '../addon/addon';
import type { EventName, Events, LinkDescription, LoadedMap, Method, Params, Results } from '../protocol';
import { PROTOCOL_VERSION, requestSchemas } from '../protocol';
import { failure, toProtocolError } from './errors';
import type { Faults } from './faults';
import type { Guardian } from './guardian';
import { watchLinks } from './link-watch';
import type { StreamReader } from './stream-reader';

export type Parsed<M extends Method> = z.output<(typeof requestSchemas)[M]>;

export interface HeldObject {
  object: AddonObject;
  /** How it was opened, to open it again for a second look at a rejected program. */
  params: Parsed<'objectOpen'>;
  loaded: boolean;
  programs: number[];
  maps: number[];
}
export interface HeldProgram {
  fd: number;
  object: number;
  name: string;
  section: string;
  type: string;
  /** The program whose other instructions these are; its descriptor is its own, not its object's. */
  variantOf?: number;
  /** Descriptor of the program itself while the object's means a variant. */
  exchanged?: number | undefined;
}
export interface HeldMap extends LoadedMap {
  fd: number;
  /** The map has a file descriptor of its own, not its object's. */
  owned: boolean;
  object?: number;
  /** Of an array that variants of programs write to. */
  memory?: AddonMemory;
  /** The next page of a reading of the whole map. */
  readAhead?: { cursor: Uint8Array; limit: number; startedAt: number; page: Promise<MapPage> } | undefined;
}
export interface HeldLink extends LinkDescription {
  /** Undoes the attachment. */
  detach(): Promise<void>;
  /** Why the link does nothing any more; undefined while it is attached. */
  goneReason(): Promise<string | undefined>;
  link?: AddonLink;
  /** Lets it run another program, where that takes something else than an update of the link. */
  exchange?(program: HeldProgram, operation: Operation): Promise<void>;
  /** The object whose program it runs. */
  object: number;
}
export interface HeldReader {
  reader: StreamReader;
  map: number;
}
export type TracePipe = Pick<StreamReader, 'flush' | 'close'>;

/** What the host process shares among its sessions. */
export interface Host {
  addon: Addon;
  guardian: Guardian;
  faults: Faults;
}

export interface Connection {
  /** Sends a message; resolves when the transport can take more. */
  send(message: unknown): Promise<void>;
  close(): void;
}

export type Handler<M extends Method> = (
  session: Session,
  params: Parsed<M>,
  operation: Operation,
) => Promise<Results[M]>;
export type Handlers = { [M in Exclude<Method, 'hello' | 'cancel'>]: Handler<M> } & {
  hello: Handler<'hello'>;
};

/**
 * Requests of one session that run at a time; more wait their turn. One whose answer the client has not read yet counts,
 * so that a slow reader makes the host keep so many answers and no more.
 */
const MAX_CONCURRENT = 16;

export class Session {
  readonly objects = new Map<number, HeldObject>();
  readonly programs = new Map<number, HeldProgram>();
  readonly maps = new Map<number, HeldMap>();
  readonly links = new Map<number, HeldLink>();
  readonly readers = new Map<number, HeldReader>();
  tracePipe: TracePipe | undefined;
  private endWatch: (() => void) | undefined;
  private nextHandle = 1;
  private greeted = false;
  private ended = false;
  private readonly running = new Map<number, { operation: Operation; done: Promise<void> }>();
  private busy = 0;
  private readonly waiting: (() => void)[] = [];

  constructor(
    readonly host: Host,
    private readonly connection: Connection,
    private readonly handlers: Handlers,
  ) {}

  newHandle(): number {
    return this.nextHandle++;
  }

  emit<E extends EventName>(event: E, params: Events[E]): Promise<void> {
    return this.ended ? Promise.resolve() : this.connection.send({ event, params });
  }

  /** From the first link on, links that come to nothing are noticed and told of. */
  watchLinks(): void {
    if (this.ended) return;
    this.endWatch ??= watchLinks(this.links, (link, { description }, reason) => {
      void this.emit('linkGone', { link, description, reason });
    });
  }

  /** A frame from the client. Anything that is not a request ends the connection after an error is sent. */
  receive(frame: unknown): void {
    if (!isRequest(frame)) {
      const error = failure('badRequest', 'request', 'a message was not {id, method, params}').error;
      void this.connection.send({ id: -1, error }).finally(() => this.connection.close());
      return;
    }
    void this.handle(frame.id, frame.method, frame.params);
  }

  private async handle(id: number, method: string, params: unknown): Promise<void> {
    const turn = { isTaken: false };
    let answer: unknown;
    try {
      answer = { id, result: await this.run(id, method, params, turn) };
    } catch (thrown) {
      answer = { id, error: toProtocolError(thrown, method) };
    }
    try {
      await this.connection.send(answer);
    } catch (thrown) {
      // An answer that cannot be encoded (larger than a frame) is an error the client must learn of.
      await this.connection.send({ id, error: toProtocolError(thrown, method) });
    }
    if (turn.isTaken) this.endTurn();
  }

  private async takeTurn(): Promise<void> {
    // Who waits takes over a turn that ends.
    if (this.busy === MAX_CONCURRENT) await new Promise<void>((resolve) => this.waiting.push(resolve));
    else this.busy++;
  }

  private endTurn(): void {
    const next = this.waiting.shift();
    if (next) next();
    else this.busy--;
  }

  private async run(
    id: number,
    method: string,
    params: unknown,
    turn: { isTaken: boolean },
  ): Promise<unknown> {
    const schema = Object.hasOwn(requestSchemas, method) ? requestSchemas[method as Method] : undefined;
    if (!schema) throw failure('badRequest', method, `there is no request "${method}"`);
    const parsed = (schema as z.ZodType<unknown>).safeParse(params);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      const where = issue?.path.length ? ` at ${issue.path.join('.')}` : '';
      throw failure('badRequest', method, `${method}: ${issue?.message ?? 'wrong parameters'}${where}`);
    }
    if (method === 'cancel') return this.cancel((parsed.data as Params<'cancel'>).request);
    if (method === 'hello') this.greet(parsed.data as Params<'hello'>);
    else if (!this.greeted) throw failure('badRequest', method, 'the first request of a session is hello');
    if (this.running.has(id)) throw failure('badRequest', method, `request ${id} is under way already`);

    const operation = new this.host.addon.Operation();
    let finish = () => {};
    this.running.set(id, { operation, done: new Promise((resolve) => (finish = resolve)) });
    try {
      await this.takeTurn();
      turn.isTaken = true;
      if (this.ended) throw failure('cancelled', method, 'the session ended');
      const handler = this.handlers[method as keyof Handlers] as Handler<Method>;
      return await handler(this, parsed.data as never, operation);
    } finally {
      this.running.delete(id);
      finish();
    }
  }

  private greet({ protocol, client }: Params<'hello'>): void {
    if (protocol !== PROTOCOL_VERSION) {
      throw failure(
        'badRequest',
        'hello',
        `${client} speaks protocol ${protocol}, this kernel host ${PROTOCOL_VERSION}`,
        { hint: 'Two versions of BPF Studio are mixed: reload the window, or rebuild with `npm run build`.' },
      );
    }
    this.greeted = true;
  }

  private cancel(request: number): Results['cancel'] {
    this.running.get(request)?.operation.cancel();
    return {};
  }

  object(handle: number): HeldObject {
    return this.held(this.objects, handle, 'object');
  }
  program(handle: number): HeldProgram {
    return this.held(this.programs, handle, 'program');
  }
  map(handle: number): HeldMap {
    return this.held(this.maps, handle, 'map');
  }

  private held<T>(table: Map<number, T>, handle: number, what: string): T {
    const found = table.get(handle);
    if (!found) {
      throw failure(
        'badRequest',
        what,
        `this session has no ${what} ${handle}; it was closed or never opened`,
      );
    }
    return found;
  }

  /** Releases everything; resolves when nothing of the session is left in the kernel. */
  async end(): Promise<void> {
    if (this.ended) return;
    this.ended = true;
    this.endWatch?.();
    for (const request of this.running.values()) request.operation.cancel();
    for (const wake of this.waiting.splice(0)) wake();
    await Promise.all([...this.running.values()].map((request) => request.done));
    const report = (what: string) => (error: unknown) =>
      console.error(
        `kernel host: ${what} could not be released: ${error instanceof Error ? error.message : error}`,
      );
    await Promise.all([...this.links.values()].map((link) => link.detach().catch(report(link.description))));
    await Promise.all(
      [...this.readers.values()].map(({ reader }) => reader.close().catch(report('a reader'))),
    );
    await this.tracePipe?.close().catch(report('the trace pipe'));
    for (const map of this.maps.values()) if (map.owned) this.host.addon.closeFd(map.fd);
    for (const program of this.programs.values()) releaseProgram(this.host.addon, program);
    await Promise.all(
      [...this.objects.values()].map(({ object }) =>
        this.host.addon.objectClose(null, object).catch(report('an object')),
      ),
    );
    for (const table of [this.links, this.readers, this.maps, this.programs, this.objects]) table.clear();
  }
}

/** Closes the descriptors that a program has beside its object's. */
export function releaseProgram(addon: Addon, { fd, variantOf, exchanged }: HeldProgram): void {
  if (variantOf !== undefined) addon.closeFd(fd);
  if (exchanged !== undefined) addon.closeFd(exchanged);
}

function isRequest(frame: unknown): frame is { id: number; method: string; params: unknown } {
  return (
    typeof frame === 'object' &&
    frame !== null &&
    'id' in frame &&
    Number.isSafeInteger(frame.id) &&
    'method' in frame &&
    typeof frame.method === 'string'
  );
}
