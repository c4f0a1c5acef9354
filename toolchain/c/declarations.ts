/** A declaration that lacks its semicolon, seen by the next one starting at the left margin. */
import type { SyntaxFinding } from './finding';
import { Kind, type Tokens } from './tokens';
import { attributes, looksLikeMacroName, looksReserved, specifiers } from './words';

const starts = new Set(
  'static extern struct union enum typedef char int void const volatile inline unsigned signed long short'.split(
    ' ',
  ),
);
/** Sections of data, whose `SEC()` follows the declared name. */
const dataSection = /^"(\.|maps|license|version)/;

/**
 * `int x = 5` and then, at the left margin, `static int f(void)`: the end of the first is where the semicolon
 * should be. Undefined when the declaration can be read to its end.
 */
export function findUnfinishedDeclaration(
  text: string,
  tokens: Tokens,
  active: Uint8Array,
): SyntaxFinding | undefined {
  let depth = 0;
  let previous = -1;
  let words = 0;
  let hasValue = false;
  for (let index = 0; index < tokens.count; index++) {
    if (!active[index]) continue;
    const kind = tokens.kind[index]!;
    if (depth === 0 && kind === Kind.Identifier) {
      const atMargin = text.charCodeAt(tokens.start[index]! - 1) === 10;
      if (atMargin && previous >= 0 && startsAnother(index)) {
        const end = tokens.end[previous]!;
        return { start: end - 1, end, message: "expected ';'", certain: true };
      }
      words++;
    }
    if (kind === Kind.OpenBrace || kind === Kind.OpenParen || kind === Kind.OpenBracket) depth++;
    else if (kind === Kind.CloseBrace || kind === Kind.CloseParen || kind === Kind.CloseBracket) depth--;
    if (depth === 0 && (kind === Kind.Assign || kind === Kind.CloseBrace)) hasValue = true;
    if (depth === 0 && kind === Kind.Semicolon) hasValue = false;
    previous = index;
  }
  return undefined;

  function startsAnother(index: number): boolean {
    const before = tokens.kind[previous]!;
    if (
      before === Kind.Semicolon ||
      before === Kind.Comma ||
      before === Kind.Assign ||
      before === Kind.Star
    ) {
      return false;
    }
    const word = wordAt(index);
    if (word === 'SEC' && tokens.kind[index + 2] === Kind.String) {
      return hasValue && !dataSection.test(wordAt(index + 2));
    }
    if (!starts.has(word)) return false;
    if (hasValue) return before !== Kind.Identifier || isDeclaredName(previous);
    if (words > 1 && before === Kind.Identifier && isDeclaredName(previous)) return true;
    // `extern int f(void) __ksym __weak`: these come last in a declaration.
    return isLinkage(previous) || (words > 1 && isLinkage(previous - 1));
  }

  function isDeclaredName(index: number): boolean {
    const word = wordAt(index);
    return !(
      starts.has(word) ||
      specifiers.has(word) ||
      attributes.has(word) ||
      looksReserved(word) ||
      looksLikeMacroName(word)
    );
  }

  function isLinkage(index: number): boolean {
    const word = wordAt(index);
    return word === '__ksym' || word === '__kconfig';
  }

  function wordAt(index: number): string {
    return text.slice(tokens.start[index], tokens.end[index]);
  }
}
