import { describe, expect, test } from 'vitest';
import { Draft } from './draft';
import type { TextEdit } from './fix';

const insert = (at: number, text: string): TextEdit => ({ start: at, end: at, text });

/** What an editor makes of edits that are all of the original text. */
function applied(text: string, edits: TextEdit[]): string {
  return [...edits]
    .reverse()
    .reduce((done, { start, end, text: by }) => done.slice(0, start) + by + done.slice(end), text);
}

describe('a draft', () => {
  test('keeps the order of insertions at one place', () => {
    expect(Draft.of('ab').apply([insert(1, '1'), insert(1, '2')]).text).toBe('a12b');
  });

  test('says all rounds of edits as edits of the original', () => {
    const first = Draft.of('int a;\nuse(a);\n').apply([
      insert(7, 'check(a);\n'),
      { start: 4, end: 5, text: 'value' },
    ]);
    expect(first.text).toBe('int value;\ncheck(a);\nuse(a);\n');
    // Into what was added, over the border of it, and into what was there.
    const second = first.apply([
      { start: 17, end: 18, text: 'value' },
      { start: 20, end: 24, text: ' USE' },
    ]);
    expect(second.text).toBe('int value;\ncheck(value); USE(a);\n');
    expect(applied('int a;\nuse(a);\n', second.edits)).toBe(second.text);
    for (const [index, { end }] of second.edits.entries()) {
      expect(end).toBeLessThanOrEqual(second.edits[index + 1]?.start ?? Infinity);
    }
  });

  test('has no edits when nothing was changed, also by edits that undo each other', () => {
    expect(Draft.of('text').edits).toEqual([]);
    expect(
      Draft.of('text')
        .apply([insert(2, 'x')])
        .apply([{ start: 2, end: 3, text: '' }]).edits,
    ).toEqual([]);
  });

  test('can lose everything', () => {
    const empty = Draft.of('text').apply([{ start: 0, end: 4, text: '' }]);
    expect([empty.text, empty.edits]).toEqual(['', [{ start: 0, end: 4, text: '' }]]);
  });
});
