/**
 * Completes debug configurations: F5 in a BPF source needs no launch.json, and every session gets the window's
 * kernel.
 */
import path from 'node:path';
import * as vscode from 'vscode';
import { DEBUG_TYPE } from '../../debug-adapter/protocol';
import type { AttachSpec } from '../../kernel/protocol';
import type { ProgramStatus } from '../../language-server/protocol';
import { activeSource, chooseProgram, programsOf } from '../commands/programs';
import { errors, present } from '../errors';
import { isProblem } from '../window-kernel/kernel';
import type { Services } from '../services';
import { readSettings } from '../settings';
import { chooseAttachSpec } from './attach-choice';
import { defaultPacket } from './default-packet';
import { requiredChoice } from './required-choice';

export function activate(context: vscode.ExtensionContext, services: Services): void {
  const dynamic: vscode.DebugConfigurationProvider = {
    provideDebugConfigurations: () => configurationsOf(services),
  };
  const resolving: vscode.DebugConfigurationProvider = {
    provideDebugConfigurations: () => configurationsOf(services),
    resolveDebugConfiguration: (_folder, configuration) => complete(services, configuration),
    resolveDebugConfigurationWithSubstitutedVariables: (_folder, configuration) =>
      provideKernel(services, configuration),
  };
  const { Dynamic, Initial } = vscode.DebugConfigurationProviderTriggerKind;
  context.subscriptions.push(
    vscode.debug.registerDebugConfigurationProvider(DEBUG_TYPE, resolving, Initial),
    vscode.debug.registerDebugConfigurationProvider(DEBUG_TYPE, dynamic, Dynamic),
  );
}

/** *Run xdp_drop*, *Attach xdp_drop* … for every program of the file in the active editor. */
function configurationsOf(services: Services): vscode.DebugConfiguration[] {
  const document = activeSource();
  if (!document) return [];
  const program = document.uri.fsPath;
  return programsOf(services, document).flatMap((found) => [
    {
      type: DEBUG_TYPE,
      request: 'launch',
      name: vscode.l10n.t('Run {0}', found.name),
      program,
      entry: found.name,
      ...packetFor(found),
    },
    {
      type: DEBUG_TYPE,
      request: 'attach',
      name: vscode.l10n.t('Attach {0}', found.name),
      program,
      attach: [{ entry: found.name }],
    },
  ]);
}

function packetFor(program: ProgramStatus): { packet?: unknown } {
  const packet = defaultPacket(program.section);
  return packet ? { packet } : {};
}

/**
 * Before variables are substituted: an empty configuration (F5 without launch.json) becomes a run of the active
 * file. Undefined ends the start without a further message.
 */
async function complete(
  services: Services,
  configuration: vscode.DebugConfiguration,
): Promise<vscode.DebugConfiguration | undefined> {
  if (configuration.type) return configuration;
  const chosen = await chooseProgram(services, undefined, vscode.l10n.t('Program to run'));
  if (!chosen) return undefined;
  return {
    type: DEBUG_TYPE,
    request: 'launch',
    name: vscode.l10n.t('Run {0}', chosen.program.name),
    program: chosen.uri.fsPath,
    entry: chosen.program.name,
    unlisted: true,
  };
}

/** After substitution: asks for what is open still, and hands over the window's kernel and clang. */
async function provideKernel(
  services: Services,
  configuration: vscode.DebugConfiguration,
): Promise<vscode.DebugConfiguration | undefined> {
  const { kernel, log } = services;
  // A recording is read and nothing more.
  if (configuration.recording !== undefined) return configuration;
  if (!vscode.workspace.isTrusted) {
    await present(errors.untrusted(vscode.l10n.t('Running a BPF program')), log);
    return undefined;
  }
  const completed = { ...configuration };
  const settings = readSettings(vscode.Uri.file(String(completed.program ?? '')));
  completed.clangPath ??= settings.clang.path || undefined;
  completed.clangArgs ??= settings.clang.args ?? undefined;
  if (completed.target !== undefined && completed.target !== settings.target) return completed;

  const started = await kernel.ensure();
  if (isProblem(started)) {
    if (started.code !== 'cancelled') await present(errors.target(started), log);
    return undefined;
  }
  completed.hostSocket = started.socketPath;
  const document = await openSource(completed.program);
  if (!document) return completed;
  return completed.request === 'attach'
    ? chooseHooks(services, completed, document)
    : chooseEntry(services, completed, document);
}

/** The configuration's source when it is one; objects and missing files are the adapter's to judge. */
async function openSource(program: unknown): Promise<vscode.TextDocument | undefined> {
  if (typeof program !== 'string' || path.extname(program) !== '.c') return undefined;
  try {
    return await vscode.workspace.openTextDocument(program);
  } catch {
    return undefined;
  }
}

async function chooseEntry(
  services: Services,
  configuration: vscode.DebugConfiguration,
  document: vscode.TextDocument,
): Promise<vscode.DebugConfiguration | undefined> {
  const programs = programsOf(services, document);
  if (configuration.entry === undefined && programs.length > 1) {
    const title = vscode.l10n.t('Program to run');
    const lens = undefined;
    const chosen =
      activeSource() === document
        ? (await chooseProgram(services, lens, title))?.program.name
        : await vscode.window.showQuickPick(
            programs.map((program) => program.name),
            { title },
          );
    if (chosen === undefined) return undefined;
    configuration.entry = chosen;
  }
  const entry =
    configuration.entry === undefined
      ? programs[0]
      : programs.find((program) => program.name === configuration.entry);
  if (configuration.packet === undefined && configuration.context === undefined && entry) {
    configuration.packet = defaultPacket(entry.section);
  }
  return configuration;
}

/** An item of `attach` in a configuration, which is JSON: its 64-bit numbers are numbers. */
type AttachItem = { entry: string; spec?: unknown };

/** Asks for the hook of every program whose SEC() leaves it open and whose configuration does too. */
async function chooseHooks(
  services: Services,
  configuration: vscode.DebugConfiguration,
  document: vscode.TextDocument,
): Promise<vscode.DebugConfiguration | undefined> {
  const { state } = services.kernel;
  if (state.phase !== 'running') return configuration;
  const programs = programsOf(services, document);
  const listed = configuration.attach as AttachItem[] | undefined;
  const wanted: AttachItem[] = listed ?? programs.map((program) => ({ entry: program.name }));
  const chosen: AttachItem[] = [];
  for (const item of wanted) {
    const program = programs.find((candidate) => candidate.name === item.entry);
    if (item.spec !== undefined || !program || requiredChoice(program.section) === 'nothing') {
      chosen.push(item);
      continue;
    }
    const spec = await chooseAttachSpec(state.kernel.client, program);
    if (!spec) return undefined;
    chosen.push({ entry: item.entry, spec: asJson(spec) });
  }
  return chosen.length > 0 ? { ...configuration, attach: chosen } : configuration;
}

/** A debug configuration travels as JSON, which has no 64-bit integers; those a pick offers are small. */
function asJson(spec: AttachSpec): unknown {
  return JSON.parse(
    JSON.stringify(spec, (_key, value: unknown) => (typeof value === 'bigint' ? Number(value) : value)),
  );
}
