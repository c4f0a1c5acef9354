/** *BPF: Select Kernel*, and the two commands that act on the kernel that was selected. */
import os from 'node:os';
import path from 'node:path';
import * as vscode from 'vscode';
import { hasBpfPrivileges } from '../../kernel/targets/local';
import { findKernels, inspectKernel, type VmKernel } from '../../kernel/targets/vm/kernels';
import { errors, present, reporting } from '../errors';
import type { Services } from '../services';
import { downloadKernel } from './download';
import { readSettings } from '../settings';
import { isProblem, type Elevation } from './kernel';
import { targetName } from './status';

interface Choice extends vscode.QuickPickItem {
  /** What choosing it does; resolves to the target to change to, or undefined when the user stepped back. */
  choose?: () => Promise<{ target: string; elevate?: Elevation } | undefined>;
}

export function activate(context: vscode.ExtensionContext, services: Services): void {
  const { log } = services;
  const command = (id: string, what: string, handler: () => Promise<void>) =>
    vscode.commands.registerCommand(id, reporting(what, log, handler));
  context.subscriptions.push(
    command('bpf.selectKernel', vscode.l10n.t('Selecting a kernel'), () => selectKernel(services)),
    command('bpf.downloadKernel', vscode.l10n.t('Downloading a kernel'), async () => {
      const downloaded = await downloadKernel(services);
      if (downloaded) await change(services, downloaded.target, undefined);
    }),
    command('bpf.useThisMachine', vscode.l10n.t('Using this machine'), () =>
      change(services, 'local', 'pkexec'),
    ),
    command('bpf.restartKernelHost', vscode.l10n.t('Restarting the kernel host'), () =>
      change(services, undefined, undefined),
    ),
  );
}

async function selectKernel(services: Services): Promise<void> {
  if (!vscode.workspace.isTrusted) {
    return present(errors.untrusted(vscode.l10n.t('Selecting a kernel')), services.log);
  }
  const choices = await listChoices(services);
  const chosen = await vscode.window.showQuickPick(choices, {
    title: vscode.l10n.t('Kernel that verifies and runs BPF programs'),
    matchOnDescription: true,
    matchOnDetail: true,
  });
  const answer = await chosen?.choose?.();
  if (answer) await change(services, answer.target, answer.elevate);
}

async function listChoices(services: Services): Promise<Choice[]> {
  const privileged = hasBpfPrivileges();
  const kernels = findKernels();
  const current = currentTarget(services);
  const mark = (target: string) => (target === current ? vscode.l10n.t('in use') : undefined);
  const separator = (label: string): Choice => ({ label, kind: vscode.QuickPickItemKind.Separator });
  const here: Choice[] = [
    {
      label: vscode.l10n.t('$(vm-active) This machine'),
      description: mark('local'),
      detail: privileged
        ? vscode.l10n.t('Real hooks on real traffic')
        : vscode.l10n.t('Works without a password when CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN are granted'),
      choose: () => Promise.resolve({ target: 'local' }),
    },
  ];
  if (!privileged) {
    here.push({
      label: vscode.l10n.t('$(shield) This machine, with pkexec'),
      detail: vscode.l10n.t('Asks for your password once for this window'),
      choose: () => Promise.resolve({ target: 'local', elevate: 'pkexec' }),
    });
    here.push({
      label: vscode.l10n.t('$(shield) This machine, with sudo'),
      detail: vscode.l10n.t('For a sudo that asks no password'),
      choose: () => Promise.resolve({ target: 'local', elevate: 'sudo' }),
    });
  }
  return [
    separator(vscode.l10n.t('this machine')),
    ...here,
    separator(vscode.l10n.t('in a VM, without root')),
    ...kernels.map((kernel) => vmChoice(kernel, services, mark(`vm:${kernel.image}`))),
    {
      label: vscode.l10n.t('$(file) A kernel image…'),
      detail: vscode.l10n.t('A vmlinuz or bzImage on this machine'),
      choose: () => pickImage(services),
    },
    {
      label: vscode.l10n.t('$(cloud-download) Get another kernel…'),
      detail: vscode.l10n.t("Downloads one of the distribution's kernels, without installing it"),
      choose: () => downloadKernel(services),
    },
    separator(vscode.l10n.t('automatic')),
    {
      label: vscode.l10n.t('$(wand) Automatic'),
      description: mark(''),
      detail: vscode.l10n.t('This machine when it grants the privileges without asking, otherwise a VM'),
      choose: () => Promise.resolve({ target: '' }),
    },
  ];
}

function currentTarget({ kernel }: Services): string | undefined {
  const setting = vscode.workspace.getConfiguration('bpf').get<string>('target', '');
  return kernel.state.phase === 'off' || kernel.state.phase === 'untrusted' ? undefined : setting;
}

/** An unusable kernel is listed with its reason; choosing it says what to do. */
function vmChoice(kernel: VmKernel, { log }: Services, description?: string): Choice {
  const { usable } = kernel;
  if (!usable.ok) {
    return {
      label: `$(circle-slash) Linux ${kernel.release || path.basename(kernel.image)}`,
      detail: usable.reason,
      choose: () => {
        // Its buttons lead to another choice, which this one does not wait for.
        void present(errors.unusableKernel(usable.reason, usable.fix), log);
        return Promise.resolve(undefined);
      },
    };
  }
  return {
    label: `$(vm) Linux ${kernel.release}`,
    description,
    detail: kernel.image.replace(`${os.homedir()}/`, '~/'),
    choose: () => Promise.resolve({ target: `vm:${kernel.image}` }),
  };
}

async function pickImage(services: Services): ReturnType<NonNullable<Choice['choose']>> {
  const picked = await vscode.window.showOpenDialog({
    title: vscode.l10n.t('Kernel image'),
    defaultUri: vscode.Uri.file('/boot'),
    canSelectMany: false,
    openLabel: vscode.l10n.t('Use This Kernel'),
  });
  // A file that is no kernel is told of now, while the kernel in use is still there.
  return picked?.[0] && vmChoice(inspectKernel(picked[0].fsPath, true), services).choose?.();
}

/** Changes to `target`, or restarts the present one, with progress that can be cancelled. */
async function change(
  services: Services,
  target: string | undefined,
  elevate: Elevation | undefined,
): Promise<void> {
  const { kernel, log } = services;
  if (!vscode.workspace.isTrusted) {
    return present(errors.untrusted(vscode.l10n.t('Starting a kernel')), log);
  }
  const result = await vscode.window.withProgress(
    {
      location: vscode.ProgressLocation.Notification,
      title: vscode.l10n.t('Starting {0}', targetName(target ?? readSettings().target)),
      cancellable: true,
    },
    async (progress, token) => {
      token.onCancellationRequested(() => kernel.cancel());
      const listening = kernel.onDidChange((state) => {
        if (state.phase === 'starting') progress.report({ message: state.step });
      });
      try {
        return await (target === undefined ? kernel.restart() : kernel.select(target, elevate));
      } finally {
        listening.dispose();
      }
    },
  );
  if (isProblem(result) && result.code !== 'cancelled') await present(errors.target(result), log);
}
