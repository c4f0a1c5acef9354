/** Which program a command is about: the one a lens names, the one under the cursor, or the one the user picks. */
import * as vscode from 'vscode';
import type { ProgramCommandArguments, ProgramStatus } from '../../language-server/protocol';
import { looksLikeBpfSource } from '../bpf-source';
import { errors, present } from '../errors';
import { programsInText } from '../program-text';
import type { Services } from '../services';

export interface ChosenProgram {
  uri: vscode.Uri;
  program: ProgramStatus;
}

/** The BPF source in the active editor, or undefined. */
export function activeSource(): vscode.TextDocument | undefined {
  const document = vscode.window.activeTextEditor?.document;
  return document && looksLikeBpfSource(document.fileName, document.getText()) ? document : undefined;
}

/**
 * The programs of a document: what the server said, and before it said anything what the text shows. Their order is
 * that of the file.
 */
export function programsOf(services: Services, document: vscode.TextDocument): ProgramStatus[] {
  const known = services.server.status(document.uri)?.programs ?? [];
  const programs = known.length > 0 ? [...known] : programsInText(document.getText());
  return programs.sort((a, b) => a.line - b.line);
}

/**
 * The program meant by a command. With lens arguments it is named; otherwise it is the only one, or the user's pick.
 * Undefined when there is none, after saying so, or the user stepped back.
 */
export async function chooseProgram(
  services: Services,
  lens: ProgramCommandArguments | undefined,
  title: string,
): Promise<ChosenProgram | undefined> {
  const candidates = await findCandidates(services, lens);
  if (!candidates) return undefined;
  const { document, programs } = candidates;
  const program =
    programs.length === 1
      ? programs[0]
      : (await vscode.window.showQuickPick(rows(programs, document), { title, matchOnDescription: true }))
          ?.program;
  return program && { uri: document.uri, program };
}

/** Like {@link chooseProgram}, for what several programs of a file can do together. */
export async function choosePrograms(
  services: Services,
  lens: ProgramCommandArguments | undefined,
  title: string,
): Promise<{ uri: vscode.Uri; programs: ProgramStatus[] } | undefined> {
  const candidates = await findCandidates(services, lens);
  if (!candidates) return undefined;
  const { document, programs } = candidates;
  if (programs.length === 1) return { uri: document.uri, programs };
  const options = { title, matchOnDescription: true, canPickMany: true } as const;
  const all = rows(programs, document).map((row) => ({ ...row, picked: true }));
  const chosen = await vscode.window.showQuickPick(all, options);
  if (!chosen || chosen.length === 0) return undefined;
  return { uri: document.uri, programs: chosen.map((row) => row.program) };
}

async function findCandidates(
  services: Services,
  lens: ProgramCommandArguments | undefined,
): Promise<{ document: vscode.TextDocument; programs: ProgramStatus[] } | undefined> {
  const document = lens
    ? await vscode.workspace.openTextDocument(vscode.Uri.parse(lens.uri))
    : activeSource();
  if (!document) {
    await present(errors.notABpfSource(), services.log);
    return undefined;
  }
  const programs = programsOf(services, document);
  const named = lens && programs.find((candidate) => candidate.name === lens.program);
  if (named) return { document, programs: [named] };
  if (programs.length > 0) return { document, programs };
  const file = vscode.workspace.asRelativePath(document.uri);
  await present(file.endsWith('.h') ? errors.isHeader(file) : errors.noPrograms(file), services.log);
  return undefined;
}

/** Rows of a quick pick in which the program under the cursor stands first. */
function rows(programs: ProgramStatus[], document: vscode.TextDocument) {
  const editor = vscode.window.visibleTextEditors.find((candidate) => candidate.document === document);
  const cursor = editor?.selection.active.line ?? -1;
  const under = programs.findLast((program) => program.line <= cursor);
  const ordered = under ? [under, ...programs.filter((program) => program !== under)] : programs;
  return ordered.map((program) => ({
    label: program.name,
    description: `SEC("${program.section}")`,
    detail: program.verdict === 'rejected' ? vscode.l10n.t('rejected by the verifier') : undefined,
    program,
  }));
}
