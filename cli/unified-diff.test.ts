/** What is printed as a patch is applied by git to give the text that was meant. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { unifiedDiff, type Edit } from './unified-diff';

function applied(text: string, edits: readonly Edit[]): string {
  return edits.reduceRight(
    (done, { start, end, text: by }) => done.slice(0, start) + by + done.slice(end),
    text,
  );
}

test('git makes of the old text the new one, whatever was edited', () => {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'bpf-studio-diff-'));
  let seed = 7;
  const random = (limit: number) => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return (seed >>> 8) % limit;
  };
  const patches: string[] = [];
  const expected = new Map<string, string>();
  for (let round = 0; round < 300; round++) {
    const end = ['\n', '\r\n'][random(2)]!;
    const lines = Array.from({ length: random(40) }, () => ['', 'a', 'b', '\tc', '}'][random(5)]!);
    const text = lines.join(end) + (random(2) ? end : '');
    const edits: Edit[] = [];
    for (let at = random(12); at <= text.length && edits.length < 5; at += 1 + random(30)) {
      const till = Math.min(text.length, at + random(4));
      edits.push({
        start: at,
        end: till,
        text: ['', 'x', `y${end}`, `${end}z`, `a${end}b${end}`][random(5)]!,
      });
      at = till;
    }
    const name = `${round}.c`;
    const changed = applied(text, edits);
    const patch = unifiedDiff(name, text, edits);
    expect(patch === '', JSON.stringify({ text, edits })).toBe(changed === text);
    // git deletes a file that becomes empty, and says so in lines of its own.
    if (patch === '' || text === '' || changed === '') continue;
    writeFileSync(path.join(directory, name), text);
    patches.push(patch);
    expected.set(name, changed);
  }
  execFileSync('git', ['apply', '--whitespace=nowarn', '-'], { cwd: directory, input: patches.join('') });
  for (const [name, text] of expected) {
    expect([name, readFileSync(path.join(directory, name), 'utf8')]).toEqual([name, text]);
  }
  rmSync(directory, { recursive: true, force: true });
  expect(expected.size).toBeGreaterThan(200);
});

test('a change has three lines around it, and one far away a hunk of its own', () => {
  const text = Array.from({ length: 20 }, (_, index) => `${index + 1}\n`).join('');
  const at = (line: number) => text.indexOf(`\n${line}\n`) + 1;
  const edit = (line: number) => ({ start: at(line), end: at(line) + `${line}`.length, text: 'new' });
  expect(unifiedDiff('x.c', text, [edit(5), edit(18)])).toBe(
    '--- a/x.c\n+++ b/x.c\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+new\n 6\n 7\n 8\n@@ -15,6 +15,6 @@\n 15\n 16\n 17\n-18\n+new\n 19\n 20\n',
  );
});
