/**
 * Random edits of a long file, as fast as anybody types and in every form that editors send: no finding ever stands on
 * another line than its own, and when the typing ends, what is shown is what a server that never saw the edits shows.
 * BPF_STUDIO_FUZZ_EDITS and BPF_STUDIO_FUZZ_SEED make longer and other runs.
 */
import os from 'node:os';
import path from 'node:path';
import { mkdtempSync, rmSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Diagnostic } from 'vscode-languageserver-types';
import { Client } from './client';
import { describeAsRoot } from '../support/root';
import { EditedSource } from './edited-source';

const EDITS = Number(process.env.BPF_STUDIO_FUZZ_EDITS ?? 100);
const SEED = Number(process.env.BPF_STUDIO_FUZZ_SEED ?? 20);
/** Edits between two looks at what is shown when all work is done. */
const ROUND = 50;

let scratch: string;
let typing: Client;
let fresh: Client;

beforeAll(async () => {
  scratch = mkdtempSync(path.join(os.tmpdir(), 'bpf-studio-edits-'));
  [typing, fresh] = await Promise.all([Client.start(), Client.start()]);
});
afterAll(async () => {
  await Promise.all([typing?.stop(), fresh?.stop()]);
  rmSync(scratch, { recursive: true, force: true });
});

function inOrder(diagnostics: Diagnostic[]): string[] {
  return diagnostics.map((one) => JSON.stringify(one, null, 1)).sort();
}

/** What a server shows that is given the text at once. */
async function shownAtOnce(file: string, text: string): Promise<Diagnostic[]> {
  const uri = await fresh.open(file, text);
  await fresh.finished(uri);
  const found = fresh.diagnostics(uri);
  await fresh.close(uri);
  return found;
}

/** Findings on a line that is not the one of the access they are about. */
function misplaced(texts: ReadonlyMap<number, string>): string[] {
  return typing.publications.flatMap(({ version, diagnostics }) => {
    const lines = texts.get(version ?? -1)?.split('\n');
    if (!lines) return [`no text of version ${version}`];
    return diagnostics
      .filter(({ source }) => source === 'verifier')
      .flatMap(({ range, data }) => {
        const line = lines[range.start.line] ?? '(behind the end)';
        const { program } = data as { program: string };
        return line.includes(`// the access of ${program}`) ? [] : [`${version}: ${program} at ${line}`];
      });
  });
}

describeAsRoot('findings under random edits', () => {
  it(`stand on their lines throughout ${EDITS} edits, and are those of the text at the end`, async () => {
    const file = path.join(scratch, 'edited.bpf.c');
    const source = new EditedSource(SEED, 14);
    const uri = await typing.open(file, source.text);
    await typing.finished(uri);
    const texts = new Map([[1, source.text]]);
    for (let done = 0; done < EDITS; done += ROUND) {
      for (let edit = 0; edit < ROUND; edit++) {
        const changes = source.edit();
        texts.set(await typing.changes(uri, changes), source.text);
        // Mostly as keys are hit one after the other, sometimes long enough for clang or the kernel to begin.
        await pause(source.chance(0.06) ? 350 + source.below(300) : source.below(12));
      }
      // A text that does not compile keeps the kernel's last words, which a new server has not heard.
      if (source.isBroken) texts.set(await typing.changes(uri, source.mend()), source.text);
      await typing.finished(uri);
      expect(misplaced(texts), `seed ${SEED}, after ${done + ROUND} edits`).toEqual([]);
      const expected = await shownAtOnce(file, source.text);
      expect(expected.filter((one) => one.source === 'verifier').length).toBe(source.unguarded);
      expect(inOrder(typing.diagnostics(uri)), `seed ${SEED}, after ${done + ROUND} edits`).toEqual(
        inOrder(expected),
      );
    }
    await typing.close(uri);
  }, 600_000);
});
