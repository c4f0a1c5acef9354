/** Proven ranges behind the lines that set a variable. */
import type { InlayHint, InlayHintParams, Position } from 'vscode-languageserver';
import { joinVariables, spellVariable } from '../../toolchain/verifier/knowledge/variable';
import type { KnownVariable } from '../../toolchain/verifier/knowledge/variable';
import { spellRange } from '../../toolchain/verifier/knowledge/range';
import type { BpfDocument } from '../model/document';
import { knowledgeOf } from '../model/knowledge';
import type { ProgramKnowledge } from '../model/knowledge';
import { moveRange, type Edit } from '../model/track';
import { bpfDocument, type Session } from '../session';

/** The last hints of a document. They stay, at their places, until there are newer ones. */
const shown = new WeakMap<BpfDocument, InlayHint[]>();

/** Empty with the setting off. */
export async function inlayHints(
  session: Session,
  { textDocument, range }: InlayHintParams,
): Promise<InlayHint[]> {
  const open = bpfDocument(session, textDocument.uri);
  if (!open || !session.environment.settings.inlayHints.ranges) return [];
  const { bpf } = open;
  try {
    const known = await knowledgeOf(session, bpf, ({ verdict }) => verdict !== 'error');
    if (known && bpf.verifiedVersion === bpf.version) shown.set(bpf, hintsOf(bpf.text, known));
  } catch (error) {
    // An edit ends what is asked for; the next verdict brings the editor back.
    session.environment.log(`proven ranges could not be asked for: ${String(error)}`);
  }
  return (shown.get(bpf) ?? []).filter(
    ({ position: { line } }) => line >= range.start.line && line <= range.end.line,
  );
}

/** The text was edited: hints move along, and those on edited text go. */
export function moveHints(bpf: BpfDocument, edits: readonly Edit[]): void {
  const hints = shown.get(bpf);
  if (!hints) return;
  const moved = edits.reduce<InlayHint[]>(
    (all, edit) =>
      all.flatMap((hint) => {
        const at = moveRange({ start: hint.position, end: hint.position }, edit);
        return at ? [{ ...hint, position: at.start }] : [];
      }),
    hints,
  );
  shown.set(bpf, moved);
}

function hintsOf(text: string, known: ProgramKnowledge[]): InlayHint[] {
  const hints: InlayHint[] = [];
  for (const [line, content] of text.split('\n').entries()) {
    const names = assignedIn(content);
    const variables = names.size ? together(known, line).filter(({ name }) => names.has(name)) : [];
    const proven = variables.filter(({ range, texts }) => texts.length === 0 && range && spellRange(range));
    if (proven.length === 0) continue;
    const position: Position = { line, character: content.trimEnd().length };
    hints.push({ position, label: proven.map(spellVariable).join('; '), paddingLeft: true });
  }
  return hints;
}

/** What all programs that have the line know of it. */
function together(known: ProgramKnowledge[], line: number): KnownVariable[] {
  const lines = known.flatMap(({ lines }) => lines.get(line) ?? []);
  const [first, ...rest] = lines.map(({ variables }) => variables);
  return rest.reduce(
    (all, variables) =>
      all.flatMap((variable) => {
        const other = variables.find(({ name }) => name === variable.name);
        return other ? joinVariables(variable, other) : [];
      }),
    first ?? [],
  );
}

/** Variables that a line assigns to as a whole: `len = …`, `len += …`, not `p->len = …`. */
function assignedIn(line: string): Set<string> {
  const names = new Set<string>();
  for (const [, before, name] of line.matchAll(
    /(->|\.)?\s*\b([A-Za-z_]\w*)\s*(?:[-+*/%&|^]|<<|>>)?=(?!=)/g,
  )) {
    if (!before) names.add(name as string);
  }
  return names;
}
