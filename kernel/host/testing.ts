/**
 * What tests against this machine's kernel share: a host of their own, programs compiled on the spot,
 * and a count of what the kernel holds. Not part of any bundle.
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import type { KernelClient } from '../client/client';
import { openKernel } from '../client/open';
import { parseTarget } from '../targets/target';
import { clangAtHand } from '../../test/support/clang';
import { until } from '../../test/support/until';
import type { LoadedMap, LoadedProgram, Params } from '../protocol';

const run = promisify(execFile);
export const dist = path.resolve(import.meta.dirname, '../../dist');
export const hostBundle = path.join(dist, 'kernel-host.js');

/** Starts a host on this machine, or on the target that BPF_STUDIO_TEST_TARGET names, and opens a session with it. */
export async function openTestKernel(
  name = process.env.BPF_STUDIO_TEST_TARGET ?? 'local',
): Promise<{ client: KernelClient; dispose(): Promise<void> }> {
  if (!existsSync(hostBundle)) throw new Error(`${hostBundle} is missing: run \`npm run build\` first`);
  const target = parseTarget(name);
  if ('problem' in target) throw new Error(target.problem);
  const opened = await openKernel({
    target,
    name: 'test',
    distDirectory: dist,
    elevate: 'never',
    log: (line) => console.error(`host: ${line}`),
  });
  if ('code' in opened) throw new Error(`${opened.message} ${opened.hint}`);
  return opened;
}

/** A directory that is removed with the run's temporary directory. */
export function scratchDirectory(): string {
  return mkdtempSync(path.join(os.tmpdir(), 'bpf-studio-test-'));
}

const HELPERS = `#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
char LICENSE[] SEC("license") = "Dual MIT/GPL";
`;
/** The system's headers compile in a tenth of the time that all of the kernel's types take. */
const UAPI_PRELUDE = `#include <linux/bpf.h>
typedef __u8 u8; typedef __u16 u16; typedef __u32 u32; typedef __u64 u64; typedef __s64 s64;
${HELPERS}`;
const VMLINUX_PRELUDE = `#include "vmlinux.h"
${HELPERS}`;

/** Compiles test programs with this machine's clang, the types of the running kernel and libbpf's headers. */
export class Compiler {
  private readonly directory = scratchDirectory();
  private count = 0;

  private constructor(private readonly clang: string) {}

  static async create(client: KernelClient): Promise<Compiler> {
    const compiler = new Compiler(await clangAtHand());
    const { text } = await client.request('vmlinuxHeader', {});
    writeFileSync(path.join(compiler.directory, 'vmlinux.h'), text);
    return compiler;
  }

  /** The object of a program's text, which follows the usual includes. */
  async compile(text: string, { vmlinux = false, debugInfo = true } = {}): Promise<Uint8Array> {
    const output = path.join(this.directory, `program${++this.count}.o`);
    const include = [this.directory, path.join(dist, 'include'), `/usr/include/${os.machine()}-linux-gnu`];
    const compiling = run(this.clang, [
      ...['-x', 'c', '-'],
      '-O2',
      // The kernel quotes the lines that the object has with it.
      ...(debugInfo ? ['-gdwarf-5', '-gembed-source'] : ['-g0']),
      '-target',
      'bpf',
      '-mcpu=v3',
      '-D__TARGET_ARCH_x86',
      ...include.map((directory) => `-I${directory}`),
      '-c',
      '-o',
      output,
    ]);
    // As the editor does, from standard input, so that an object tells nothing of a file's name.
    compiling.child.stdin!.end((vmlinux ? VMLINUX_PRELUDE : UAPI_PRELUDE) + text);
    await compiling;
    return readFile(output);
  }
}

export interface Loaded {
  object: number;
  program(name: string): LoadedProgram;
  map(name: string): LoadedMap;
}

/** Opens and loads an object in a session. */
export async function load(
  client: KernelClient,
  object: Uint8Array,
  options: Omit<Params<'objectOpen'>, 'object'> = {},
): Promise<Loaded> {
  const opened = await client.request('objectOpen', { object, ...options });
  const loaded = await client.request('objectLoad', { object: opened.object, log: 'rejected' });
  const find = <T extends { name: string }>(list: T[], name: string): T => {
    const found = list.find((one) => one.name === name);
    if (!found) throw new Error(`no ${name} among ${list.map((one) => one.name).join(', ')}`);
    return found;
  };
  return {
    object: opened.object,
    program: (name) => find(loaded.programs, name),
    map: (name) => find(loaded.maps, name),
  };
}

/** Resolves once the host has spent that many milliseconds of CPU time in the kernel, on whatever it was asked for. */
export async function inKernelFor(client: KernelClient, ms: number): Promise<void> {
  const pid = /pid (\d+)/.exec(client.hello.host)![1];
  // Field 15, stime, in hundredths of a second (USER_HZ); the second field may hold blanks, and ends with the last `)`.
  const spent = () => {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[12]) * 10;
  };
  const before = spent();
  await until(`the host is ${ms} ms in the kernel`, () => spent() - before >= ms);
}

/** Programs, maps and links in the kernel whose name starts with `prefix` (links: of such programs). */
export async function remaining(client: KernelClient, prefix: string): Promise<string[]> {
  const [programs, maps, links] = await Promise.all([
    client.request('listPrograms', {}),
    client.request('listMaps', {}),
    client.request('listLinks', {}),
  ]);
  const ours = programs.programs.filter((one) => one.name.startsWith(prefix));
  const ids = new Set(ours.map((one) => one.id));
  return [
    ...ours.map((one) => `program ${one.name}`),
    ...maps.maps.filter((one) => one.name.startsWith(prefix)).map((one) => `map ${one.name}`),
    ...links.links.filter((one) => ids.has(one.programId)).map((one) => `link ${one.description}`),
  ].sort();
}
