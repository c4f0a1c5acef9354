import type { Range } from '../diagnostic';
import type { Places } from './diagnostics';

/**
 * Places of programs, maps and includes by their text alone, for callers without a parser: a program's name before
 * its parameters, a map's name before `SEC(".maps")`.
 */
export function placesInText(path: string, text: string): Places {
  const lines = text.split('\n');
  const find = (pattern: RegExp): Range | undefined => {
    for (const [line, content] of lines.entries()) {
      const match = pattern.exec(content);
      if (!match) continue;
      const end = match.index + match[0].length;
      const name = match[1] ?? match[0];
      return { start: { line, character: end - name.length }, end: { line, character: end } };
    }
    return undefined;
  };
  return {
    path,
    find({ kind, name }) {
      if (!/^[\w./-]+$/.test(name)) return undefined;
      const escaped = name.replaceAll(/[.]/g, '\\.');
      switch (kind) {
        case 'program':
          // A line that ends in a semicolon is a call or a declaration.
          return find(new RegExp(`^(?!\\s*(?:return|//|\\*)).*\\b(${escaped})(?=\\s*(?:\\(|,)[^;]*$)`));
        case 'map':
          return find(new RegExp(`\\b(${escaped})(?=\\s*SEC\\s*\\(\\s*"\\.maps"\\s*\\))`));
        case 'include':
          return find(new RegExp(`^\\s*#\\s*include\\s*[<"](?:.*/)?(${escaped})(?=[>"])`));
        default:
          // Parts of declarations take a parser.
          return undefined;
      }
    },
  };
}
