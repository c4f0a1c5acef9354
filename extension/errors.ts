/**
 * Every message of the extension that reports a failure. Each has a code (logged, and what tests look for), says
 * what happened and why, and offers a button that does the next step.
 */
import * as vscode from 'vscode';
import type { TargetProblem } from '../kernel/targets/target';

export interface Action {
  title: string;
  command: string;
  arguments?: unknown[];
}

export interface UserError {
  code: string;
  message: string;
  actions: Action[];
  /** `warning`: nothing failed, the user has to allow or choose something first. Absent: `error`. */
  severity?: 'warning';
}

const checkEnvironment = (): Action => ({
  title: vscode.l10n.t('Check Environment'),
  command: 'bpf.checkEnvironment',
});
const selectKernel = (): Action => ({
  title: vscode.l10n.t('Select Kernel'),
  command: 'bpf.selectKernel',
});
const showLog = (): Action => ({ title: vscode.l10n.t('Show Log'), command: 'bpf.showLog' });
const manageTrust = (): Action => ({
  title: vscode.l10n.t('Manage Workspace Trust'),
  command: 'workbench.trust.manage',
});
const newFromTemplate = (): Action => ({
  title: vscode.l10n.t('New from Template'),
  command: 'bpf.newFromTemplate',
});
/** One sentence from parts that may or may not end in a full stop already. */
function sentences(...parts: (string | undefined)[]): string {
  return parts
    .filter((part): part is string => part !== undefined && part.trim() !== '')
    .map((part) => (/[.!?:)]$/.test(part.trim()) ? part.trim() : `${part.trim()}.`))
    .join(' ');
}

