/** A DAP client over dist/debug-adapter.js, as small as tests need it. Every wait is bounded and says what it missed. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { DebugProtocol } from '@vscode/debugprotocol';
import { clangAtHand } from '../support/clang';
import { PATIENCE_MS } from '../support/until';
import type { User } from '../support/user';
import { needsKernelFor } from './old-kernels';

const DIST = path.resolve(import.meta.dirname, '../../dist');

export interface DapError {
  message: string;
  id: number;
  showUser: boolean;
}

export class DapClient {
  readonly events: DebugProtocol.Event[] = [];
  /** How many answers each request has had, by its sequence number. */
  readonly answers = new Map<number, number>();
  private readonly waiting: (() => void)[] = [];
  private readonly pending = new Map<number, (response: DebugProtocol.Response) => void>();
  private seq = 1;
  private buffer = Buffer.alloc(0);
  stderr = '';
  readonly exited: Promise<number | null>;

  private constructor(readonly process: ChildProcess) {
    process.stdout!.on('data', (chunk: Buffer) => this.receive(chunk));
    process.stderr!.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()));
    // A test may write to an adapter that has just ended.
    process.stdin!.on('error', () => {});
    this.exited = new Promise((resolve) => process.on('exit', (status) => resolve(status)));
  }

  /** With `user`, as somebody else than who runs the tests, from a build of their own. */
  static start(user?: Pick<User, 'uid' | 'gid' | 'env' | 'dist'>): DapClient {
    const adapter = path.join(user?.dist ?? DIST, 'debug-adapter.js');
    const as = user && { uid: user.uid, gid: user.gid, env: user.env };
    return new DapClient(spawn(process.execPath, [adapter], { stdio: 'pipe', ...as }));
  }

  /** A client that has said what it can. */
  static async initialized(user?: Parameters<typeof DapClient.start>[0]): Promise<DapClient> {
    const client = DapClient.start(user);
    await client.request('initialize', {
      adapterID: 'bpf',
      pathFormat: 'path',
      supportsInvalidatedEvent: true,
      supportsVariablePaging: true,
    });
    await client.event('initialized');
    return client;
  }

  /** Launches or attaches and waits for the stop that follows. */
  static async started(
    request: 'launch' | 'attach',
    configuration: Record<string, unknown>,
    { user }: { user?: User } = {},
  ): Promise<DapClient> {
    const client = await DapClient.initialized(user);
    try {
      const answer = client.request(request, configuration);
      await Promise.all([answer, client.request('configurationDone')]);
      await client.event('stopped');
      return client;
    } catch (error) {
      await client.close();
      throw error;
    }
  }

  send(message: object): void {
    const json = JSON.stringify(message);
    this.process.stdin!.write(`Content-Length: ${Buffer.byteLength(json)}\r\n\r\n${json}`);
  }

  /** The response's body; rejects with a {@link DapError}. */
  async request<T = Record<string, unknown>>(command: string, args?: unknown): Promise<T> {
    const seq = this.seq++;
    const response = new Promise<DebugProtocol.Response>((resolve) => this.pending.set(seq, resolve));
    this.send({ seq, type: 'request', command, ...(args === undefined ? {} : { arguments: args }) });
    const gone = this.exited.then((status) => {
      throw new Error(`the adapter exited with ${status} before it answered ${command}`);
    });
    const missed = () => `no response to ${command}; stderr: ${this.stderr}`;
    const answered = await bounded(Promise.race([response, gone]), missed);
    if (answered.success) return answered.body as T;
    const error = answered.body?.error as { id: number; showUser: boolean } | undefined;
    throw Object.assign(new Error(answered.message), { id: error?.id, showUser: error?.showUser });
  }

  /** The sequence number that the next request will have, for cancelling it. */
  get nextSeq(): number {
    return this.seq;
  }

  /** The first event of that name, from `from` on, that `accept`s; waits for it. */
  async event(
    name: string,
    accept: (body: Record<string, unknown>) => boolean = () => true,
    from = 0,
  ): Promise<Record<string, unknown>> {
    const find = () =>
      this.events
        .slice(from)
        .find((event) => event.event === name && accept((event.body ?? {}) as Record<string, unknown>));
    const wait = async () => {
      for (;;) {
        const found = find();
        if (found) return (found.body ?? {}) as Record<string, unknown>;
        await new Promise<void>((resolve) => this.waiting.push(resolve));
      }
    };
    return bounded(wait(), () => `no event ${name}; console:\n${this.console}\nstderr: ${this.stderr}`);
  }

  /** What the Debug Console shows. */
  get console(): string {
    return this.events
      .filter((event) => event.event === 'output')
      .map((event) => (event.body as { output: string }).output)
      .join('');
  }

  /** What the Debug Console draws as plain text (`stdout`), as a warning (`console`) or as an error (`stderr`). */
  printed(category: 'stdout' | 'console' | 'stderr'): string {
    return this.events
      .filter(
        ({ event, body }) => event === 'output' && (body as { category?: string }).category === category,
      )
      .map(({ body }) => (body as { output: string }).output)
      .join('');
  }

  async consoleLine(pattern: RegExp): Promise<void> {
    if (pattern.test(this.console)) return;
    await this.event('output', () => pattern.test(this.console));
  }

  async scope(name: string): Promise<number> {
    const { threads } = await this.request<DebugProtocol.ThreadsResponse['body']>('threads');
    const stack = await this.request<DebugProtocol.StackTraceResponse['body']>('stackTrace', {
      threadId: threads[0]!.id,
    });
    const { scopes } = await this.request<DebugProtocol.ScopesResponse['body']>('scopes', {
      frameId: stack.stackFrames[0]!.id,
    });
    const scope = scopes.find((candidate) => candidate.name === name);
    if (!scope) throw new Error(`no scope ${name}`);
    return scope.variablesReference;
  }

  async variables(reference: number, range: object = {}): Promise<DebugProtocol.Variable[]> {
    const body = await this.request<DebugProtocol.VariablesResponse['body']>('variables', {
      variablesReference: reference,
      ...range,
    });
    return body.variables;
  }

  /** The row reached by names from a scope: `row('Maps', 'counts', '[17]')`. */
  async row(scope: string, ...names: string[]): Promise<DebugProtocol.Variable> {
    let reference = await this.scope(scope);
    let found: DebugProtocol.Variable | undefined;
    for (const name of names) {
      const rows = await this.variables(reference);
      found = rows.find((row) => row.name === name);
      if (!found) throw new Error(`no row ${name} among ${rows.map((row) => row.name).join(', ')}`);
      reference = found.variablesReference;
    }
    return found!;
  }

  /** Rows below a name as `name = value` lines. */
  async tree(scope: string, ...names: string[]): Promise<string[]> {
    const { variablesReference } = await this.row(scope, ...names);
    return (await this.variables(variablesReference)).map(({ name, value }) => `${name} = ${value}`);
  }

  /** Ends the session as a client does; resolves when the process is gone. */
  async close(): Promise<void> {
    if (this.process.exitCode === null) {
      await this.request('disconnect').catch(() => {});
      await bounded(this.exited, () => 'the adapter did not exit');
    }
  }

  private receive(chunk: Buffer): void {
    this.buffer = Buffer.concat([this.buffer, chunk]);
    for (;;) {
      const header = /Content-Length: (\d+)\r\n\r\n/.exec(this.buffer.toString('latin1'));
      if (!header) return;
      const start = header.index + header[0].length;
      const length = Number(header[1]);
      if (this.buffer.length < start + length) return;
      const message = JSON.parse(
        this.buffer.subarray(start, start + length).toString(),
      ) as DebugProtocol.ProtocolMessage;
      this.buffer = this.buffer.subarray(start + length);
      if (message.type === 'event') {
        this.events.push(message as DebugProtocol.Event);
        for (const wake of this.waiting.splice(0)) wake();
      } else if (message.type === 'response') {
        const response = message as DebugProtocol.Response;
        this.answers.set(response.request_seq, (this.answers.get(response.request_seq) ?? 0) + 1);
        this.pending.get(response.request_seq)?.(response);
        this.pending.delete(response.request_seq);
      }
    }
  }
}

