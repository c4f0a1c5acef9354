/**
 * The language client: starts the server when the first BPF source is seen, tells it about the window's kernel and
 * about trust, and keeps what it said about each document.
 */
import * as vscode from 'vscode';
import {
  CodeLensRequest,
  LanguageClient,
  TransportKind,
  type LanguageClientOptions,
} from 'vscode-languageclient/node';
import {
  CompileDocument,
  DocumentStatus,
  HostChanged,
  TrustGranted,
  VerifierLog,
  VerifyNow,
  type CompileDocumentResult,
  type DocumentStatusParams,
  type HostChangedParams,
  type InitializationOptions,
  type VerifierLogParams,
  type VerifierLogResult,
} from '../language-server/protocol';
import { looksLikeBpfSource } from './bpf-source';
import { errors, present } from './errors';
import type { Kernel } from './window-kernel/kernel';
import { readSettings } from './settings';

export interface LanguageServer {
  /** What the server last said about a document, undefined when it does not take it for BPF. */
  status(uri: vscode.Uri): DocumentStatusParams | undefined;
  readonly onDidChangeStatus: vscode.Event<DocumentStatusParams>;
  verifyNow(uri: vscode.Uri): Promise<void>;
  verifierLog(parameters: VerifierLogParams): Promise<VerifierLogResult>;
  /** One of the requests of language-server/protocol.ts. Rejects with the server's reason. */
  request<Result>(method: string, parameters: object): Promise<Result>;
  /** The object of the open document's text as it is in the editor. */
  compile(uri: vscode.Uri): Promise<CompileDocumentResult>;
  /** Starts the server as soon as a BPF source is open. */
  watchForBpfSources(): void;
  stop(): Promise<void>;
}

interface Dependencies {
  log: vscode.LogOutputChannel;
  kernel: Kernel;
  installed(relativePath: string): string;
}

/** Milliseconds to wait for VS Code to ask for lenses; longer than its debounce, which is 250 for quick answers. */
const LENSES_DEBOUNCE = 400;
/** Times to remind it: at least, as not every question is of the editor, and at most, as with lenses off it never asks. */
const MIN_REMINDERS = 3;
const MAX_REMINDERS = 6;

/** C, and headers, which VS Code takes for C++. The server itself decides which of them are BPF. */
const documentSelector = [
  { scheme: 'file', language: 'c' },
  { scheme: 'untitled', language: 'c' },
  { scheme: 'file', language: 'cpp', pattern: '**/*.h' },
];

