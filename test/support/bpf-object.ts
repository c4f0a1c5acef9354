/** Compiles BPF sources for tests with the newest clang on PATH, against the running kernel's types. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import type { KernelClient } from '../../kernel/client/client';
import { readBpfObject } from '../../toolchain/elf/object';
import { clangAtHand } from './clang';

const run = promisify(execFile);
export const root = path.resolve(__dirname, '../..');
export const dist = path.join(root, 'dist');

/** The object that clang makes of a source below the repository's root. */
export async function compileTemplate(client: KernelClient, source: string): Promise<Uint8Array> {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'bpf-studio-compile-'));
  try {
    const { text } = await client.request('vmlinuxHeader', {});
    await writeFile(path.join(directory, 'vmlinux.h'), text);
    const object = path.join(directory, 'object.o');
    // Types of Linux 7 have unnamed members of a named type, which is an extension of C.
    const flags = [
      '-O2',
      '-g',
      '-target',
      'bpf',
      '-D__TARGET_ARCH_x86',
      '-Wall',
      '-Werror',
      '-fms-extensions',
    ];
    const include = [directory, path.join(dist, 'include')].flatMap((each) => ['-isystem', each]);
    await run(await clangAtHand(), [...flags, ...include, '-c', path.join(root, source), '-o', object]);
    return await readFile(object);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** The bytes of `.rodata` with some of its unsigned 64-bit variables changed. */
export function rodataWith(object: Uint8Array, changed: Record<string, bigint>): Uint8Array {
  const parsed = readBpfObject(Uint8Array.from(object));
  if (!parsed.ok) throw new Error(parsed.problem.message);
  const section = parsed.value.elf.sections.find(({ name }) => name === '.rodata');
  const variables = parsed.value.btf?.find('datasec', '.rodata')?.variables ?? [];
  if (!section) throw new Error('the object has no .rodata');
  const bytes = Uint8Array.from(section.data);
  for (const { type, offset } of variables) {
    const value = changed[parsed.value.btf!.type(type).name];
    if (value !== undefined) new DataView(bytes.buffer).setBigUint64(offset, value, true);
  }
  return bytes;
}

/** Text of a file below the repository's root. */
export function readRepositoryFile(name: string): string {
  return readFileSync(path.join(root, name), 'utf8');
}
