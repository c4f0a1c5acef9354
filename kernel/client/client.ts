/** Typed access to a kernel host over a byte stream. */
import net from 'node:net';
import type { Duplex } from 'node:stream';
import type { EventName, Events, KernelIdentity, Method, Params, ProtocolError, Results } from '../protocol';
import { PROTOCOL_VERSION } from '../protocol-version';
import { KernelError } from './errors';
import { FrameDecoder, MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES, encodeFrame } from './framing';

export interface RequestOptions {
  /**
   * Aborting stops the request in the kernel; it fails with code `cancelled`, within {@link CANCEL_MS} even if the
   * kernel does not let go of it. What it made after all ends with the session.
   */
  signal?: AbortSignal | undefined;
}

interface Pending {
  method: Method;
  resolve(result: unknown): void;
  reject(error: KernelError): void;
  settled(): void;
}

/** A system call answers to its interruption in milliseconds, a kernel in an emulated machine in a second. */
const CANCEL_MS = 5_000;

const UNCONFIRMED = `; the kernel host did not confirm it within ${CANCEL_MS / 1000} s and may still be at it`;
const HOST_ENDED = 'the kernel host closed the connection or ended';

/** What asks a kernel, or answers in one's stead: what a kernel held at an earlier moment. */
export interface KernelRequests {
  readonly hello: { readonly kernel: Pick<KernelIdentity, 'possibleCpus'> };
  request: KernelClient['request'];
}

/** A session with a kernel host. Everything it makes ends with it. */
export class KernelClient {
  /** Resolves with the reason when the host, its VM or the connection is gone; never rejects. */
  readonly gone: Promise<string>;
  private readonly pending = new Map<number, Pending>();
  private readonly listeners = new Map<EventName, Set<(params: never) => void>>();
  private nextId = 1;
  private end: string | undefined;
  private announceEnd: (reason: string) => void = () => {};
  private greeting: Results['hello'] | undefined;

  private constructor(private readonly stream: Duplex) {
    this.gone = new Promise((resolve) => (this.announceEnd = resolve));
    const decoder = new FrameDecoder(MAX_RESPONSE_BYTES);
    stream.on('data', (chunk: Buffer) => {
      try {
        for (const frame of decoder.push(chunk)) this.receive(frame);
      } catch (error) {
        this.finish(
          `the kernel host sent what is not the protocol: ${error instanceof Error ? error.message : error}`,
        );
      }
    });
    stream.on('error', (error: NodeJS.ErrnoException) => {
      // A host that is killed with requests unread resets its connections.
      const killed = error.code === 'ECONNRESET' || error.code === 'EPIPE';
      this.finish(killed ? HOST_ENDED : `the connection to the kernel host broke: ${error.message}`);
    });
    stream.on('close', () => this.finish(HOST_ENDED));
  }

  /** Starts a session on a stream. Throws a {@link KernelError} when the host refuses. */
  static async start(stream: Duplex, name: string, options: RequestOptions = {}): Promise<KernelClient> {
    const client = new KernelClient(stream);
    try {
      client.greeting = await client.request('hello', { protocol: PROTOCOL_VERSION, client: name }, options);
      return client;
    } catch (error) {
      client.dispose();
      throw error;
    }
  }

  /** Connects to a host's socket and starts a session. */
  static async connect(
    socketPath: string,
    name: string,
    options: RequestOptions = {},
  ): Promise<KernelClient> {
    const socket = net.connect(socketPath);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', (error) => {
        reject(
          new KernelError({
            code: 'hostGone',
            operation: 'connect',
            message: `No kernel host answers at ${socketPath}: ${error.message}`,
            hint: 'It has ended, or another user started it. Start it again with "BPF: Select Kernel".',
          }),
        );
      });
    });
    return KernelClient.start(socket, name, options);
  }

  /** What the host said of itself and its kernel. */
  get hello(): Results['hello'] {
    if (!this.greeting) throw new Error('the session has not started');
    return this.greeting;
  }

  /** Asks the host. Rejects with a {@link KernelError}. */
  request<M extends Method>(method: M, params: Params<M>, options: RequestOptions = {}): Promise<Results[M]> {
    const { signal } = options;
    if (this.end !== undefined) return Promise.reject(hostGone(method, this.end));
    if (signal?.aborted) return Promise.reject(cancelled(method));
    const id = this.nextId++;
    return new Promise<Results[M]>((resolve, reject) => {
      let patience: NodeJS.Timeout | undefined;
      const cancel = () => {
        this.post({ id: this.nextId++, method: 'cancel', params: { request: id } });
        patience = setTimeout(() => this.settle(id)?.reject(cancelled(method, UNCONFIRMED)), CANCEL_MS);
      };
      signal?.addEventListener('abort', cancel, { once: true });
      this.pending.set(id, {
        method,
        resolve: resolve as (result: unknown) => void,
        reject,
        settled: () => {
          clearTimeout(patience);
          signal?.removeEventListener('abort', cancel);
        },
      });
      try {
        this.post({ id, method, params });
      } catch (error) {
        this.settle(id)?.reject(
          new KernelError({
            code: 'badRequest',
            operation: method,
            message: error instanceof Error ? error.message : String(error),
          }),
        );
      }
    });
  }

  /** Listens to an event of the session. Returns what ends it. */
  on<E extends EventName>(event: E, listener: (params: Events[E]) => void): { dispose(): void } {
    const set = this.listeners.get(event) ?? new Set();
    this.listeners.set(event, set);
    set.add(listener as (params: never) => void);
    return { dispose: () => void set.delete(listener as (params: never) => void) };
  }

  /** Ends the session: the host releases everything of it. */
  dispose(): void {
    this.finish('the session was closed');
  }

  private post(message: unknown): void {
    this.stream.cork();
    for (const part of encodeFrame(message, MAX_REQUEST_BYTES)) this.stream.write(part);
    this.stream.uncork();
  }

  private settle(id: number): Pending | undefined {
    const pending = this.pending.get(id);
    this.pending.delete(id);
    pending?.settled();
    return pending;
  }

  private receive(frame: unknown): void {
    const message = frame as {
      id?: number;
      result?: unknown;
      error?: ProtocolError;
      event?: EventName;
      params?: unknown;
    };
    if (message.event !== undefined) {
      for (const listener of this.listeners.get(message.event) ?? []) listener(message.params as never);
    } else if (message.id === -1 && message.error) {
      this.finish(message.error.message);
    } else if (typeof message.id === 'number') {
      const pending = this.settle(message.id);
      if (message.error) pending?.reject(new KernelError(message.error));
      else pending?.resolve(message.result);
    }
  }

  private finish(reason: string): void {
    if (this.end !== undefined) return;
    this.end = reason;
    this.stream.destroy();
    for (const id of [...this.pending.keys()]) {
      const pending = this.settle(id);
      pending?.reject(hostGone(pending.method, reason));
    }
    this.announceEnd(reason);
  }
}

function cancelled(method: Method, more = ''): KernelError {
  return new KernelError({ code: 'cancelled', operation: method, message: `${method} was cancelled${more}` });
}

function hostGone(method: Method, reason: string): KernelError {
  return new KernelError({
    code: 'hostGone',
    operation: method,
    message: `The kernel host is gone, so "${method}" got no answer: ${reason}. What this session had loaded and attached has been removed from the kernel.`,
    hint: 'Run the command again: the host is started anew. If it ends again, see its output in the BPF Studio log.',
  });
}
