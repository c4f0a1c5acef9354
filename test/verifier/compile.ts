/** Compiles fixtures with the system's clang and reads the expectations that stand in them as comments. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { clangAtHand } from '../support/clang';

const run = promisify(execFile);
export const repository = path.resolve(__dirname, '../..');

/** Directories of headers: libbpf's as the build lays them out, and the multiarch one that clang's bpf target lacks. */
const includes = [
  path.join(repository, 'dist/include'),
  `/usr/include/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`,
];

/** The object that clang makes of a source; clang's warnings are not of interest. */
export async function compileBpf(source: string, extraArgs: string[] = []): Promise<Uint8Array<ArrayBuffer>> {
  return (await compileFixture(source, extraArgs)).object;
}

/** As {@link compileBpf}, with what clang said on the way: a fixture has one mistake, not one that clang sees. */
export async function compileFixture(
  source: string,
  extraArgs: string[] = [],
): Promise<{ object: Uint8Array<ArrayBuffer>; clang: string }> {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'bpf-studio-'));
  const object = path.join(directory, 'fixture.o');
  try {
    const flags = [
      ...['-O2', '-g', '-target', 'bpf'],
      ...includes.flatMap((include) => ['-I', include]),
      ...extraArgs,
    ];
    const { stderr } = await run(await clangAtHand(), [...flags, '-c', source, '-o', object]);
    return { object: new Uint8Array(await readFile(object)), clang: stderr };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Expectations of a fixture; lines are one-based. */
export interface Fixture {
  name: string;
  path: string;
  text: string;
  /** Ids of which one is expected (kernels differ), and the line. Absent for an accepted program. */
  error?: { ids: string[]; line: number };
  causes: number[];
  /** First kernel the fixture is for, and the last, as `[6, 18]`. */
  since?: [number, number];
  until?: [number, number];
}

export async function readFixture(file: string): Promise<Fixture> {
  const text = await readFile(file, 'utf8');
  const fixture: Fixture = { name: path.basename(file, '.bpf.c'), path: file, text, causes: [] };
  for (const [index, line] of text.split('\n').entries()) {
    const error = /\/\/ #ERR ((?:bpf\/[\w-]+ ?)+)/.exec(line)?.[1];
    if (error) fixture.error = { ids: error.trim().split(' '), line: index + 1 };
    if (line.includes('// #CAUSE')) fixture.causes.push(index + 1);
    const version = /^\/\/ #(SINCE|UNTIL) (\d+)\.(\d+)/.exec(line);
    if (version)
      fixture[version[1] === 'SINCE' ? 'since' : 'until'] = [Number(version[2]), Number(version[3])];
  }
  return fixture;
}

/** Whether a fixture is meant for a kernel. */
export function isFor(
  fixture: Pick<Fixture, 'since' | 'until'>,
  kernel: { major: number; minor: number },
): boolean {
  const number = ([major, minor]: [number, number]) => major * 1000 + minor;
  const here = number([kernel.major, kernel.minor]);
  return here >= number(fixture.since ?? [0, 0]) && here <= number(fixture.until ?? [999, 999]);
}
