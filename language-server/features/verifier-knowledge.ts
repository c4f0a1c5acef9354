/** What the verifier knows at a line, for the hover. */
import type { Position } from 'vscode-languageserver';
import { visitsDiffer } from '../../toolchain/verifier/knowledge/knowledge';
import type { LineKnowledge } from '../../toolchain/verifier/knowledge/knowledge';
import { spellVariable } from '../../toolchain/verifier/knowledge/variable';
import type { KnownVariable } from '../../toolchain/verifier/knowledge/variable';
import type { BpfDocument } from '../model/document';
import { knowledgeOf, linesOf } from '../model/knowledge';
import type { ProgramKnowledge } from '../model/knowledge';
import type { Session } from '../session';

/** As many as one reads in a hover. */
const SHOWN_VISITS = 4;
const SHOWN_VARIABLES = 8;

/** Markdown; undefined where the verifier has no instruction, or nothing to say of a variable. */
export async function verifierKnowledge(
  session: Session,
  bpf: BpfDocument,
  { line, character }: Position,
): Promise<string | undefined> {
  const { verification } = bpf;
  if (!verification) return undefined;
  let found: ProgramKnowledge[] | undefined;
  try {
    found = await knowledgeOf(session, bpf, (program) => linesOf(verification, bpf.path, program).has(line));
  } catch (error) {
    session.environment.log(`what the verifier knows could not be asked for: ${String(error)}`);
    return undefined;
  }
  const text = bpf.text.split('\n')[line] ?? '';
  const sections = (found ?? []).flatMap((one) => {
    const knowledge = one.lines.get(line);
    return knowledge ? (describe(one, knowledge, choice(knowledge, text, character)) ?? []) : [];
  });
  return sections.length ? sections.join('\n\n') : undefined;
}

/** Which variables are meant: the one under the pointer, else those that the line speaks of, else all. */
function choice({ visits }: LineKnowledge, text: string, character: number): (name: string) => boolean {
  const names = new Set(visits.flatMap(({ variables }) => variables.map(({ name }) => name)));
  const words = [...text.matchAll(/[A-Za-z_]\w*/g)];
  const pointed = words.find(
    ({ 0: word, index }) => index <= character && character <= index + word.length,
  )?.[0];
  if (pointed !== undefined && names.has(pointed)) return (name) => name === pointed;
  const spoken = new Set(words.map(([word]) => word).filter((word) => names.has(word)));
  return (name) => spoken.size === 0 || spoken.has(name);
}

function describe(
  { program, kernel, isLastPath }: ProgramKnowledge,
  knowledge: LineKnowledge,
  isMeant: (name: string) => boolean,
): string | undefined {
  const { count } = knowledge;
  const meant = (variables: KnownVariable[]) =>
    variables.filter(({ name }) => isMeant(name)).slice(0, SHOWN_VARIABLES);
  const visits = knowledge.visits.map((visit) => ({ ...visit, variables: meant(visit.variables) }));
  const isSame = !visitsDiffer({ ...knowledge, visits });
  const always = meant(knowledge.variables);
  if (visits.every(({ variables }) => variables.length === 0)) return undefined;
  const times = `${count.toLocaleString('en-US')} ${count === 1 ? 'visit' : 'visits'}`;
  const lines = [`**Linux ${kernel} knows here** — \`${program}\`, ${times}`, ''];
  for (const variable of always) lines.push(`- \`${spellVariable(variable)}\``);
  if (!isSame || always.length === 0) {
    lines.push('');
    const told = visits.filter(({ variables }) => variables.length > 0);
    for (const { from, variables } of told.slice(0, SHOWN_VISITS)) {
      const origin = from === undefined ? 'from a function’s start' : `from line ${from + 1}`;
      lines.push(`- ${origin}: ${variables.map((one) => `\`${spellVariable(one)}\``).join(', ')}`);
    }
    if (count > SHOWN_VISITS)
      lines.push(`- and ${(count - Math.min(told.length, SHOWN_VISITS)).toLocaleString('en-US')} more`);
  }
  if (isLastPath)
    lines.push('', '*Of the verifier’s last path only: the log of all paths is too long to ask for.*');
  return lines.join('\n');
}
