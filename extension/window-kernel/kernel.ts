/**
 * The window's one kernel: starts its host when something needs it, shares its socket, and starts it again when it
 * dies. Everything else in the window asks here; nobody else starts a host.
 */
import * as vscode from 'vscode';
import { KernelClient } from '../../kernel/client/client';
import { startTarget } from '../../kernel/targets/index';
import {
  parseTarget,
  type RunningTarget,
  type StartOptions,
  type TargetProblem,
} from '../../kernel/targets/target';
import { errors, present } from '../errors';
import { readSettings } from '../settings';

/** A kernel that answers. */
export interface RunningKernel {
  /** `this machine`, `vm vmlinuz-6.12.107+deb13-amd64`. */
  label: string;
  socketPath: string;
  /** The extension's own session, for lists and hooks; `client.hello` says what the kernel can do. */
  client: KernelClient;
  /** A VM was taken although nobody chose one, because this machine grants no privileges without asking. */
  insteadOfLocal: boolean;
}

export type KernelState =
  /** Nothing has needed a kernel yet. */
  | { phase: 'off' }
  | { phase: 'untrusted' }
  | { phase: 'starting'; target: string; step: string }
  | { phase: 'running'; kernel: RunningKernel }
  | { phase: 'failed'; problem: TargetProblem };

export type Elevation = StartOptions['elevate'];

export interface Kernel {
  readonly state: KernelState;
  readonly onDidChange: vscode.Event<KernelState>;
  /** The running kernel, started when there is none; or why there cannot be one. Never asks for a password. */
  ensure(): Promise<RunningKernel | TargetProblem>;
  /** Changes to a target and remembers it for the workspace. `elevate` is what the user allowed for this start. */
  select(target: string, elevate?: Elevation): Promise<RunningKernel | TargetProblem>;
  restart(): Promise<RunningKernel | TargetProblem>;
  /** Gives up a start that is under way. */
  cancel(): void;
  stop(): Promise<void>;
}

export function isProblem(value: object): value is TargetProblem {
  return 'hint' in value;
}

/** Waits between a death and the next start, in milliseconds; after the last one a person has to decide. */
const BACK_OFF = [500, 2_000, 8_000];
/** A host that lived this long did not die of its start, so counting begins anew. */
const STABLE_AFTER = 60_000;

interface Dependencies {
  log: vscode.LogOutputChannel;
  installed(relativePath: string): string;
}

