/**
 * The language status: which kernel speaks, what it can do, and what to do when it cannot. Its popup has one line for
 * each item and does not wrap, so every statement is an item of its own.
 */
import path from 'node:path';
import * as vscode from 'vscode';
import type { Ability } from '../../kernel/protocol';
import type { DocumentStatusParams } from '../../language-server/protocol';
import { notice } from '../notices';
import type { Services } from '../services';
import type { KernelState, RunningKernel } from './kernel';
import { wrap } from './wrap';

export function activate(context: vscode.ExtensionContext, { kernel, server }: Services): void {
  const item = vscode.languages.createLanguageStatusItem('bpf.kernel', SELECTOR);
  const more = new FurtherLines();
  item.name = vscode.l10n.t('BPF Kernel');
  const show = () => {
    const { state } = kernel;
    const uri = vscode.window.activeTextEditor?.document.uri;
    const problem = uri && server.status(uri)?.problem;
    const shown = problem && state.phase === 'running' ? describeProblem(problem) : describe(state);
    item.text = shown.text;
    item.detail = shown.detail;
    item.severity = shown.severity;
    item.busy = state.phase === 'starting';
    item.command = shown.command;
    more.show((shown.more ?? []).flatMap((line) => wrap(line, WIDTH)));
    const said = [shown.text, shown.detail, ...(shown.more ?? [])].filter((line) => line !== '');
    item.accessibilityInformation = { label: said.join('. ') };
    void vscode.commands.executeCommand('setContext', 'bpf.kernelRunning', state.phase === 'running');
  };
  show();
  context.subscriptions.push(
    item,
    more,
    kernel.onDidChange(show),
    server.onDidChangeStatus(show),
    vscode.window.onDidChangeActiveTextEditor(show),
    server.onDidChangeStatus(({ problem }) => {
      if (problem && problem.code in TOOL_PROBLEMS) void tell(context, problem);
    }),
    vscode.commands.registerCommand('bpf.cancelKernelStart', () => kernel.cancel()),
  );
}

const SELECTOR: vscode.DocumentSelector = [
  { language: 'c' },
  { language: 'bpf-log' },
  { scheme: 'file', language: 'cpp', pattern: '**/*.h' },
];

/** Characters that the popup shows of a line before it has to be scrolled sideways. */
const WIDTH = 72;

/** The items below the first, as many as there are lines. */
class FurtherLines implements vscode.Disposable {
  private items: vscode.LanguageStatusItem[] = [];

  show(lines: string[]): void {
    if (lines.join('\n') === this.items.map(({ text }) => text).join('\n')) return;
    this.dispose();
    this.items = lines.map((line, index) => {
      const item = vscode.languages.createLanguageStatusItem(`bpf.kernel.${index}`, SELECTOR);
      item.name = vscode.l10n.t('BPF Kernel');
      item.text = line;
      return item;
    });
  }

  dispose(): void {
    this.items.forEach((item) => item.dispose());
    this.items = [];
  }
}

type Problem = NonNullable<DocumentStatusParams['problem']>;

/** A tool that every file of the window lacks; worth one notice, since no verdict will come without it. */
const TOOL_PROBLEMS = { noClang: true, clangTooOld: true, clangBroken: true };
const told = new Set<string>();

/** Once a window, until the user wants to hear no more of it. */
function tell(context: vscode.ExtensionContext, { code, message, hint }: Problem): Promise<void> {
  if (told.has(message)) return Promise.resolve();
  told.add(message);
  return notice(context, code, [message, hint].join(' '), {
    title: vscode.l10n.t('Check Environment'),
    command: 'bpf.checkEnvironment',
  });
}

/** The kernel is there, and something else keeps the active file from a verdict. */
function describeProblem({ message, hint }: Problem): Shown {
  return {
    text: vscode.l10n.t('BPF: no verdict'),
    detail: '',
    more: hint ? [message, hint] : [message],
    severity: Failed,
    command: { title: vscode.l10n.t('Check Environment'), command: 'bpf.checkEnvironment' },
  };
}

