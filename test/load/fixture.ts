/** Reads the expectations that stand in a source of test/fixtures/load as comments; its README.md describes them. */
import { readFile } from 'node:fs/promises';
import { readFixture } from '../verifier/compile';
import type { Fixture } from '../verifier/compile';

export interface LoadFixture extends Omit<Fixture, 'error' | 'causes'> {
  /** What is found; absent when nothing may be. */
  expected?: { ids: string[]; line: number; isHint: boolean; at?: string };
  /** Text that the message or its advice must hold. */
  says: string[];
  /** Flags for clang after the usual ones. */
  flags: string[];
}

export async function readLoadFixture(file: string): Promise<LoadFixture> {
  const { name, path, since, until } = await readFixture(file);
  const text = await readFile(file, 'utf8');
  const fixture: LoadFixture = { name, path, text, says: [], flags: [] };
  if (since) fixture.since = since;
  if (until) fixture.until = until;
  for (const [index, line] of text.split('\n').entries()) {
    const marker = /\/\/ #(ERR|HINT) ((?:bpf\/[\w-]+ ?)+)(?:#AT (.*))?$/.exec(line);
    if (marker) {
      const [, kind, ids = '', at] = marker;
      const expected = { ids: ids.trim().split(' '), line: index + 1, isHint: kind === 'HINT' };
      fixture.expected = at === undefined ? expected : { ...expected, at };
    }
    const says = /^\/\/ #SAYS (.*)$/.exec(line)?.[1];
    if (says !== undefined) fixture.says.push(says);
    const flags = /^\/\/ #CLANG (.*)$/.exec(line)?.[1];
    if (flags !== undefined) fixture.flags.push(...flags.split(' '));
  }
  return fixture;
}
