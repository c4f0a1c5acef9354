/** Which `else` belongs to an `if`, from the tokens alone. */
import type { SourceFile } from './source';
import { Kind } from './tokens';

/** Deeper nesting is no source that somebody reads. */
const MAX_DEPTH = 200;

/**
 * Zero-based line of the `else` of the one `if` that is on a line. Undefined when there are several, when it has none,
 * and where a preprocessor line may decide what belongs to what.
 */
export function elseLineOf({ text, tokens }: SourceFile, line: number): number | undefined {
  const { count, kind, start, end, lineStarts } = tokens;
  const [from, to = Infinity] = [lineStarts[line], lineStarts[line + 1]];
  if (from === undefined) return undefined;
  const ifs: number[] = [];
  for (let at = firstAt(from); at < count && start[at]! < to; at++) if (word(at) === 'if') ifs.push(at);
  const [only] = ifs;
  if (only === undefined || ifs.length > 1) return undefined;
  const behind = statementEnd(close(only + 1), 0);
  if (behind < 0 || word(behind) !== 'else') return undefined;
  const after = lineStarts.findIndex((begin) => begin > start[behind]!);
  return (after < 0 ? lineStarts.length : after) - 1;

  /** The first token that begins at an offset or behind it. */
  function firstAt(offset: number): number {
    let [low, high] = [0, count];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (start[middle]! < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  function word(at: number): string {
    return at < count && kind[at] === Kind.Identifier ? text.slice(start[at], end[at]) : '';
  }

  /** The token behind the bracket that closes the one at `at`; -1 when there is none. */
  function close(at: number): number {
    if (at < 0 || !isOpen(at)) return -1;
    let depth = 0;
    for (; at < count; at++) {
      if (kind[at] === Kind.Directive) return -1;
      if (isOpen(at)) depth++;
      else if (isClose(at) && --depth === 0) return at + 1;
    }
    return -1;
  }

  function isOpen(at: number): boolean {
    return kind[at] === Kind.OpenParen || kind[at] === Kind.OpenBrace || kind[at] === Kind.OpenBracket;
  }

  function isClose(at: number): boolean {
    return kind[at] === Kind.CloseParen || kind[at] === Kind.CloseBrace || kind[at] === Kind.CloseBracket;
  }

  /** The token behind the statement that begins at `at`; -1 where that is not certain. */
  function statementEnd(at: number, depth: number): number {
    if (at < 0 || at >= count || depth > MAX_DEPTH || kind[at] === Kind.Directive) return -1;
    if (kind[at] === Kind.OpenBrace) return close(at);
    switch (word(at)) {
      case 'if': {
        const first = statementEnd(close(at + 1), depth + 1);
        return first >= 0 && word(first) === 'else' ? statementEnd(first + 1, depth + 1) : first;
      }
      case 'for':
      case 'while':
      case 'switch':
        return statementEnd(close(at + 1), depth + 1);
      case 'do': {
        const condition = statementEnd(at + 1, depth + 1);
        return condition < 0 ? -1 : plainEnd(condition);
      }
      default:
        return plainEnd(at);
    }
  }

  function plainEnd(at: number): number {
    while (at >= 0 && at < count && kind[at] !== Kind.Semicolon) {
      if (kind[at] === Kind.Directive || isClose(at)) return -1;
      at = isOpen(at) ? close(at) : at + 1;
    }
    return at < 0 || at >= count ? -1 : at + 1;
  }
}
