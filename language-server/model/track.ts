/** Moves positions through edits, so that a finding of an older text stays at its place in the newer one. */
import type { Position, Range } from '../../toolchain/diagnostic';

/** One edit: `range` of the text before it was replaced by `text`. */
export interface Edit {
  range: Range;
  text: string;
}

/** Where `range` is after the edit; undefined when the edit changed what is there. */
export function moveRange(range: Range, edit: Edit): Range | undefined {
  if (atOrBefore(range.end, edit.range.start)) return range;
  if (!atOrBefore(edit.range.end, range.start)) return undefined;
  return { start: movePosition(range.start, edit), end: movePosition(range.end, edit) };
}

/**
 * Where `range` is after an edit that may reach into it: what was inserted at its edge or inside belongs to it.
 * Undefined when nothing of it is left.
 */
export function stretchRange(range: Range, edit: Edit): Range | undefined {
  const moved = moveRange(range, edit);
  if (moved) return moved;
  const { start, end } = edit.range;
  if (atOrBefore(start, range.start) && atOrBefore(range.end, end)) return undefined;
  return {
    start: atOrBefore(range.start, start) ? range.start : movePosition(end, edit),
    end: atOrBefore(end, range.end) ? movePosition(range.end, edit) : start,
  };
}

/** The edit that makes `after` of `before`, for clients that send whole texts. */
export function editBetween(before: string, after: string): Edit {
  const limit = Math.min(before.length, after.length);
  let start = 0;
  while (start < limit && before.charCodeAt(start) === after.charCodeAt(start)) start++;
  let tail = 0;
  while (
    tail < limit - start &&
    before.charCodeAt(before.length - 1 - tail) === after.charCodeAt(after.length - 1 - tail)
  ) {
    tail++;
  }
  const range = { start: positionOf(before, start), end: positionOf(before, before.length - tail) };
  return { range, text: after.slice(start, after.length - tail) };
}

function movePosition(position: Position, { range, text }: Edit): Position {
  const lines = text.split('\n');
  const line = position.line + lines.length - 1 - (range.end.line - range.start.line);
  if (position.line !== range.end.line) return { line, character: position.character };
  const from = lines.length === 1 ? range.start.character : 0;
  return { line, character: from + lines.at(-1)!.length + position.character - range.end.character };
}

function positionOf(text: string, offset: number): Position {
  let line = 0;
  let start = 0;
  for (let at = text.indexOf('\n'); at >= 0 && at < offset; at = text.indexOf('\n', at + 1)) {
    line++;
    start = at + 1;
  }
  return { line, character: offset - start };
}

function atOrBefore(a: Position, b: Position): boolean {
  return a.line < b.line || (a.line === b.line && a.character <= b.character);
}
