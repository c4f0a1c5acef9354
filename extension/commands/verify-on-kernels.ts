/**
 * *BPF: Verify on Kernels…*: the programs of the buffer on several kernels, as a table. Kernels in VMs are started for
 * it, side by side as far as the machine allows, and ended with it.
 */
import { randomBytes } from 'node:crypto';
import * as vscode from 'vscode';
import { identity, type MatrixKernel } from '../../kernel-matrix/choose';
import { vmsAtATime, type Phase } from '../../kernel-matrix/each-kernel';
import { verifyOnKernels, type ObjectRow } from '../../kernel-matrix/matrix';
import { errors, present, reporting } from '../errors';
import { cellText } from '../matrix/cell-document';
import { renderPage, type PageFinding, type PageMessage } from '../matrix/page';
import { explainerFor, kernelsForWindow, openForWindow } from '../matrix/sessions';
import type { Services } from '../services';
import { isProblem } from '../window-kernel/kernel';
import { activeSource } from './programs';

/** `bpf-matrix:/PROGRAM@RELEASE.bpflog` */
const SCHEME = 'bpf-matrix';
/** Key of the workspace's state: which kernels were chosen last. */
const CHOSEN = 'bpf.matrix.kernels';

/** What the page shows. */
interface Shown {
  uri: vscode.Uri;
  kernels: MatrixKernel[];
  row: ObjectRow;
  findings: PageFinding[];
}

export function activate(context: vscode.ExtensionContext, services: Services): void {
  const what = vscode.l10n.t('Verifying on several kernels');
  const renewed = new vscode.EventEmitter<vscode.Uri>();
  let panel: vscode.WebviewPanel | undefined;
  let shown: Shown | undefined;

  async function verify(uri: vscode.Uri, kernels: MatrixKernel[]): Promise<void> {
    const result = await run(uri, kernels, services);
    if (!result) return;
    shown = result;
    panel ??= createPanel();
    showPage(panel, result);
    panel.reveal(undefined, true);
    for (const { uri: open } of vscode.workspace.textDocuments)
      if (open.scheme === SCHEME) renewed.fire(open);
  }

  function createPanel(): vscode.WebviewPanel {
    const created = vscode.window.createWebviewPanel(
      'bpf.matrix',
      vscode.l10n.t('BPF Kernels'),
      { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true },
      { enableScripts: true, localResourceRoots: [] },
    );
    created.onDidDispose(() => (panel = undefined), undefined, context.subscriptions);
    created.webview.onDidReceiveMessage(
      reporting(what, services.log, (message: PageMessage) => obey(message)),
      undefined,
      context.subscriptions,
    );
    return created;
  }

  async function obey(message: PageMessage): Promise<void> {
    if (!shown) return;
    if (message.kind === 'again') return verify(shown.uri, shown.kernels);
    if (message.kind === 'place') {
      const found = shown.findings[Number(message.index)]?.diagnostic;
      if (!found) return;
      const { start, end } = found.range;
      const selection = new vscode.Range(start.line, start.character, end.line, end.character);
      // The finding is in the document itself, also when that was never saved, or in a header.
      const target = found.path === shown.uri.fsPath ? shown.uri : vscode.Uri.file(found.path);
      await vscode.window.showTextDocument(target, { selection, viewColumn: vscode.ViewColumn.One });
      return;
    }
    const path = `/${message.program}@${message.release}.bpflog`;
    const document = await vscode.workspace.openTextDocument(vscode.Uri.from({ scheme: SCHEME, path }));
    await vscode.window.showTextDocument(document, { viewColumn: vscode.ViewColumn.Active, preview: true });
  }

  const content: vscode.TextDocumentContentProvider = {
    onDidChange: renewed.event,
    provideTextDocumentContent(uri) {
      const [, program = '', release = ''] = /^\/(.*?)@(.*)\.bpflog$/.exec(uri.path) ?? [];
      if (!shown) return vscode.l10n.t('; Run "BPF: Verify on Kernels…" again: its result is gone.\n');
      const findings = shown.findings
        .filter(
          ({ diagnostic, kernels }) => diagnostic.data?.program === program && kernels.includes(release),
        )
        .map(({ diagnostic }) => diagnostic);
      return cellText(shown.row, program, release, findings);
    },
  };

  context.subscriptions.push(
    renewed,
    vscode.workspace.registerTextDocumentContentProvider(SCHEME, content),
    vscode.commands.registerCommand(
      'bpf.verifyOnKernels',
      reporting(what, services.log, async () => {
        if (!vscode.workspace.isTrusted) return present(errors.untrusted(what), services.log);
        const document = activeSource();
        if (!document) return present(errors.notABpfSource(), services.log);
        const kernels = await pickKernels(context, services);
        if (kernels) await verify(document.uri, kernels);
      }),
    ),
  );
}

