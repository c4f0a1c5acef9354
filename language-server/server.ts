/** Connects the features to an LSP connection. Nothing else knows that there is one. */
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import {
  CodeActionKind,
  CodeLensRefreshRequest,
  DidChangeConfigurationNotification,
  ErrorCodes,
  ResponseError,
  TextDocumentSyncKind,
  type Connection,
  type Diagnostic as LspDiagnostic,
  type InitializeParams,
  type TextDocumentContentChangeEvent,
} from 'vscode-languageserver';
import type { Parser } from 'web-tree-sitter';
import { TextDocument } from 'vscode-languageserver-textdocument';
import { loadParser } from '../toolchain/c/parser';
import { forgetClang } from '../toolchain/clang/discover';
import { cacheDirectory } from '../toolchain/clang/flags';
import { readBpfObject } from '../toolchain/elf/object';
import { codeLenses } from './features/code-lens';
import { completions } from './features/completion';
import { definition } from './features/definition';
import { fixActions } from './features/fixes';
import { toLspDiagnostics } from './features/diagnostics';
import { hover } from './features/hover';
import { documentSymbols } from './features/symbols';
import { verifierLog } from './features/verifier-log';
import { KernelLink } from './kernel-link';
import { BpfDocument } from './model/document';
import { Environment } from './model/environment';
import { editBetween, type Edit } from './model/track';
import {
  CompileDocument,
  DocumentStatus,
  HostChanged,
  TrustGranted,
  VerifierLog,
  VerifyNow,
  type CompileDocumentParams,
  type CompileDocumentResult,
  type HostChangedParams,
  type InitializationOptions,
  type VerifierLogParams,
  type VerifyNowParams,
} from './protocol';
import { Published } from './published';
import { readSettings } from './settings';

interface Open {
  text: TextDocument;
  bpf: BpfDocument;
}