export function createLanguageServer(
  context: vscode.ExtensionContext,
  { log, kernel, installed }: Dependencies,
): LanguageServer {
  const statuses = new Map<string, DocumentStatusParams>();
  const statusChanged = new vscode.EventEmitter<DocumentStatusParams>();
  let starting: Promise<LanguageClient> | undefined;
  let announced: string | null = null;
  /** Documents whose state changed since VS Code last asked for their lenses, and how often it was reminded. */
  const staleLenses = new Map<string, number>();
  let reminder: NodeJS.Timeout | undefined;

  function client(): Promise<LanguageClient> {
    starting ??= start().catch((error: unknown) => {
      starting = undefined;
      const reason = error instanceof Error ? error.message : String(error);
      void present(errors.languageServer(reason), log);
      throw error;
    });
    return starting;
  }

  async function start(): Promise<LanguageClient> {
    const initializationOptions: InitializationOptions = {
      ...readSettings(),
      hostSocket: kernel.state.phase === 'running' ? kernel.state.kernel.socketPath : null,
      trusted: vscode.workspace.isTrusted,
    };
    const options: LanguageClientOptions = {
      documentSelector,
      initializationOptions,
      outputChannelName: 'BPF Studio Language Server',
      synchronize: {
        configurationSection: 'bpf',
        fileEvents: vscode.workspace.createFileSystemWatcher('**/{compile_commands.json,vmlinux.h}'),
      },
      middleware: {
        provideCodeLenses: (document, token, next) => {
          // Other extensions can ask as well, so some reminders are given in any case.
          const uri = document.uri.toString();
          if ((staleLenses.get(uri) ?? 0) >= MIN_REMINDERS) staleLenses.delete(uri);
          return next(document, token);
        },
        workspace: {
          configuration: (params, token, next) => {
            const answers = next(params, token);
            return Array.isArray(answers)
              ? answers.map((answer, i) => settingsFor(params.items[i], answer))
              : answers;
          },
        },
      },
    };
    const module = installed('dist/language-server.js');
    const server = { module, transport: TransportKind.stdio };
    const started = new LanguageClient(
      'bpf',
      'BPF Studio Language Server',
      { run: server, debug: { ...server, options: { execArgv: ['--nolazy', '--inspect=6017'] } } },
      options,
    );
    started.onNotification(DocumentStatus, (status: DocumentStatusParams) => {
      onStatus(status);
      staleLenses.set(vscode.Uri.parse(status.uri).toString(), 0);
      remindOfLenses(started);
    });
    await started.start();
    announced = initializationOptions.hostSocket ?? null;
    await announce(started);
    return started;
  }

  /** The server asks for the section `bpf`; flags and paths get their variables filled in on the way. */
  function settingsFor(item: { scopeUri?: string; section?: string } | undefined, answer: unknown): unknown {
    if (item?.section !== 'bpf') return answer;
    return readSettings(item.scopeUri ? vscode.Uri.parse(item.scopeUri) : undefined);
  }

  function onStatus(status: DocumentStatusParams): void {
    const uri = vscode.Uri.parse(status.uri);
    statuses.set(uri.toString(), status);
    statusChanged.fire(status);
    publishSources();
    // The server took the document for BPF, so from here on a kernel is needed.
    if (vscode.workspace.isTrusted && kernel.state.phase === 'off') void kernel.ensure();
  }

  /**
   * The server asks for a refresh with every change of state, and VS Code then waits a moment before it asks for the
   * lenses; when the editor loses the focus in that moment, it drops the refresh, and the lens would say "verifying…"
   * until the editor has the focus again. So whoever did not ask in time is told once more.
   */
  function remindOfLenses(running: LanguageClient, delay = LENSES_DEBOUNCE): void {
    clearTimeout(reminder);
    reminder = setTimeout(() => {
      for (const { document } of vscode.window.visibleTextEditors) {
        const uri = document.uri.toString();
        const reminders = staleLenses.get(uri) ?? MAX_REMINDERS;
        if (reminders >= MAX_REMINDERS) continue;
        staleLenses.set(uri, reminders + 1);
        const provider = running.getFeature(CodeLensRequest.method).getProvider(document);
        provider?.onDidChangeCodeLensEmitter.fire();
        // Where answers are slow VS Code waits longer, and every reminder makes it begin anew.
        remindOfLenses(running, 2 * delay);
      }
    }, delay);
  }

  /** For `when` clauses: `resource in bpf.sources` in menus, `bpf.isActiveSource` in the palette. */
  function publishSources(): void {
    const active = vscode.window.activeTextEditor?.document.uri.toString() ?? '';
    void vscode.commands.executeCommand('setContext', 'bpf.sources', [...statuses.keys()]);
    void vscode.commands.executeCommand('setContext', 'bpf.isActiveSource', statuses.has(active));
  }

  async function announce(to: LanguageClient): Promise<void> {
    const { state } = kernel;
    const socket = state.phase === 'running' ? state.kernel.socketPath : null;
    const reason =
      state.phase === 'failed'
        ? `${state.problem.message} ${state.problem.hint}`
        : state.phase === 'starting'
          ? state.step
          : undefined;
    if (socket === announced && socket !== null) return;
    announced = socket;
    const parameters: HostChangedParams = { socket, reason };
    await to.sendNotification(HostChanged, parameters);
  }

  function consider(document: vscode.TextDocument): void {
    if (starting || !vscode.languages.match(documentSelector, document)) return;
    if (looksLikeBpfSource(document.fileName, document.getText())) void client().catch(() => undefined);
  }

  context.subscriptions.push(
    statusChanged,
    kernel.onDidChange(() => {
      void starting?.then(announce).catch((error: unknown) => log.error(String(error)));
    }),
    vscode.workspace.onDidGrantWorkspaceTrust(() => {
      void starting?.then((running) => running.sendNotification(TrustGranted));
      if (statuses.size > 0) void kernel.ensure();
    }),
    vscode.window.onDidChangeActiveTextEditor(publishSources),
    vscode.workspace.onDidCloseTextDocument((document) => {
      staleLenses.delete(document.uri.toString());
      if (statuses.delete(document.uri.toString())) publishSources();
    }),
  );

  return {
    status: (uri) => statuses.get(uri.toString()),
    onDidChangeStatus: statusChanged.event,
    verifyNow: async (uri) => {
      await (await client()).sendRequest(VerifyNow, { uri: uri.toString() });
    },
    verifierLog: async (parameters) =>
      (await client()).sendRequest<VerifierLogResult>(VerifierLog, parameters),
    request: async <Result>(method: string, parameters: object) =>
      (await client()).sendRequest<Result>(method, parameters),
    compile: async (uri) =>
      (await client()).sendRequest<CompileDocumentResult>(CompileDocument, { uri: uri.toString() }),
    watchForBpfSources: () => {
      vscode.workspace.textDocuments.forEach(consider);
      context.subscriptions.push(
        vscode.workspace.onDidOpenTextDocument(consider),
        // An `#include <vmlinux.h>` that is typed into a new file; costs nothing once the server runs.
        vscode.workspace.onDidChangeTextDocument((event) => {
          if (!starting && event.contentChanges.some((change) => /[>"\n]/.test(change.text)))
            consider(event.document);
        }),
      );
    },
    stop: async () => {
      const running = await starting?.catch(() => undefined);
      await running?.stop();
    },
  };
}
