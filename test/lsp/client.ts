/** A language client for tests: starts dist/language-server.js as an editor would and remembers what it says. */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  createMessageConnection,
  StreamMessageReader,
  StreamMessageWriter,
  type MessageConnection,
} from 'vscode-jsonrpc/node';
import type { CodeAction, CodeLens, Diagnostic } from 'vscode-languageserver-types';
import { PATIENCE_MS } from '../support/until';
import type { User } from '../support/user';
import {
  CompileDocument,
  DocumentStatus,
  type CompileDocumentResult,
  type DocumentStatusParams,
  type InitializationOptions,
} from '../../language-server/protocol';

export const root = path.resolve(import.meta.dirname, '../..');

export interface StartOptions {
  initializationOptions?: InitializationOptions;
  env?: NodeJS.ProcessEnv;
  /** Somebody else than who runs the tests, with a build of their own. */
  user?: Pick<User, 'uid' | 'gid' | 'env' | 'dist'>;
}

export class Client {
  readonly statuses = new Map<string, DocumentStatusParams>();
  readonly log: string[] = [];
  /** Every list of findings in the order it came. */
  readonly publications: { uri: string; version?: number; diagnostics: Diagnostic[] }[] = [];
  private readonly diagnosticsByUri = new Map<string, Diagnostic[]>();
  private readonly versions = new Map<string, number>();
  private readonly waiting = new Set<() => void>();
  ended: number | null | undefined;

  private constructor(
    readonly process: ChildProcess,
    readonly connection: MessageConnection,
  ) {}

  static async start({ initializationOptions = {}, env, user }: StartOptions = {}): Promise<Client> {
    const bundle = path.join(user?.dist ?? path.join(root, 'dist'), 'language-server.js');
    if (!existsSync(bundle)) throw new Error(`${bundle} is missing: run npm run build`);
    const child = spawn(process.execPath, [bundle, '--stdio'], {
      ...(user && { uid: user.uid, gid: user.gid }),
      env: { ...(user?.env ?? process.env), ...env },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const connection = createMessageConnection(
      new StreamMessageReader(child.stdout!),
      new StreamMessageWriter(child.stdin!),
    );
    const client = new Client(child, connection);
    child.on('exit', (status) => {
      client.ended = status;
      client.wake();
    });
    connection.onNotification(
      'textDocument/publishDiagnostics',
      (params: { uri: string; version?: number; diagnostics: Diagnostic[] }) => {
        client.publications.push(params);
        client.diagnosticsByUri.set(params.uri, params.diagnostics);
        client.wake();
      },
    );
    connection.onNotification(DocumentStatus, (status: DocumentStatusParams) => {
      client.statuses.set(status.uri, status);
      client.wake();
    });
    connection.onNotification('window/logMessage', ({ message }: { message: string }) => {
      client.log.push(message);
      client.wake();
    });
    connection.listen();
    await connection.sendRequest('initialize', {
      // A server of another user may not ask whether this process lives, and would take the refusal for a no.
      processId: user ? null : process.pid,
      rootUri: pathToFileURL(root).href,
      capabilities: { textDocument: { publishDiagnostics: { relatedInformation: true } } },
      initializationOptions,
    });
    await connection.sendNotification('initialized', {});
    return client;
  }

  async open(file: string, text: string, languageId = 'c'): Promise<string> {
    const uri = pathToFileURL(file).href;
    this.versions.set(uri, 1);
    this.statuses.delete(uri);
    await this.connection.sendNotification('textDocument/didOpen', {
      textDocument: { uri, languageId, version: 1, text },
    });
    return uri;
  }

  /** Replaces the whole text, or `range` of it. */
  change(uri: string, text: string, range?: Diagnostic['range']): Promise<number> {
    return this.changes(uri, [range ? { range, text } : { text }]);
  }

  /** Several changes at once, each of the text that the one before left. */
  async changes(
    uri: string,
    contentChanges: { range?: Diagnostic['range']; text: string }[],
  ): Promise<number> {
    const version = (this.versions.get(uri) ?? 0) + 1;
    this.versions.set(uri, version);
    await this.connection.sendNotification('textDocument/didChange', {
      textDocument: { uri, version },
      contentChanges,
    });
    return version;
  }

  async close(uri: string): Promise<void> {
    await this.connection.sendNotification('textDocument/didClose', { textDocument: { uri } });
  }

  diagnostics(uri: string): Diagnostic[] {
    return this.diagnosticsByUri.get(uri) ?? [];
  }

  hasDiagnostics(uri: string): boolean {
    return this.diagnosticsByUri.has(uri);
  }

  lenses(uri: string): Promise<CodeLens[]> {
    return this.connection.sendRequest('textDocument/codeLens', { textDocument: { uri } });
  }

  /** Code actions on a finding that change the text. */
  async fixes(uri: string, finding: Diagnostic): Promise<CodeAction[]> {
    const params = { textDocument: { uri }, range: finding.range, context: { diagnostics: [finding] } };
    const actions = await this.connection.sendRequest<CodeAction[]>('textDocument/codeAction', params);
    return actions.filter(({ edit }) => edit !== undefined);
  }

  /** The object of the document as it is now. */
  async object(uri: string): Promise<Uint8Array> {
    const result = await this.connection.sendRequest<CompileDocumentResult>(CompileDocument, { uri });
    if (result.object === undefined) throw new Error(result.problem?.message);
    return Buffer.from(result.object, 'base64');
  }

  /** The status of a version once the work on it is over. */
  async finished(
    uri: string,
    version = this.versions.get(uri)!,
    milliseconds?: number,
  ): Promise<DocumentStatusParams> {
    const isOver = (): boolean => {
      const status = this.statuses.get(uri);
      return status?.version === version && (status.phase === 'done' || status.phase === 'failed');
    };
    await this.until(`the work on version ${version}`, isOver, milliseconds);
    return this.statuses.get(uri)!;
  }

  /** Waits until something the server said makes `condition` true. */
  async until(what: string, condition: () => boolean, milliseconds = PATIENCE_MS): Promise<void> {
    const deadline = Date.now() + milliseconds;
    while (!condition()) {
      if (this.ended !== undefined) throw new Error(`the server ended while waiting for ${what}`);
      const left = deadline - Date.now();
      if (left <= 0) {
        throw new Error(`${what} did not come; log:\n${this.log.slice(-15).join('\n')}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(done, left);
        const { waiting } = this;
        function done(): void {
          clearTimeout(timer);
          waiting.delete(done);
          resolve();
        }
        waiting.add(done);
      });
    }
  }

  async stop(): Promise<void> {
    if (this.ended !== undefined) return;
    await this.connection.sendRequest('shutdown');
    await this.connection.sendNotification('exit');
    await this.until('the end', () => this.ended !== undefined).catch((error: unknown) => {
      if (this.ended === undefined) throw error;
    });
  }

  private wake(): void {
    for (const resolve of [...this.waiting]) resolve();
  }
}

/** Zero-based line of the only line that holds `marker`. */
export function lineWith(text: string, marker: string): number {
  const lines = text.split('\n').flatMap((line, number) => (line.includes(marker) ? [number] : []));
  if (lines.length !== 1) throw new Error(`${lines.length} lines hold ${marker}`);
  return lines[0]!;
}