/** Serves an editor until the connection ends. `distDirectory` holds the bundles and the WebAssembly files. */
export function serve(connection: Connection, distDirectory: string): { dispose(): Promise<void> } {
  const log = (line: string): void => connection.console.log(line);
  const documents = new Map<string, Open>();
  const published = new Published(
    (uri, diagnostics: LspDiagnostic[]) => void connection.sendDiagnostics({ uri, diagnostics }),
  );
  const kernel = new KernelLink({ distDirectory, log, onChange: verifyAll });
  const environment = new Environment(
    readSettings({}).settings,
    kernel,
    cacheDirectory(),
    distDirectory,
    log,
  );
  let parser: Parser;
  let client: InitializeParams['capabilities'] = {};
  let root = process.cwd();
  let ready = false;

  const events = {
    findings(document: BpfDocument): void {
      const { uri } = document;
      if (documents.get(uri)?.bpf === document) {
        published.set(uri, toLspDiagnostics(document.diagnostics, uri, document.path));
      }
    },
    status(document: BpfDocument): void {
      if (documents.get(document.uri)?.bpf !== document || !document.isBpf) return;
      void connection.sendNotification(DocumentStatus, document.status);
      if (client.workspace?.codeLens?.refreshSupport) {
        connection.sendRequest(CodeLensRefreshRequest.type).catch(() => {
          // The editor may be closing; it asks for lenses itself when it shows the document again.
        });
      }
    },
  };

  connection.onInitialize(async (params) => {
    // Before anything else, so that every later message finds it and is handled in its turn.
    parser = await loadParser();
    client = params.capabilities;
    const options = (params.initializationOptions ?? {}) as InitializationOptions;
    const { settings, problems } = readSettings(options);
    problems.forEach(log);
    environment.settings = settings;
    environment.trusted = options.trusted !== false;
    if (options.hostSocket !== undefined) kernel.useSocket(options.hostSocket);
    else kernel.useTarget(settings.target);
    const folder = params.workspaceFolders?.[0]?.uri ?? params.rootUri;
    if (folder?.startsWith('file:')) root = fileURLToPath(folder);
    return {
      serverInfo: { name: 'BPF Studio' },
      capabilities: {
        textDocumentSync: { openClose: true, change: TextDocumentSyncKind.Incremental, save: true },
        codeActionProvider: { codeActionKinds: [CodeActionKind.QuickFix] },
        codeLensProvider: {},
        documentSymbolProvider: true,
        hoverProvider: true,
        definitionProvider: true,
        completionProvider: { triggerCharacters: ['_', '"', '/', '&'] },
      },
    };
  });

  connection.onInitialized(() => {
    ready = true;
    if (client.workspace?.didChangeConfiguration?.dynamicRegistration) {
      const section = { section: 'bpf' };
      connection.client
        .register(DidChangeConfigurationNotification.type, section)
        .catch((error: unknown) => log(`settings will not be followed: ${String(error)}`));
    }
    if (client.workspace?.configuration) void followSettings();
  });

  connection.onDidChangeConfiguration(({ settings }) => {
    if (client.workspace?.configuration) void followSettings();
    else applySettings((settings as { bpf?: unknown } | null)?.bpf ?? settings);
  });

  async function followSettings(): Promise<void> {
    try {
      applySettings(await connection.workspace.getConfiguration('bpf'));
    } catch (error) {
      log(`the editor did not answer with its settings: ${String(error)}`);
    }
  }

  function applySettings(raw: unknown): void {
    if (raw === null || typeof raw !== 'object') return;
    const { settings, problems } = readSettings(raw);
    problems.forEach((problem) => connection.console.warn(problem));
    if (JSON.stringify(settings) === JSON.stringify(environment.settings)) return;
    environment.settings = settings;
    forgetClang();
    if (kernel.ownsHost) kernel.useTarget(settings.target);
    verifyAll();
  }

  function verifyAll(): void {
    if (!ready) return;
    for (const { bpf } of documents.values()) bpf.schedule();
  }

  connection.onDidOpenTextDocument(({ textDocument: { uri, languageId, version, text } }) => {
    documents.get(uri)?.bpf.close();
    const bpf = new BpfDocument(uri, pathOf(uri, root), text, version, parser, environment, events);
    documents.set(uri, { text: TextDocument.create(uri, languageId, version, text), bpf });
    if (!bpf.isBpf) return;
    events.findings(bpf);
    bpf.schedule();
  });

  connection.onDidChangeTextDocument(({ textDocument: { uri, version }, contentChanges }) => {
    const open = documents.get(uri);
    if (!open) return;
    const edits = contentChanges.map((change) => toEdit(open, change, contentChanges.length));
    TextDocument.update(open.text, contentChanges, version ?? open.text.version + 1);
    open.bpf.change(open.text.getText(), open.text.version, edits);
  });

  connection.onDidSaveTextDocument(({ textDocument: { uri } }) => {
    if (environment.settings.verify.when === 'onSave') void documents.get(uri)?.bpf.start(true);
  });

  connection.onDidCloseTextDocument(({ textDocument: { uri } }) => {
    documents.get(uri)?.bpf.close();
    documents.delete(uri);
    published.remove(uri);
  });

  /** A header or the flags of a build changed on disk. */
  connection.onDidChangeWatchedFiles(verifyAll);

  connection.onCodeAction(({ textDocument, range, context }) => {
    const bpf = documents.get(textDocument.uri)?.bpf;
    const wanted =
      context.only?.some((kind) => kind === '' || kind.startsWith(CodeActionKind.QuickFix)) ?? true;
    if (!bpf?.isBpf || !wanted) return [];
    const versioned = client.workspace?.workspaceEdit?.documentChanges === true;
    return fixActions(bpf, environment, range, context.diagnostics, versioned);
  });
  connection.onCodeLens(({ textDocument }) => {
    const bpf = documents.get(textDocument.uri)?.bpf;
    return bpf?.isBpf ? codeLenses(bpf.status) : [];
  });
  connection.onDocumentSymbol(({ textDocument }) => {
    const source = bpfSource(textDocument.uri);
    return source ? documentSymbols(source) : [];
  });
  connection.onDefinition(({ textDocument, position }) => {
    const source = bpfSource(textDocument.uri);
    return source && definition(source, textDocument.uri, position);
  });
  connection.onHover(async ({ textDocument, position }) => {
    const bpf = documents.get(textDocument.uri)?.bpf;
    const source = bpfSource(textDocument.uri);
    if (!bpf || !source) return undefined;
    const { args } = await environment.flags(bpf.path, bpf.text);
    const read = bpf.newestObject && readBpfObject(bpf.newestObject);
    const object = read?.ok ? read.value : undefined;
    return hover({ source, status: bpf.status, args, object }, position);
  });
  connection.onCompletion(async ({ textDocument, position }) => {
    const bpf = documents.get(textDocument.uri)?.bpf;
    if (!bpf || !bpfSource(textDocument.uri)) return undefined;
    const { args } = await environment.flags(bpf.path, bpf.text);
    const source = bpfSource(textDocument.uri);
    return source && completions(source, args, position);
  });

  connection.onNotification(HostChanged, ({ socket, reason }: HostChangedParams) =>
    kernel.useSocket(socket, reason),
  );
  connection.onNotification(TrustGranted, () => {
    environment.trusted = true;
    verifyAll();
  });
  connection.onRequest(VerifyNow, async (params: VerifyNowParams) => {
    const { bpf } = known(params);
    await bpf.start(true);
    await bpf.settled();
    return bpf.status;
  });
  connection.onRequest(
    CompileDocument,
    async (params: CompileDocumentParams): Promise<CompileDocumentResult> => {
      const result = await known(params).bpf.compiledObject();
      if ('problem' in result) return result;
      return { object: Buffer.from(result.object).toString('base64') };
    },
  );
  connection.onRequest(VerifierLog, async (params: VerifierLogParams) => {
    const { bpf } = known(params);
    if (!bpf.verification) {
      await bpf.start(true);
      await bpf.settled();
    }
    const session = await kernel.client();
    if (!('request' in session)) throw failure(session.message);
    const { verification, newestObject } = bpf;
    const result =
      verification && newestObject
        ? await verifierLog(session, verification, newestObject, bpf.path, params.program)
        : undefined;
    if (!result)
      throw failure(bpf.status.problem?.message ?? `There is no verdict on "${params.program}" yet.`);
    return result;
  });

  connection.onShutdown(() => dispose());
  connection.listen();
  return { dispose };

  async function dispose(): Promise<void> {
    for (const { bpf } of documents.values()) bpf.close();
    await kernel.dispose();
  }

  function bpfSource(uri: string): BpfDocument['source'] {
    const bpf = documents.get(uri)?.bpf;
    return bpf?.isBpf ? bpf.source : undefined;
  }

  function known(params: { uri: string } | undefined): Open {
    const open = documents.get(params?.uri ?? '');
    if (!open) throw failure(`The document "${params?.uri}" is not open.`);
    return open;
  }
}

function failure(message: string): ResponseError<void> {
  return new ResponseError(ErrorCodes.InvalidParams, message);
}

function toEdit(open: Open, change: TextDocumentContentChangeEvent, count: number): Edit {
  if ('range' in change) return { range: change.range, text: change.text };
  // Several changes of which one is the whole text: the texts between are not kept, so nothing is tracked.
  const before = count === 1 ? open.text.getText() : '';
  return editBetween(before, change.text);
}

/** Where the document is, or for one that was never saved, where it would be. */
function pathOf(uri: string, root: string): string {
  try {
    if (uri.startsWith('file:')) return fileURLToPath(uri);
  } catch {
    // A file URI of another machine or of a form Node does not take: treated like an unsaved document.
  }
  const name = decodeURIComponent(uri.replace(/^[\w+.-]+:/, '')).replaceAll('/', '_') || 'untitled';
  return path.join(root, name);
}
