/** Connects the features to an LSP connection. Nothing else knows that there is one. */
import { fileURLToPath } from 'node:url';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import {
  CodeLensRefreshRequest,
  DidChangeConfigurationNotification,
  InlayHintRefreshRequest,
  type Connection,
  type InitializeParams,
  type TextDocumentContentChangeEvent,
} from 'vscode-languageserver';
import type { Parser } from 'web-tree-sitter';
import { TextDocument } from 'vscode-languageserver-textdocument';
import { loadParser } from '../toolchain/c/parser';
import { forgetClang } from '../toolchain/clang/discover';
import { cacheDirectory } from '../toolchain/clang/flags';
import { toLspDiagnostics } from './features/diagnostics';
import { KernelLink } from './kernel-link';
import { moveHints } from './features/inlay-hints';
import { BpfDocument } from './model/document';
import { Environment } from './model/environment';
import { stopAsking } from './model/knowledge';
import { editBetween, type Edit } from './model/track';
import {
  DocumentStatus,
  HostChanged,
  TrustGranted,
  type HostChangedParams,
  type InitializationOptions,
} from './protocol';
import { installedPages } from './pages';
import { Published } from './published';
import { capabilities, requests } from './requests';
import type { Session } from './session';
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
    (uri, diagnostics, version) => void connection.sendDiagnostics({ uri, version, diagnostics }),
  );
  const kernel = new KernelLink({ distDirectory, log, onChange: verifyAll });
  const pages = installedPages(distDirectory, log);
  const environment = new Environment(
    readSettings({}).settings,
    kernel,
    cacheDirectory(),
    distDirectory,
    log,
  );
  const session: Session = {
    get client() {
      return client;
    },
    environment,
    kernel,
    published,
    document: (uri) => documents.get(uri)?.bpf,
  };
  let parser: Parser;
  let client: InitializeParams['capabilities'] = {};
  let root = process.cwd();
  let ready = false;

  const events = {
    findings(document: BpfDocument): void {
      const { uri } = document;
      if (documents.get(uri)?.bpf === document) {
        published.set(
          uri,
          document.version,
          toLspDiagnostics(document.diagnostics, { uri, path: document.path, pages }),
        );
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
      if (environment.settings.inlayHints.ranges && document.status.phase === 'done') refreshHints();
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
      capabilities,
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
    const toggled = settings.inlayHints.ranges !== environment.settings.inlayHints.ranges;
    environment.settings = settings;
    if (toggled) refreshHints();
    forgetClang();
    if (kernel.ownsHost) kernel.useTarget(settings.target);
    verifyAll();
  }

  /** The editor asks for hints again; by itself it does so only after edits. */
  function refreshHints(): void {
    if (!client.workspace?.inlayHint?.refreshSupport) return;
    connection.sendRequest(InlayHintRefreshRequest.type).catch(() => {
      // The editor may be closing.
    });
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
    void rememberSaved(bpf);
    bpf.schedule();
  });

  connection.onDidChangeTextDocument(({ textDocument: { uri, version }, contentChanges }) => {
    const open = documents.get(uri);
    if (!open) return;
    const edits = contentChanges.map((change) => toEdit(open, change, contentChanges.length));
    TextDocument.update(open.text, contentChanges, version ?? open.text.version + 1);
    stopAsking(open.bpf);
    moveHints(open.bpf, edits);
    open.bpf.change(open.text.getText(), open.text.version, edits);
  });

  connection.onDidSaveTextDocument(({ textDocument: { uri } }) => {
    documents.get(uri)?.bpf.saved();
    if (environment.settings.verify.when === 'onSave') void documents.get(uri)?.bpf.start(true);
  });

  connection.onDidCloseTextDocument(({ textDocument: { uri } }) => {
    documents.get(uri)?.bpf.close();
    documents.delete(uri);
    published.remove(uri);
  });

  /** A header or the flags of a build changed on disk. */
  connection.onDidChangeWatchedFiles(verifyAll);

  for (const [method, answer] of Object.entries(requests)) {
    connection.onRequest(method, (params: unknown, token) => answer(session, params as never, token));
  }

  connection.onNotification(HostChanged, ({ socket, reason }: HostChangedParams) =>
    kernel.useSocket(socket, reason),
  );
  connection.onNotification(TrustGranted, () => {
    environment.trusted = true;
    verifyAll();
  });

  connection.onShutdown(() => dispose());
  connection.listen();
  return { dispose };

  async function dispose(): Promise<void> {
    for (const { bpf } of documents.values()) bpf.close();
    await kernel.dispose();
  }
}

/** An editor may open a document with changes that it kept, so what is saved stands on the disk alone. */
async function rememberSaved(bpf: BpfDocument): Promise<void> {
  if (!bpf.uri.startsWith('file:')) return;
  try {
    bpf.saved(await readFile(bpf.path, 'utf8'));
  } catch {
    // It was never saved, or cannot be read: then there is nothing to compare with.
  }
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
