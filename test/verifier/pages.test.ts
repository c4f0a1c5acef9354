/**
 * Each page of docs/verifier keeps its word: a real kernel rejects its failing program with the page's id, and accepts
 * the passing one. BPF_STUDIO_TEST_TARGET chooses another kernel, e.g. `vm:PATH-TO-VMLINUZ`.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { catalogue, entryById, otherEntry, unreadableEntry } from '../../toolchain/verifier/catalogue';
import { isFor } from './compile';
import { openTestKernel, verifySource } from './kernel';
import type { TestKernel } from './kernel';
import { readPages } from './pages';

const pages = await readPages();
let kernel: TestKernel;
let directory: string;

beforeAll(async () => {
  kernel = await openTestKernel('pages of the catalogue');
  directory = await mkdtemp(path.join(os.tmpdir(), 'bpf-studio-pages-'));
});
afterAll(async () => {
  await kernel?.dispose();
  await rm(directory, { recursive: true, force: true });
});

test('every id has a page', () => {
  const ids = [...catalogue, otherEntry, unreadableEntry].map(({ id }) => id);
  expect(pages.map(({ id }) => id).sort()).toEqual(ids.sort());
});

describe.for(pages)('$id', (page) => {
  test('has the parts that every page has', () => {
    const entry = entryById(page.id);
    expect(entry, `no id ${page.id} in the catalogue`).toBeDefined();
    expect(page.heading).toBe(`${page.id}: ${entry?.title}`);
    expect(page.sections).toEqual(['Rejected', 'Accepted', 'What to do', 'Kernels']);
    expect(page.programs.map(({ section }) => section)).toEqual(
      expect.arrayContaining(['Rejected', 'Accepted']),
    );
  });

  test.for(page.programs.map((program, index) => ({ ...program, index })))(
    'program $index: $section',
    { timeout: 900_000 },
    async (program, { skip }) => {
      if (program.notRun) skip(program.notRun);
      if (!isFor(program, kernel.version)) skip(`not for Linux ${kernel.release}`);
      const source = path.join(directory, `${page.id.replace('/', '-')}-${program.index}.bpf.c`);
      await writeFile(source, program.code);
      const { report, verdict, clang } = await verifySource(kernel, source, 'rejected');
      const said = `${clang}${verdict.libbpfLog}\n${verdict.log ?? ''}`;
      expect(clang).toBe('');
      if (program.section === 'Accepted') expect(report.verdict, said).toBe('accepted');
      else expect(report.failure?.id, said).toBe(page.id);
    },
  );
});
