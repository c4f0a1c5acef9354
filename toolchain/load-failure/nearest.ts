/** Names that somebody may have meant. */

/** More edits make another name of the longest one. */
const MOST_EDITS = 3;

/**
 * How many edits of `wanted` still make `name`: in a short name few letters make another word, and in a list of tens
 * of thousands there is always one. Where it begins alike, the end may differ more: `max_entry`, `max_entries`.
 */
function editsAllowed(wanted: string, name: string): number {
  const { length } = wanted;
  if (length < 6) return length < 3 ? 0 : 1;
  const isSameStart = commonStart(wanted, name) * 3 >= length * 2;
  return length >= 14 || isSameStart ? MOST_EDITS : 2;
}

/**
 * Up to `count` of the names that are closest to `wanted`, best first: same but for case and underscores, then
 * few edits (Levenshtein, with swapped neighbours as one), then names that begin with all of it. Empty when nothing
 * is close, which is better than a guess.
 */
export function nearestNames(wanted: string, names: Iterable<string>, count = 3): string[] {
  const plainWanted = plain(wanted);
  const found = new Map<string, number>();
  for (const name of names) {
    if (name === wanted || name === '') continue;
    const cost = costOf(wanted, plainWanted, name);
    if (cost !== undefined) found.set(name, cost);
  }
  return [...found]
    .sort(
      ([a, costA], [b, costB]) =>
        costA - costB || commonStart(b, wanted) - commonStart(a, wanted) || (a < b ? -1 : 1),
    )
    .slice(0, count)
    .map(([name]) => name);
}

function costOf(wanted: string, plainWanted: string, name: string): number | undefined {
  if (plainWanted !== '' && plain(name) === plainWanted) return 0.5;
  const limit = editsAllowed(wanted, name);
  if (Math.abs(name.length - wanted.length) <= limit) {
    const edits = distance(wanted, name, limit);
    if (edits <= limit) return edits;
  }
  // A name that was extended: compilers' `.isra.0`, kernels' `__x64_` and `_noprof`.
  if (wanted.length >= 5 && name.startsWith(wanted) && name.length - wanted.length <= 12)
    return MOST_EDITS + 1;
  return undefined;
}

/** People misspell the ends of names more than their beginnings. */
function commonStart(a: string, b: string): number {
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  return at;
}

function plain(name: string): string {
  return name.toLowerCase().replaceAll(/[_./-]/g, '');
}

/** Edits from one text to another; some number above `limit` when there are more. */
function distance(a: string, b: string, limit: number): number {
  let older: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    let least = row;
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1];
      let cost = Math.min(
        previous[column]! + 1,
        current[column - 1]! + 1,
        previous[column - 1]! + (same ? 0 : 1),
      );
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        cost = Math.min(cost, older[column - 2]! + 1);
      }
      current.push(cost);
      if (cost < least) least = cost;
    }
    if (least > limit) return limit + 1;
    older = previous;
    previous = current;
  }
  return previous[b.length]!;
}

/** `a`, `a or b`, `a, b or c`, each in backquotes. */
export function alternatives(names: readonly string[]): string {
  const quoted = names.map((name) => `\`${name}\``);
  const last = quoted.pop();
  return quoted.length === 0 ? (last ?? '') : `${quoted.join(', ')} or ${last}`;
}
