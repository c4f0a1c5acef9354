/**
 * *BPF: Show Linux 7.3's Own Report*: what a kernel that explains its rejections says of a program that the window's
 * older kernel rejected, as a read-only document beside the source. That kernel is kept running while it is asked.
 */
import * as vscode from 'vscode';
import type { MatrixKernel } from '../../kernel-matrix/choose';
import {
  givesReports,
  opinionText,
  reportingKernel,
  REPORTS_SINCE,
  secondOpinions,
} from '../../kernel-matrix/second-opinion';
import type { ProgramCommandArguments } from '../../language-server/protocol';
import { errors, present, reporting } from '../errors';
import { kernelsForWindow, openForWindow } from '../matrix/sessions';
import { WarmKernel } from '../matrix/warm-kernel';
import type { Services } from '../services';
import { isProblem } from '../window-kernel/kernel';
import { chooseProgram } from './programs';
import { asLens } from './run';

/** `bpf-opinion:/PROGRAM.txt?SOURCE-URI` */
const SCHEME = 'bpf-opinion';
/** Milliseconds for which a look at the kernels on this machine holds; code actions are asked for all the time. */
const LOOK_HOLDS = 30_000;

type Published = vscode.Diagnostic & { data?: { program?: string; kernel?: string; kernelMessage?: string } };

export function activate(context: vscode.ExtensionContext, services: Services): void {
  const what = vscode.l10n.t('Asking for a second opinion');
  const abort = new AbortController();
  const warm = new WarmKernel((kernel) => openForWindow(kernel, services, abort.signal));
  const texts = new Map<string, string>();
  const renewed = new vscode.EventEmitter<vscode.Uri>();
  let look: { at: number; kernel: MatrixKernel | undefined } | undefined;
  const reporting73 = (): MatrixKernel | undefined => {
    if (!look || Date.now() - look.at > LOOK_HOLDS) {
      look = { at: Date.now(), kernel: reportingKernel(kernelsForWindow(services)) };
    }
    return look.kernel;
  };

  async function show(lens?: ProgramCommandArguments): Promise<void> {
    if (!vscode.workspace.isTrusted) return present(errors.untrusted(what), services.log);
    const kernel = reporting73();
    if (!kernel) return present(errors.noReportingKernel(REPORTS_SINCE), services.log);
    const chosen = await chooseProgram(services, lens, vscode.l10n.t('Program to ask a second opinion on'));
    if (!chosen) return;
    const text = await ask(kernel, chosen.uri, chosen.program.name);
    if (text === undefined) return;
    const path = `/${chosen.program.name} on Linux ${kernel.release}.txt`;
    const uri = vscode.Uri.from({ scheme: SCHEME, path, query: chosen.uri.toString() });
    texts.set(uri.toString(), text);
    renewed.fire(uri);
    await vscode.window.showTextDocument(await vscode.workspace.openTextDocument(uri), {
      viewColumn: vscode.ViewColumn.Beside,
      preserveFocus: true,
      preview: true,
    });
  }

  function ask(kernel: MatrixKernel, source: vscode.Uri, program: string): Thenable<string | undefined> {
    const title = vscode.l10n.t('Asking Linux {0} about {1}', kernel.release, program);
    const location = vscode.ProgressLocation.Notification;
    return vscode.window.withProgress({ location, title, cancellable: true }, async (_progress, token) => {
      const stop = new AbortController();
      token.onCancellationRequested(() => stop.abort());
      const compiled = await services.server.compile(source);
      if (compiled.object === undefined) {
        void present(errors.doesNotCompile(compiled.problem), services.log);
        return undefined;
      }
      // A start goes on when it is cancelled here: the next question finds the kernel running.
      const client = await Promise.race([warm.client(kernel), cancelled(token)]);
      if (client === undefined || stop.signal.aborted) return undefined;
      if (isProblem(client)) {
        void present(errors.target(client), services.log);
        return undefined;
      }
      const object = Buffer.from(compiled.object, 'base64');
      const opinion = (await secondOpinions(client, object, [program], stop.signal)).get(program);
      return opinion && `${opinionText(opinion)}\n${ours(source, program)}`;
    });
  }

  const codeActions: vscode.CodeActionProvider = {
    provideCodeActions: (document, range) => {
      const rejected = verifierFindings(document.uri).find((one) => one.range.intersection(range));
      const { program, kernel } = rejected?.data ?? {};
      if (!rejected || program === undefined || kernel === undefined || givesReports(kernel)) return [];
      const other = reporting73();
      if (!other) return [];
      const version = /^\d+\.\d+/.exec(other.release)?.[0] ?? other.release;
      const title = vscode.l10n.t("Show Linux {0}'s own report on {1}", version, program);
      const action = new vscode.CodeAction(title, vscode.CodeActionKind.QuickFix);
      const lens: ProgramCommandArguments = { uri: document.uri.toString(), program };
      action.command = { title, command: 'bpf.secondOpinion', arguments: [lens] };
      action.diagnostics = [rejected];
      return [action];
    },
  };

  context.subscriptions.push(
    renewed,
    warm,
    { dispose: () => abort.abort() },
    vscode.workspace.registerTextDocumentContentProvider(SCHEME, {
      onDidChange: renewed.event,
      provideTextDocumentContent: (uri) => texts.get(uri.toString()),
    }),
    vscode.workspace.onDidCloseTextDocument(({ uri }) => texts.delete(uri.toString())),
    vscode.languages.registerCodeActionsProvider({ language: 'c' }, codeActions, {
      providedCodeActionKinds: [vscode.CodeActionKind.QuickFix],
    }),
    vscode.commands.registerCommand(
      'bpf.secondOpinion',
      reporting(what, services.log, (lens?: unknown) => show(asLens(lens))),
    ),
  );
}

function cancelled(token: vscode.CancellationToken): Promise<undefined> {
  return new Promise((resolve) => token.onCancellationRequested(() => resolve(undefined)));
}

/** Published diagnostics that a verifier's words are in; what VS Code hands to providers has lost `data`. */
function verifierFindings(uri: vscode.Uri): Published[] {
  const all = vscode.languages.getDiagnostics(uri) as Published[];
  return all.filter(({ data }) => data?.program !== undefined);
}

/** Our own explanation of the same program, below the other kernel's. */
function ours(source: vscode.Uri, program: string): string {
  const findings = verifierFindings(source).filter(({ data }) => data?.program === program);
  const lines = findings.flatMap(({ message, range, data, relatedInformation }) => [
    '',
    vscode.l10n.t('BPF Studio, from the log of Linux {0}:', data?.kernel ?? '?'),
    '',
    `  ${vscode.l10n.t('line {0}', range.start.line + 1)}: ${message}`,
    ...(relatedInformation ?? []).map(
      (one) => `  ${vscode.l10n.t('line {0}', one.location.range.start.line + 1)}: ${one.message}`,
    ),
    ...(data?.kernelMessage ? ['', `  ${data.kernelMessage.replaceAll('\n', '\n  ')}`] : []),
  ]);
  return lines.length > 0 ? `\n${'─'.repeat(60)}\n${lines.join('\n')}\n` : '';
}