export function createKernel(context: vscode.ExtensionContext, { log, installed }: Dependencies): Kernel {
  const changed = new vscode.EventEmitter<KernelState>();
  let state: KernelState = { phase: vscode.workspace.isTrusted ? 'off' : 'untrusted' };
  let target = readSettings().target;
  let elevate: Elevation = 'never';
  let starting: { result: Promise<RunningKernel | TargetProblem>; abort: AbortController } | undefined;
  let running: RunningTarget | undefined;
  let deaths = 0;
  let retry: NodeJS.Timeout | undefined;

  function enter(next: KernelState): void {
    state = next;
    changed.fire(state);
  }

  function ensure(): Promise<RunningKernel | TargetProblem> {
    if (state.phase === 'running') return Promise.resolve(state.kernel);
    if (starting) return starting.result;
    clearTimeout(retry);
    const abort = new AbortController();
    const result = start(abort).finally(() => {
      if (starting?.abort === abort) starting = undefined;
    });
    starting = { result, abort };
    return result;
  }

  async function start(abort: AbortController): Promise<RunningKernel | TargetProblem> {
    if (!vscode.workspace.isTrusted) {
      return fail({
        code: 'cancelled',
        message: vscode.l10n.t('The workspace is not trusted, so no kernel is used.'),
        hint: vscode.l10n.t('Trust the workspace.'),
      });
    }
    const wanted = target;
    const step = (line: string) => {
      log.info(line);
      // The log keeps who said it; the status item has room for what was said.
      const words = line.replace(/^(?:vm: )?(?:bpf-studio: )?/, '');
      if (!abort.signal.aborted) enter({ phase: 'starting', target: wanted, step: words });
    };
    const spec = wanted === '' ? undefined : parseTarget(wanted);
    if (spec && 'problem' in spec) {
      const hint = vscode.l10n.t('Select a kernel, or mend the setting bpf.target.');
      return fail({ code: 'internal', message: spec.problem, hint }, abort);
    }
    enter({ phase: 'starting', target: wanted, step: vscode.l10n.t('starting') });
    const opened = await startTarget(spec, {
      distDirectory: installed('dist'),
      elevate,
      qemu: readSettings().qemu.path,
      log: step,
      signal: abort.signal,
    });
    if (isProblem(opened)) return fail(opened, abort);
    if (abort.signal.aborted) {
      await opened.dispose();
      return fail(cancelled(), abort);
    }
    return accept(opened, wanted === '' && opened.label.startsWith('vm '), abort);
  }

  async function accept(
    opened: RunningTarget,
    insteadOfLocal: boolean,
    abort: AbortController,
  ): Promise<RunningKernel | TargetProblem> {
    try {
      const client = await KernelClient.connect(opened.socketPath, 'editor');
      const kernel: RunningKernel = {
        label: opened.label,
        socketPath: opened.socketPath,
        client,
        insteadOfLocal,
      };
      running = opened;
      const since = Date.now();
      void opened.gone.then((reason) => onGone(opened, reason, since));
      enter({ phase: 'running', kernel });
      return kernel;
    } catch (error) {
      await opened.dispose();
      const message = error instanceof Error ? error.message : String(error);
      return fail({ code: 'internal', message, hint: vscode.l10n.t('Restart the kernel host.') }, abort);
    }
  }

  function cancelled(): TargetProblem {
    return {
      code: 'cancelled',
      message: vscode.l10n.t('Starting the kernel was cancelled.'),
      hint: vscode.l10n.t('Choose a kernel to go on.'),
    };
  }

  function fail(problem: TargetProblem, abort?: AbortController): TargetProblem {
    log.error(`[${problem.code}] ${problem.message} ${problem.hint}`);
    // A start that was given up for another one has nothing to say about the state any more.
    if (!abort || starting === undefined || starting.abort === abort) {
      enter(vscode.workspace.isTrusted ? { phase: 'failed', problem } : { phase: 'untrusted' });
    }
    return problem;
  }

  function onGone(gone: RunningTarget, reason: string, since: number): void {
    if (running !== gone) return;
    running = undefined;
    log.error(vscode.l10n.t('The kernel host of {0} ended: {1}', gone.label, reason));
    if (Date.now() - since > STABLE_AFTER) deaths = 0;
    const delay = BACK_OFF[deaths++];
    if (delay === undefined) {
      const problem: TargetProblem = {
        code: 'internal',
        message: vscode.l10n.t('The kernel host ended again and again: {0}', reason),
        hint: vscode.l10n.t('Restart the kernel host, or select another kernel.'),
      };
      enter({ phase: 'failed', problem });
      void present(errors.hostKeepsDying(reason), log);
      return;
    }
    enter({
      phase: 'starting',
      target,
      step: vscode.l10n.t('the host ended ({0}); starting it again', reason),
    });
    // Programs that ran there are gone, which is worth telling; that the editor helped itself is not.
    if (vscode.debug.activeDebugSession?.type === 'bpf') {
      void vscode.window.showWarningMessage(
        vscode.l10n.t(
          'The kernel host ended ({0}). What it had attached is detached; it is being started again.',
          reason,
        ),
      );
    }
    retry = setTimeout(() => void ensure(), delay);
  }

  async function close(): Promise<void> {
    clearTimeout(retry);
    starting?.abort.abort();
    starting = undefined;
    const closing = running;
    running = undefined;
    if (state.phase === 'running') {
      state.kernel.client.dispose();
      enter({ phase: 'off' });
    }
    await closing?.dispose();
  }

  async function select(next: string, allowed: Elevation = 'never'): Promise<RunningKernel | TargetProblem> {
    target = next;
    elevate = allowed;
    deaths = 0;
    await close();
    const started = ensure();
    const configuration = vscode.workspace.getConfiguration('bpf');
    if (configuration.get('target') !== next) {
      const scope = vscode.workspace.workspaceFolders
        ? vscode.ConfigurationTarget.Workspace
        : vscode.ConfigurationTarget.Global;
      await configuration.update('target', next, scope);
    }
    return started;
  }

  context.subscriptions.push(
    changed,
    vscode.workspace.onDidGrantWorkspaceTrust(() => enter({ phase: 'off' })),
    vscode.workspace.onDidChangeConfiguration((event) => {
      if (!event.affectsConfiguration('bpf.target')) return;
      const next = readSettings().target;
      if (next === target) return;
      const wasUsed = state.phase !== 'off' && state.phase !== 'untrusted';
      target = next;
      elevate = 'never';
      void close().then(() => (wasUsed ? ensure() : undefined));
    }),
  );

  return {
    get state() {
      return state;
    },
    onDidChange: changed.event,
    ensure,
    select,
    async restart() {
      deaths = 0;
      await close();
      return ensure();
    },
    cancel: () => starting?.abort.abort(),
    stop: close,
  };
}