interface Shown {
  text: string;
  detail: string;
  /** Further lines. */
  more?: string[];
  severity: vscode.LanguageStatusSeverity;
  command: vscode.Command;
}

const { Information, Warning, Error: Failed } = vscode.LanguageStatusSeverity;

function describe(state: KernelState): Shown {
  const select = { title: vscode.l10n.t('Select Kernel'), command: 'bpf.selectKernel' };
  switch (state.phase) {
    case 'off':
      return {
        text: vscode.l10n.t('BPF: no kernel yet'),
        detail: vscode.l10n.t('starts with the first BPF source'),
        severity: Information,
        command: select,
      };
    case 'untrusted':
      return {
        text: vscode.l10n.t('BPF: syntax only'),
        detail: vscode.l10n.t('workspace not trusted'),
        severity: Warning,
        command: { title: vscode.l10n.t('Manage Trust'), command: 'workbench.trust.manage' },
      };
    case 'starting':
      return {
        text: vscode.l10n.t('BPF: starting {0}', targetName(state.target)),
        detail: state.step,
        severity: Information,
        command: { title: vscode.l10n.t('Cancel'), command: 'bpf.cancelKernelStart' },
      };
    case 'failed':
      return {
        text: vscode.l10n.t('BPF: no kernel'),
        detail: '',
        more: [state.problem.message, state.problem.hint],
        severity: Failed,
        command: select,
      };
    case 'running':
      return {
        text: `Linux ${state.kernel.client.hello.kernel.release}`,
        detail: state.kernel.label.startsWith('vm ') ? vscode.l10n.t('in a VM') : state.kernel.label,
        more: abilities(state.kernel),
        severity:
          state.kernel.client.hello.capabilities.load.ok && !state.kernel.insteadOfLocal
            ? Information
            : Warning,
        command: select,
      };
  }
}

/** `bpf.target` in words; the VM's name is its kernel image's. */
export function targetName(target: string): string {
  if (target === '') return vscode.l10n.t('a kernel');
  if (target === 'local') return vscode.l10n.t('this machine');
  if (target === 'vm') return vscode.l10n.t('a VM');
  return vscode.l10n.t('{0} in a VM', imageName(target.slice('vm:'.length)));
}

/** What a person calls a kernel image: `6.12.107+deb13-amd64`, whether its file or its directory is named so. */
export function imageName(image: string): string {
  const name = path.basename(image);
  return /^(vmlinuz|bzImage)$/.test(name)
    ? path.basename(path.dirname(image))
    : name.replace(/^vmlinuz-/, '');
}

/** What the kernel can do, in few words; for what it cannot, a line each with the host's own reason. */
function abilities({ client, insteadOfLocal }: RunningKernel): string[] {
  const { capabilities } = client.hello;
  const named: [string, Ability][] = [
    [vscode.l10n.t('load and verify'), capabilities.load],
    [vscode.l10n.t('tracing'), capabilities.tracing],
    // What the kernel has matters to who may trace at all.
    ...(capabilities.tracing.ok
      ? ([[vscode.l10n.t('kprobes'), capabilities.kprobes]] satisfies [string, Ability][])
      : []),
    [vscode.l10n.t('XDP and tc'), capabilities.network],
    ['BTF', capabilities.btf],
  ];
  const able = named.filter(([, ability]) => ability.ok).map(([name]) => name);
  const unable = named.flatMap(([name, ability]) =>
    ability.ok ? [] : [vscode.l10n.t('No {0}: {1}', name, ability.reason)],
  );
  const list = [...able, ...(capabilities.jit ? ['JIT'] : [])].join(', ');
  const why = insteadOfLocal
    ? [vscode.l10n.t('Chosen because loading programs on this machine needs root')]
    : [];
  return [...(list === '' ? [] : [vscode.l10n.t('Can: {0}', list)]), ...unable, ...why];
}
