/** The entry point that VS Code calls. Wiring only: what the extension does is in the features. */
import * as vscode from 'vscode';
import * as attach from './commands/attach';
import * as environment from './environment/check';
import * as run from './commands/run';
import * as secondOpinion from './commands/second-opinion';
import * as templates from './commands/templates';
import * as verifierLog from './commands/verifier-log';
import * as verifyNow from './commands/verify-now';
import * as verifyOnKernels from './commands/verify-on-kernels';
import * as vmlinuxHeader from './commands/vmlinux-header';
import * as coverage from './coverage/coverage';
import * as changedSource from './debug/changed-source';
import * as debugAdapter from './debug/adapter';
import * as debugConfiguration from './debug/configuration';
import * as decisions from './debug/decisions';
import * as history from './debug/history';
import * as inlineValues from './debug/inline-values';
import * as recordings from './debug/recordings';
import { createKernel } from './window-kernel/kernel';
import * as selectKernel from './window-kernel/select';
import * as kernelStatus from './window-kernel/status';
import { createLanguageServer } from './language-server';
import * as liveRuns from './live/runs';
import * as snapshots from './live/snapshots';
import * as tasks from './tasks';
import * as explanation from './verifier/explanation';
import * as failingPath from './verifier/failing-path';
import * as heatMap from './verifier/heat-map';
import * as kernelView from './views/kernel-view';
import type { Feature, Services } from './services';

const features: Feature[] = [
  kernelStatus,
  selectKernel,
  run,
  attach,
  verifyNow,
  verifierLog,
  failingPath,
  heatMap,
  explanation,
  verifyOnKernels,
  secondOpinion,
  templates,
  environment,
  vmlinuxHeader,
  debugAdapter,
  debugConfiguration,
  inlineValues,
  recordings,
  changedSource,
  coverage,
  history,
  decisions,
  snapshots,
  liveRuns,
  kernelView,
  tasks,
];

let services: Services | undefined;

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  const log = vscode.window.createOutputChannel('BPF Studio', { log: true });
  context.subscriptions.push(log);
  context.subscriptions.push(vscode.commands.registerCommand('bpf.showLog', () => log.show()));

  const installed = (relativePath: string) => context.asAbsolutePath(relativePath);
  const kernel = createKernel(context, { log, installed });
  const server = createLanguageServer(context, { log, installed, kernel });
  services = { log, kernel, server, installed };
  for (const feature of features) await feature.activate(context, services);
  server.watchForBpfSources();
}

/** VS Code waits a few seconds for this: long enough for the host to unload what it loaded. */
export async function deactivate(): Promise<void> {
  await services?.server.stop();
  await services?.kernel.stop();
}