/** The user's choice, which begins with the last one; undefined when they stepped back or there is none to choose. */
async function pickKernels(
  context: vscode.ExtensionContext,
  services: Services,
): Promise<MatrixKernel[] | undefined> {
  const atHand = kernelsForWindow(services);
  if (atHand.length === 0) {
    await present(errors.noKernelAtHand(), services.log);
    return undefined;
  }
  const last = context.workspaceState.get<string[]>(CHOSEN);
  const rows = [...atHand].reverse().map((kernel) => ({
    label: `Linux ${kernel.release}`,
    description: kernel.target.kind === 'local' ? vscode.l10n.t('this machine') : vscode.l10n.t('in a VM'),
    picked: last ? last.includes(identity(kernel)) : true,
    kernel,
  }));
  const chosen = await vscode.window.showQuickPick(rows, {
    title: vscode.l10n.t('Kernels to verify the programs of this file on'),
    placeHolder: vscode.l10n.t('“BPF: Download Kernel for VM” gets others'),
    canPickMany: true,
  });
  if (!chosen || chosen.length === 0) return undefined;
  const kernels = chosen.map(({ kernel }) => kernel);
  await context.workspaceState.update(CHOSEN, kernels.map(identity));
  return atHand.filter((kernel) => kernels.includes(kernel));
}

async function run(uri: vscode.Uri, kernels: MatrixKernel[], services: Services): Promise<Shown | undefined> {
  const document = await vscode.workspace.openTextDocument(uri);
  const text = document.getText();
  return vscode.window.withProgress(
    {
      location: vscode.ProgressLocation.Notification,
      title: vscode.l10n.t('Verifying on {0} kernels', kernels.length),
      cancellable: true,
    },
    async (progress, token) => {
      const abort = new AbortController();
      token.onCancellationRequested(() => abort.abort());
      progress.report({ message: vscode.l10n.t('compiling') });
      // The window's kernel gives the types to compile with.
      const own = await services.kernel.ensure();
      if (isProblem(own)) services.log.warn(`${own.message} ${own.hint}`);
      const compiled = await services.server.compile(uri);
      if (compiled.object === undefined) {
        void present(errors.doesNotCompile(compiled.problem), services.log);
        return undefined;
      }
      const object = Buffer.from(compiled.object, 'base64');
      const phases = new Map<MatrixKernel, Phase>();
      const [row] = await verifyOnKernels(kernels, [{ file: uri.fsPath, bytes: object }], {
        parallel: vmsAtATime(),
        signal: abort.signal,
        open: (kernel, signal) => openForWindow(kernel, services, signal),
        onPhase(kernel, phase) {
          phases.set(kernel, phase);
          progress.report({
            message: [...phases].map(([one, now]) => `${one.release}: ${say(now)}`).join(' · '),
          });
        },
      });
      if (abort.signal.aborted || !row) return undefined;
      return { uri, kernels, row, findings: findingsOf(row, object, uri.fsPath, text) };
    },
  );
}

function say(phase: Phase): string {
  switch (phase) {
    case 'starting':
      return vscode.l10n.t('starting');
    case 'working':
      return vscode.l10n.t('verifying');
    case 'done':
      return vscode.l10n.t('done');
    case 'failed':
      return vscode.l10n.t('failed');
  }
}

/** Each finding once, with the kernels that had it. */
function findingsOf(row: ObjectRow, object: Uint8Array, file: string, text: string): PageFinding[] {
  const explain = explainerFor(object, file, text);
  const found = new Map<string, PageFinding>();
  for (const { kernel, programs } of row.cells) {
    for (const diagnostic of programs.flatMap((verdict) => explain(verdict, kernel.release))) {
      const { path, range, code, message, data } = diagnostic;
      const key = JSON.stringify([path, range, code, message, data?.program, data?.kernelMessage]);
      const known = found.get(key) ?? { diagnostic, kernels: [] };
      known.kernels.push(kernel.release);
      found.set(key, known);
    }
  }
  return [...found.values()];
}

function showPage(panel: vscode.WebviewPanel, { uri, row, findings }: Shown): void {
  const name = vscode.workspace.asRelativePath(uri);
  panel.title = vscode.l10n.t('{0} on Kernels', name.replace(/^.*\//, ''));
  panel.webview.html = renderPage(
    row,
    findings,
    {
      title: vscode.l10n.t('{0} on {1} kernels', name, row.cells.length),
      compiled: vscode.l10n.t(
        'One object for all kernels, compiled from the text in the editor as for the kernel of this window.',
      ),
      program: vscode.l10n.t('program'),
      missing: vscode.l10n.t('Missing, by the BTF of each vmlinux'),
      findings: vscode.l10n.t('Findings'),
      again: vscode.l10n.t('Verify Again'),
      noAnswer: vscode.l10n.t('no answer'),
      accepted: vscode.l10n.t('accepted'),
      rejected: vscode.l10n.t('rejected'),
      notVerified: vscode.l10n.t('not verified'),
      on: vscode.l10n.t('on'),
    },
    randomBytes(16).toString('base64'),
  );
}
