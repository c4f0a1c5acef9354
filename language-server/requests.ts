/**
 * What the server answers, request by request. A feature is a function in features/ and a line in {@link requests};
 * what an editor has to know of it beforehand is a line in {@link capabilities}.
 */
import type {
  CancellationToken,
  CodeActionParams,
  CodeLensParams,
  CompletionParams,
  DefinitionParams,
  DocumentSymbolParams,
  HoverParams,
  InlayHintParams,
  ServerCapabilities,
} from 'vscode-languageserver';
import { CodeActionKind, TextDocumentSyncKind } from 'vscode-languageserver';
import { codeActions, wantsQuickFixes } from './features/code-actions';
import { codeLenses } from './features/code-lens';
import { completions } from './features/completion';
import { definition } from './features/definition';
import { failingPath } from './features/failing-path';
import { fixActions } from './features/fixes';
import { hover, withKnowledge } from './features/hover';
import { inlayHints } from './features/inlay-hints';
import { documentSymbols } from './features/symbols';
import { verifierCosts } from './features/verifier-costs';
import { verifierKnowledge } from './features/verifier-knowledge';
import { verifierLog } from './features/verifier-log';
import { CompileDocument, FailingPath, VerifierCosts, VerifierLog, VerifyNow } from './protocol';
import type {
  CompileDocumentParams,
  CompileDocumentResult,
  FailingPathParams,
  VerifierCostsParams,
  VerifierLogParams,
  VerifyNowParams,
} from './protocol';
import { bpfDocument, flagsOf, objectOf, requireDocument, type Session } from './session';

export const capabilities: ServerCapabilities = {
  textDocumentSync: { openClose: true, change: TextDocumentSyncKind.Incremental, save: true },
  codeActionProvider: { codeActionKinds: [CodeActionKind.QuickFix] },
  codeLensProvider: {},
  completionProvider: { triggerCharacters: ['_', '"', '/', '&'] },
  definitionProvider: true,
  documentSymbolProvider: true,
  hoverProvider: true,
  inlayHintProvider: true,
};

/** Answers a request; what it throws is the editor's answer. */
type Handler = (session: Session, params: never, token: CancellationToken) => unknown;

/** By method. Of a document that is not BPF the standard ones know nothing. */
export const requests: Record<string, Handler> = {
  'textDocument/codeAction': async (session, params: CodeActionParams) => {
    if (!wantsQuickFixes(params)) return [];
    const open = bpfDocument(session, params.textDocument.uri);
    const versioned = session.client.workspace?.workspaceEdit?.documentChanges === true;
    const { range, context } = params;
    const fixes = open
      ? await fixActions(open.bpf, session.environment, range, context.diagnostics, versioned)
      : [];
    return [...fixes, ...codeActions(session, params)];
  },
  'textDocument/codeLens': (session, { textDocument }: CodeLensParams) => {
    const open = bpfDocument(session, textDocument.uri);
    return open ? codeLenses(open.bpf.status) : [];
  },
  'textDocument/completion': async (session, { textDocument, position }: CompletionParams) => {
    const open = bpfDocument(session, textDocument.uri);
    if (!open) return null;
    const flags = await flagsOf(session, open.bpf);
    // The text may have changed meanwhile.
    const source = bpfDocument(session, textDocument.uri)?.source;
    return source ? completions(source, flags, position) : null;
  },
  'textDocument/definition': (session, { textDocument, position }: DefinitionParams) => {
    const open = bpfDocument(session, textDocument.uri);
    return (open && definition(open.source, textDocument.uri, position)) ?? null;
  },
  'textDocument/documentSymbol': (session, { textDocument }: DocumentSymbolParams) => {
    const open = bpfDocument(session, textDocument.uri);
    return open ? documentSymbols(open.source) : [];
  },
  'textDocument/hover': async (session, { textDocument, position }: HoverParams) => {
    const open = bpfDocument(session, textDocument.uri);
    if (!open) return null;
    const { bpf, source } = open;
    const args = await flagsOf(session, bpf);
    const about = hover({ source, status: bpf.status, args, object: objectOf(bpf) }, position);
    const known = await verifierKnowledge(session, bpf, position);
    return withKnowledge(about, known) ?? null;
  },
  'textDocument/inlayHint': (session, params: InlayHintParams) => inlayHints(session, params),

  [VerifyNow]: async (session, params: VerifyNowParams) => {
    const bpf = requireDocument(session, params);
    await bpf.start(true, true);
    await bpf.settled();
    return bpf.status;
  },
  [CompileDocument]: async (session, params: CompileDocumentParams): Promise<CompileDocumentResult> => {
    const result = await requireDocument(session, params).compiledObject();
    if ('problem' in result) return result;
    return { object: Buffer.from(result.object).toString('base64') };
  },
  [VerifierLog]: (session, params: VerifierLogParams) => verifierLog(session, params),
  [FailingPath]: (session, params: FailingPathParams) => failingPath(session, params),
  [VerifierCosts]: (session, params: VerifierCostsParams) => verifierCosts(session, params),
};
