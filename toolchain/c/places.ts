/** From the names of an object to places in its source. */
import type { Range } from '../diagnostic';
import type { NamedPlace } from '../load-failure/finding';
import type { Span } from './outline';
import { positionAt } from './source';
import type { SourceFile } from './source';
import { Kind } from './tokens';

/** Range of what a name leads to, or of the part of it that is meant; undefined when the source has no such thing. */
export function placeInSource(source: SourceFile, place: NamedPlace): Range | undefined {
  const span = spanOf(source, place);
  return span && { start: positionAt(source, span.start), end: positionAt(source, span.end) };
}

function spanOf(source: SourceFile, { kind, name, part, whole }: NamedPlace): Span | undefined {
  switch (kind) {
    case 'program':
      return programOf(source, name)?.nameSpan;
    case 'section': {
      const program = programOf(source, name);
      if (!program || part === undefined) return program?.sectionSpan;
      const at = program.section.lastIndexOf(part);
      const start = program.sectionSpan.start + at;
      return at < 0 ? program.sectionSpan : { start, end: start + part.length };
    }
    case 'map': {
      const map = name === '' ? source.maps[0] : source.maps.find((one) => one.name === name);
      if (part === undefined) return map?.nameSpan;
      const member = map?.members.find((one) => one.name === part);
      return member && (whole ? member.span : member.valueSpan);
    }
    case 'extern':
      return (
        source.variables.find((variable) => variable.name === name)?.nameSpan ?? firstToken(source, name)
      );
    case 'structOps':
      return source.variables.find(({ section }) => section?.startsWith('.struct_ops'))?.nameSpan;
    case 'include':
      return source.includes.find((include) => include.path.endsWith(name))?.span;
    case 'license':
      return source.variables.find((variable) => variable.section === 'license')?.nameSpan;
  }
}

/** The program of that name; without a name the first, which stands for the object as a whole. */
function programOf(source: SourceFile, name: string): SourceFile['programs'][number] | undefined {
  return name === '' ? source.programs[0] : source.programs.find((program) => program.name === name);
}

/** Where a word is first used as an identifier. */
function firstToken({ text, tokens }: SourceFile, name: string): Span | undefined {
  for (let index = 0; index < tokens.count; index++) {
    const start = tokens.start[index]!;
    const end = tokens.end[index]!;
    if (
      tokens.kind[index] === Kind.Identifier &&
      end - start === name.length &&
      text.startsWith(name, start)
    ) {
      return { start, end };
    }
  }
  return undefined;
}
