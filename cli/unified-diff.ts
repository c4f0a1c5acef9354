/** Edits of a text as `diff -u` writes them, for `patch` and `git apply`. */

/** A replacement of `[start, end)`, in UTF-16 units of the text. */
export interface Edit {
  start: number;
  end: number;
  text: string;
}

/** Lines around a change, as diff and git show them. */
const CONTEXT = 3;

/** Lines `[from, to)` of the old text, and what stands there in the new one; each line with its line end. */
interface Change {
  from: number;
  to: number;
  lines: string[];
}

/**
 * @param file as it is written after `---` and `+++`; relative to where the patch is applied.
 * @param edits in order, not overlapping.
 */
export function unifiedDiff(file: string, text: string, edits: readonly Edit[]): string {
  const old = linesOf(text);
  const changes = changesOf(text, old, edits);
  if (changes.length === 0) return '';
  const out = [`--- a/${file}\n`, `+++ b/${file}\n`];
  // What the lines of the new text are ahead of those of the old one.
  let ahead = 0;
  for (const hunk of hunksOf(changes)) {
    const from = Math.max(0, hunk[0]!.from - CONTEXT);
    const to = Math.min(old.length, hunk.at(-1)!.to + CONTEXT);
    const grown = hunk.reduce((sum, change) => sum + change.lines.length - (change.to - change.from), 0);
    out.push(`@@ -${place(from, to - from)} +${place(from + ahead, to - from + grown)} @@\n`);
    ahead += grown;
    let at = from;
    for (const change of hunk) {
      out.push(...marked(' ', old.slice(at, change.from)));
      out.push(...marked('-', old.slice(change.from, change.to)), ...marked('+', change.lines));
      at = change.to;
    }
    out.push(...marked(' ', old.slice(at, to)));
  }
  return out.join('');
}

/** `12,7`: an empty range is named by the line before it. */
function place(from: number, count: number): string {
  return `${count === 0 ? from : from + 1},${count}`;
}

function linesOf(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

function marked(mark: string, lines: readonly string[]): string[] {
  return lines.map((line) =>
    line.endsWith('\n') ? mark + line : `${mark}${line}\n\\ No newline at end of file\n`,
  );
}

/** Edits as changes of whole lines, those of the same lines together, without lines that stay as they are. */
function changesOf(text: string, old: readonly string[], edits: readonly Edit[]): Change[] {
  const starts = [0];
  for (const line of old) starts.push(starts.at(-1)! + line.length);
  const lineAt = (offset: number): number => {
    const next = starts.findIndex((start) => start > offset);
    return next < 0 ? old.length : next - 1;
  };
  const groups: { from: number; to: number; edits: Edit[] }[] = [];
  for (const edit of edits) {
    // A line goes on to its line end; behind the last one there is none.
    const from = Math.min(lineAt(edit.start), Math.max(0, old.length - (text.endsWith('\n') ? 0 : 1)));
    const to = Math.min(old.length, lineAt(edit.end) + 1);
    const last = groups.at(-1);
    if (last && from < last.to) {
      last.to = Math.max(last.to, to);
      last.edits.push(edit);
    } else groups.push({ from, to, edits: [edit] });
  }
  return groups.flatMap(({ from, to, edits: own }) => {
    let at = starts[from]!;
    let changed = '';
    for (const { start, end, text: added } of own) {
      changed += text.slice(at, start) + added;
      at = end;
    }
    return withoutSame(old, { from, to, lines: linesOf(changed + text.slice(at, starts[to])) });
  });
}

function withoutSame(old: readonly string[], { from, to, lines }: Change): Change[] {
  let first = 0;
  while (from < to && first < lines.length && old[from] === lines[first]) {
    from++;
    first++;
  }
  let last = lines.length;
  while (to > from && last > first && old[to - 1] === lines[last - 1]) {
    to--;
    last--;
  }
  return from === to && first === last ? [] : [{ from, to, lines: lines.slice(first, last) }];
}

/** Changes whose lines around them touch are told together. */
function hunksOf(changes: readonly Change[]): Change[][] {
  const hunks: Change[][] = [];
  for (const change of changes) {
    const last = hunks.at(-1);
    if (last && change.from - last.at(-1)!.to <= 2 * CONTEXT) last.push(change);
    else hunks.push([change]);
  }
  return hunks;
}
