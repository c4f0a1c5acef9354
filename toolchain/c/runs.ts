/** Runs of words such as `static INLINE struct x name`: which of them are macros beside the type and the name. */
import { Kind } from './tokens';
import type { TokenView } from './token-view';
import * as words from './words';

/** Removes such macros everywhere. */
export function thinOutRuns(view: TokenView): void {
  for (let at = 0; at < view.count; at++) {
    if (!view.gone[at] && view.isWord(at) && !view.isMember(at)) at = thinOutRun(view, at);
  }
}

/**
 * In a run of adjacent words such as `static INLINE struct x`, removes the macros that stand beside the type
 * and the declared name. Returns the position of the run's last word.
 */
function thinOutRun(view: TokenView, from: number): number {
  const run: number[] = [];
  let at = from;
  for (; at < view.count; at++) {
    if (view.gone[at]) continue;
    if (!view.isWord(at) || words.separators.has(view.word(at))) break;
    run.push(at);
  }
  if (run.length === 0) return from;
  const end = Math.max(at - 1, from);
  const previous = view.neighbour(run[0]!, -1);
  let hasType = previous >= 0 && view.kind(previous) === Kind.Star;
  const afterDeclarator =
    previous >= 0 && (view.kind(previous) === Kind.CloseParen || view.kind(previous) === Kind.CloseBracket);
  const names: number[] = [];
  for (let index = 0; index < run.length; index++) {
    const word = view.word(run[index]!);
    if (words.aggregates.has(word)) {
      hasType = true;
      index++;
      // `struct __packed name {`: the last word before the brace is the tag.
      while (
        index + 1 < run.length &&
        view.kind(view.neighbour(run.at(-1)!, 1)) === Kind.OpenBrace &&
        view.looksLikeMacro(run[index]!)
      ) {
        view.remove(run[index]!, run[index]!);
        index++;
      }
    } else if (words.baseTypes.has(word)) hasType = true;
    else if (!words.specifiers.has(word)) names.push(run[index]!);
  }
  if (afterDeclarator) {
    if (names.length === 1 && run.length === 1 && isAfterParameters(view, previous))
      removeMacro(view, run[0]!);
    else if (view.kind(previous) === Kind.CloseBracket) for (const name of names) removeMacro(view, name);
    return end;
  }
  const following = at < view.count ? view.kind(at) : -1;
  let excess = names.length - (hasType ? 1 : 2) + (following === Kind.Star ? 1 : 0);
  // The last name before a parenthesis is most likely the function's own, so it goes last.
  const declarator = following === Kind.OpenParen ? names.at(-1) : undefined;
  const order = [...names.filter((name) => name !== declarator).reverse(), ...names.slice(-1)];
  for (const test of [words.looksReserved, words.looksLikeMacroName]) {
    for (const name of order) {
      if (excess <= 0) break;
      if (view.gone[name] || !test(view.word(name))) continue;
      removeMacro(view, name);
      excess--;
    }
  }
  if (excess > 0 && view.isTopLevel(run[0]!)) {
    // At file level `statfunc u32 name(` can only begin with a macro, whatever it is called.
    for (const name of following === Kind.Star ? names : names.slice(0, -1)) {
      if (excess-- <= 0) break;
      if (!view.gone[name]) view.remove(name, name);
    }
  }
  return end;
}

function removeMacro(view: TokenView, at: number): void {
  const hasArguments = view.kind(at + 1) === Kind.OpenParen && view.partner[at + 1]! >= 0;
  const isLast = !view.isWord(at + 1);
  view.remove(at, hasArguments && isLast ? view.partner[at + 1]! : at);
}

/** `int f(int a) NAME`, not `if (a) name`, not the cast `(type) name`. */
function isAfterParameters(view: TokenView, close: number): boolean {
  if (view.kind(close) !== Kind.CloseParen) return false;
  const open = view.partner[close]!;
  if (open < 1 || !view.isWord(open - 1) || words.keywords.has(view.word(open - 1))) return false;
  const next = view.kind(view.neighbour(close, 1) + 1);
  return next === Kind.OpenBrace || next === Kind.Semicolon || next === Kind.OpenParen;
}