async function bounded<T>(work: Promise<T>, missed: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(missed())), PATIENCE_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Path of a fixture; skips the test where the target's kernel is too old for it. */
export function fixture(name: string): string {
  needsKernelFor(name);
  return path.resolve(import.meta.dirname, '../fixtures/debug', name);
}

/** One-based line of a fixture that carries a marker. */
export function markedLine(name: string, marker: string): number {
  const line = readFileSync(fixture(name), 'utf8')
    .split('\n')
    .findIndex((text) => text.includes(marker));
  if (line < 0) throw new Error(`${name} has no ${marker}`);
  return line + 1;
}

const clang = await clangAtHand();
const objects = mkdtempSync(path.join(os.tmpdir(), 'bpfs-objects-'));

/** A fixture compiled once, for tests that are not about compiling; `-g0` leaves out BTF. */
export function objectOf(name: string, debug: '-g' | '-g0' = '-g'): string {
  const object = path.join(objects, name.replace(/\.c$/, `${debug}.o`));
  if (existsSync(object)) return object;
  const multiarch = `/usr/include/${process.arch === 'x64' ? 'x86_64' : 'aarch64'}-linux-gnu`;
  const headers = path.resolve(import.meta.dirname, '../../dist/include');
  const machine = `-D__TARGET_ARCH_${process.arch === 'x64' ? 'x86' : 'arm64'}`;
  const args = ['-O2', debug, '-target', 'bpf', machine, '-I', headers, '-idirafter', multiarch];
  execFileSync(clang, [...args, '-c', fixture(name), '-o', object]);
  return object;
}

/** A tool of LLVM on PATH, by its own name or with a version behind it, the newest first. */
export function tool(name: string): string {
  const directories = (process.env.PATH ?? '').split(':');
  const names = [name, ...Array.from({ length: 17 }, (_, i) => `${name}-${30 - i}`)];
  return (
    names.find((found) => directories.some((directory) => existsSync(path.join(directory, found)))) ?? name
  );
}
