/** What the language server takes: from an edit to the kernel's verdict, and from a keystroke to syntax findings. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { Client } from '../lsp/client';
import { percentile, ratioLine, run, sideBySide, type Line } from './measure';
import type { Workshop } from './workshop';

/** Edit to verdict on a file that includes the whole vmlinux.h, against clang and bpftool on the same file. */
export async function editToVerdict({ directory, clang, include, source }: Workshop): Promise<Line> {
  const file = path.join(directory, 'edited.bpf.c');
  writeFileSync(file, source);
  const client = await Client.start({
    initializationOptions: { target: 'local', verify: { when: 'onType', delay: 0 } },
  });
  const uri = await client.open(file, source);
  await client.finished(uri);
  let edit = 0;
  const pinned = path.join('/sys/fs/bpf', `bpf-studio-bench-${process.pid}`);
  const object = path.join(directory, 'edited.o');
  const measured = await sideBySide(
    11,
    async () => {
      // A statement that changes the program each time, so that nothing can be answered from before.
      const text = source.replace('/* EDIT */', `asm volatile("r0 = ${edit++}" ::: "r0");`);
      const status = await client.finished(uri, await client.change(uri, text));
      if (status.programs.some(({ verdict }) => verdict !== 'accepted'))
        throw new Error(JSON.stringify(status));
    },
    async () => {
      await run(clang, ['-O2', '-g', '-target', 'bpf', ...include, '-c', file, '-o', object]);
      await run('bpftool', ['prog', 'load', object, pinned]);
      execFileSync('rm', [pinned]);
    },
  );
  await client.stop();
  return ratioLine('edit to verdict / clang + bpftool prog load', 0.7, measured);
}

/**
 * Edit to the explained verdict on a rejected program, against edit to the verdict on the same program without its
 * mistake, which there is nothing to explain of.
 */
export async function editToExplanation({ directory, source }: Workshop): Promise<Line> {
  const rejected = source.replace('(void *)(ip + 1) > end || ', '');
  const client = await Client.start({
    initializationOptions: { target: 'local', verify: { when: 'onType', delay: 0 } },
  });
  const [wrong, right] = await Promise.all(
    [rejected, source].map((text, index) =>
      client.open(path.join(directory, `explained-${index}.bpf.c`), text),
    ),
  );
  let edit = 0;
  const change = async (uri: string, text: string, wanted: string) => {
    // A statement that changes the program each time, so that nothing can be answered from before.
    const edited = text.replace('/* EDIT */', `asm volatile("r0 = ${edit++}" ::: "r0");`);
    const status = await client.finished(uri, await client.change(uri, edited));
    if (status.programs.some(({ verdict }) => verdict !== wanted)) throw new Error(JSON.stringify(status));
    return client.diagnostics(uri);
  };
  const measured = await sideBySide(
    41,
    async () => {
      const found = await change(wrong!, rejected, 'rejected');
      if (!found.some(({ code }) => code === 'bpf/packet-bounds')) throw new Error(JSON.stringify(found));
    },
    () => change(right!, source, 'accepted'),
  );
  await client.stop();
  return ratioLine('edit to explained verdict / edit to bare verdict', 1.1, measured);
}

const WANTED_LINES = 5000;

/** One character typed into a file of 5,000 lines, until its findings are there, with the settings that users have. */
export async function keystroke({ directory, source }: Workshop): Promise<Line> {
  const block = source.slice(source.indexOf('SEC("xdp")'));
  let text = source;
  for (let copy = 0; text.split('\n').length < WANTED_LINES; copy++)
    text += block.replace(/\bpasses\b/, `passes_${copy}`);
  const client = await Client.start({ initializationOptions: { target: 'local' } });
  const uri = await client.open(path.join(directory, 'long.bpf.c'), text);
  await client.until('the first findings', () => client.hasDiagnostics(uri));
  const line = Math.floor(WANTED_LINES / 2);
  const at = { line, character: 0 };
  const times: number[] = [];
  for (let stroke = 0; stroke < 200; stroke++) {
    // A brace that opens nothing, and its removal: the findings change with each stroke, so an answer can be told.
    const typed = stroke % 2 === 0;
    const range = typed ? { start: at, end: at } : { start: at, end: { line, character: 2 } };
    const started = performance.now();
    await client.change(uri, typed ? '}}' : '', range);
    await client.until('syntax findings', () => client.diagnostics(uri).length > 0 === typed);
    times.push(performance.now() - started);
  }
  await client.stop();
  const p95 = percentile(times.slice(20), 0.95);
  return {
    name: 'keystroke to syntax findings, 5,000 lines, p95 in ms',
    bound: 10,
    ours: `${p95.toFixed(1)} ms`,
    theirs: '',
    value: p95,
  };
}