export const errors = {
  /** A kernel could not be started; the target says why and what to do. */
  target(problem: TargetProblem): UserError {
    const actions =
      problem.code === 'noQemu' || problem.code === 'noPrivileges'
        ? [checkEnvironment(), selectKernel()]
        : problem.code === 'noKernel'
          ? [selectKernel(), checkEnvironment()]
          : [selectKernel(), showLog()];
    return { code: problem.code, message: sentences(problem.message, problem.hint), actions };
  },
  /** A kernel image that was chosen and cannot run in a VM. */
  unusableKernel(reason: string, fix: string): UserError {
    const download = { title: vscode.l10n.t('Download Kernel'), command: 'bpf.downloadKernel' };
    return {
      code: 'unusableKernel',
      message: sentences(reason, fix),
      severity: 'warning',
      actions: [selectKernel(), download],
    };
  },
  nothingToSave(): UserError {
    return {
      code: 'nothingToSave',
      message: vscode.l10n.t(
        'No run of a BPF program is being debugged, so there is none to save. Run one with F5 first.',
      ),
      severity: 'warning',
      actions: [],
    };
  },
  nothingCovered(): UserError {
    return {
      code: 'nothingCovered',
      message: vscode.l10n.t(
        'No run has been counted yet. Run a program with F5: from now on the lines that run are marked.',
      ),
      severity: 'warning',
      actions: [],
    };
  },
  noRunToAsk(): UserError {
    return {
      code: 'noRunToAsk',
      message: vscode.l10n.t(
        'No run of a BPF program is being gone through, so there is no past to ask. Run one with F5 first.',
      ),
      severity: 'warning',
      actions: [],
    };
  },
  nothingAttached(): UserError {
    return {
      code: 'nothingAttached',
      message: vscode.l10n.t(
        'No BPF program of this window is attached, so there are no runs to record. Attach one first.',
      ),
      severity: 'warning',
      actions: [{ title: vscode.l10n.t('Attach Program'), command: 'bpf.attachProgram' }],
    };
  },
  untrusted(what: string): UserError {
    return {
      code: 'untrusted',
      message: vscode.l10n.t(
        '{0} needs a trusted workspace, because it compiles and loads code from it. Trust this workspace to go on.',
        what,
      ),
      actions: [manageTrust()],
      severity: 'warning',
    };
  },
  hostKeepsDying(reason: string): UserError {
    return {
      code: 'hostKeepsDying',
      message: vscode.l10n.t(
        'The kernel host ended several times in a row ({0}) and is not started again by itself. Verdicts and runs wait until it is restarted.',
        reason,
      ),
      actions: [
        { title: vscode.l10n.t('Restart Kernel Host'), command: 'bpf.restartKernelHost' },
        selectKernel(),
        showLog(),
      ],
    };
  },
  languageServer(reason: string): UserError {
    return {
      code: 'languageServer',
      message: vscode.l10n.t(
        'The BPF language server could not be started: {0}. There are no diagnostics and lenses until it runs. Reload the window to try again.',
        reason,
      ),
      actions: [
        { title: vscode.l10n.t('Reload Window'), command: 'workbench.action.reloadWindow' },
        showLog(),
      ],
    };
  },
  notABpfSource(): UserError {
    return {
      code: 'notABpfSource',
      message: vscode.l10n.t(
        'The active editor shows no BPF program. Open a .bpf.c file, or a C file that includes vmlinux.h or bpf/bpf_helpers.h, and try again.',
      ),
      severity: 'warning',
      actions: [newFromTemplate()],
    };
  },
  /** A header has the programs of those that include it. */
  isHeader(file: string): UserError {
    return {
      code: 'isHeader',
      message: vscode.l10n.t(
        '{0} is a header, and programs are run from the source that includes it. Open that .bpf.c file and try again; breakpoints in the header are kept.',
        file,
      ),
      severity: 'warning',
      actions: [],
    };
  },
  noPrograms(file: string): UserError {
    return {
      code: 'noPrograms',
      message: vscode.l10n.t(
        '{0} has no BPF program: no function is marked with SEC("…"). Mark one, for example SEC("xdp"), and try again.',
        file,
      ),
      severity: 'warning',
      actions: [newFromTemplate()],
    };
  },
  noVerifierLog(program: string, reason: string): UserError {
    return {
      code: 'noVerifierLog',
      message: sentences(vscode.l10n.t('There is no verifier log of {0}: {1}', program, reason)),
      actions: [checkEnvironment()],
    };
  },
  noFailingPath(program: string, reason: string): UserError {
    return {
      code: 'noFailingPath',
      message: sentences(vscode.l10n.t('There is no failing path of {0}: {1}', program, reason)),
      severity: 'warning',
      actions: [],
    };
  },
  noLogLine(line: number): UserError {
    return {
      code: 'noLogLine',
      message: vscode.l10n.t(
        'The verifier log has no instruction of line {0}: the compiler made none of it, or the verifier did not come to it. Put the cursor on another line of the program.',
        line,
      ),
      severity: 'warning',
      actions: [],
    };
  },
  noPage(code: string): UserError {
    return {
      code: 'noPage',
      message: vscode.l10n.t(
        'There is no documentation page on {0} in this installation. Run BPF: Explain Finding for the list of those there are.',
        code,
      ),
      severity: 'warning',
      actions: [{ title: vscode.l10n.t('Explain Finding'), command: 'bpf.explainFinding' }],
    };
  },
  /** No kernel image for a VM, and no privileges on this machine. */
  noKernelAtHand(): UserError {
    return {
      code: 'noKernelAtHand',
      message: vscode.l10n.t(
        'There is no kernel to verify on: no image that a VM can run, and no privileges on this machine. Download one; it is not installed.',
      ),
      severity: 'warning',
      actions: [
        { title: vscode.l10n.t('Download Kernel'), command: 'bpf.downloadKernel' },
        checkEnvironment(),
      ],
    };
  },
  noReportingKernel(version: string): UserError {
    return {
      code: 'noReportingKernel',
      message: vscode.l10n.t(
        'No Linux {0} or newer is on this machine; older kernels write no report. Download one; it is not installed.',
        version,
      ),
      severity: 'warning',
      actions: [{ title: vscode.l10n.t('Download Kernel'), command: 'bpf.downloadKernel' }],
    };
  },
  /** The buffer gave no object; the errors stand in the Problems view. */
  doesNotCompile(problem: { message: string; hint?: string } | undefined): UserError {
    const fallback = vscode.l10n.t('The file does not compile: see the Problems view.');
    return {
      code: 'doesNotCompile',
      message: problem ? sentences(problem.message, problem.hint) : fallback,
      severity: 'warning',
      actions: [
        { title: vscode.l10n.t('Show Problems'), command: 'workbench.actions.view.problems' },
        checkEnvironment(),
      ],
    };
  },
  noWorkspaceFolder(what: string): UserError {
    return {
      code: 'noWorkspaceFolder',
      message: vscode.l10n.t(
        '{0} writes into the workspace, and no folder is open. Open one and try again.',
        what,
      ),
      severity: 'warning',
      actions: [{ title: vscode.l10n.t('Open Folder'), command: 'workbench.action.files.openFolder' }],
    };
  },
  badTemplate(folder: string, reason: string): UserError {
    return {
      code: 'badTemplate',
      message: vscode.l10n.t(
        'The template {0} cannot be used: {1}. Install the extension again; its other templates still work.',
        folder,
        reason,
      ),
      actions: [showLog()],
    };
  },
  destinationNotEmpty(folder: string, file: string): UserError {
    return {
      code: 'destinationNotEmpty',
      message: vscode.l10n.t(
        '{0} has a file {1} already, and nothing was written. Choose another folder.',
        folder,
        file,
      ),
      severity: 'warning',
      actions: [newFromTemplate()],
    };
  },
  /** A command the user asked for failed in a way nobody foresaw. */
  unexpected(what: string, error: unknown): UserError {
    const reason = error instanceof Error ? error.message : String(error);
    return {
      code: 'unexpected',
      message: sentences(vscode.l10n.t('{0} failed: {1}', what, reason)),
      actions: [showLog(), checkEnvironment()],
    };
  },
};

/** Shows an error with its buttons; resolves when the user dismissed it or the chosen action ran. */
export async function present(error: UserError, log: vscode.LogOutputChannel): Promise<void> {
  const titles = error.actions.map((action) => action.title);
  log.error(`[${error.code}] ${error.message}`);
  const chosen =
    error.severity === 'warning'
      ? await vscode.window.showWarningMessage(error.message, ...titles)
      : await vscode.window.showErrorMessage(error.message, ...titles);
  const action = error.actions.find((candidate) => candidate.title === chosen);
  if (action) await vscode.commands.executeCommand(action.command, ...(action.arguments ?? []));
}

/** The handler of a command the user asked for: whatever it throws is shown, with what was being done. */
export function reporting<A extends unknown[]>(
  what: string,
  log: vscode.LogOutputChannel,
  handler: (...args: A) => Promise<void>,
): (...args: A) => Promise<void> {
  return async (...args) => {
    try {
      await handler(...args);
    } catch (error) {
      if (error instanceof vscode.CancellationError) return;
      log.error(error instanceof Error ? error : String(error));
      void present(errors.unexpected(what, error), log);
    }
  };
}
