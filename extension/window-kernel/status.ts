/** The one language status item: which kernel speaks, what it can do, and what to do when it cannot. */
import path from 'node:path';
import * as vscode from 'vscode';
import type { Ability } from '../../kernel/protocol';
import type { Services } from '../services';
import type { KernelState, RunningKernel } from './kernel';

export function activate(context: vscode.ExtensionContext, { kernel }: Services): void {
  const item = vscode.languages.createLanguageStatusItem('bpf.kernel', [
    { language: 'c' },
    { language: 'bpf-log' },
    { scheme: 'file', language: 'cpp', pattern: '**/*.h' },
  ]);
  item.name = vscode.l10n.t('BPF Kernel');
  const show = (state: KernelState) => {
    const shown = describe(state);
    item.text = shown.text;
    item.detail = shown.detail;
    item.severity = shown.severity;
    item.busy = state.phase === 'starting';
    item.command = shown.command;
    item.accessibilityInformation = { label: `${shown.text}. ${shown.detail}` };
    void vscode.commands.executeCommand('setContext', 'bpf.kernelRunning', state.phase === 'running');
  };
  show(kernel.state);
  context.subscriptions.push(
    item,
    kernel.onDidChange(show),
    vscode.commands.registerCommand('bpf.cancelKernelStart', () => kernel.cancel()),
  );
}

interface Shown {
  text: string;
  detail: string;
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
        detail: `${state.problem.message} ${state.problem.hint}`,
        severity: Failed,
        command: select,
      };
    case 'running':
      return {
        text: `Linux ${state.kernel.client.hello.kernel.release}`,
        detail: `${state.kernel.label.startsWith('vm ') ? vscode.l10n.t('in a VM') : state.kernel.label} · ${abilities(state.kernel)}`,
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

/** What the kernel can do, in few words; for what it cannot, the host's own reason. */
export function abilities({ client, insteadOfLocal }: RunningKernel): string {
  const { capabilities } = client.hello;
  const named: [string, Ability][] = [
    [vscode.l10n.t('load and verify'), capabilities.load],
    [vscode.l10n.t('tracing'), capabilities.tracing],
    [vscode.l10n.t('XDP and tc'), capabilities.network],
    ['BTF', capabilities.btf],
  ];
  const able = named.filter(([, ability]) => ability.ok).map(([name]) => name);
  const unable = named.flatMap(([name, ability]) =>
    ability.ok ? [] : [vscode.l10n.t('no {0}: {1}', name, ability.reason)],
  );
  const jit = capabilities.jit ? ['JIT'] : [];
  const list = [...able, ...jit].join(', ');
  const why = insteadOfLocal
    ? [vscode.l10n.t('chosen because loading programs on this machine needs root')]
    : [];
  return [list, ...unable, ...why].filter((part) => part !== '').join(' · ');
}
