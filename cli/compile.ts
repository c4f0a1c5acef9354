/** From a source to an object, with the same clang, flags and precompiled headers as in the editor. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { KernelClient } from '../kernel/client/client';
import type { OpenedKernel } from '../kernel/client/open';
import { compile } from '../toolchain/clang/compile';
import { findClang } from '../toolchain/clang/discover';
import { cacheDirectory, chooseFlags } from '../toolchain/clang/flags';
import type { EnvironmentFacts } from '../toolchain/environment/environment';
import { succeed, type Outcome, type Problem } from '../toolchain/problem';
import { splitWords, text, type Arguments } from './command';
import type { Input } from './source';

/** `input` with its object, or with clang's findings, or with what kept clang from working. */
export async function compiled(
  input: Input,
  args: Arguments,
  session: Promise<OpenedKernel | Problem>,
  signal: AbortSignal,
): Promise<Input> {
  const failed = (problem: Problem): Input => ({ ...input, problems: [...input.problems, problem] });
  const source = await readSource(input);
  if (!source.ok) return failed(source.problem);
  const flags = await flagsFor(input, args, session);
  if (!flags.ok) return failed(flags.problem);
  const found = await findClang(text(args, 'clang') ?? '');
  if ('problem' in found) return failed(found.problem);
  const result = await compile({
    clang: found.clang,
    path: input.path,
    text: source.value,
    args: flags.value,
    cache: cacheDirectory(),
    signal,
    log: (line) => {
      if (process.env.BPF_STUDIO_VERBOSE) process.stderr.write(`${line}\n`);
    },
  });
  switch (result.outcome) {
    case 'compiled':
      return { ...input, object: result.object, diagnostics: [...input.diagnostics, ...result.diagnostics] };
    case 'errors':
      return { ...input, diagnostics: [...input.diagnostics, ...result.diagnostics] };
    case 'cancelled':
      return failed({ code: 'cli/cancelled', message: `Compiling ${input.file} was cancelled.`, hint: '' });
    case 'problem':
      return failed({
        code: `clang/${result.code}`,
        message: `${input.file}: ${result.message}`,
        hint: result.hint,
      });
  }
}

async function readSource(input: Input): Promise<Outcome<string>> {
  try {
    return succeed(await readFile(input.path, 'utf8'));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === 'ENOENT' ? 'there is no such file' : message;
    const problem = {
      code: 'cli/read',
      message: `${input.file} cannot be read: ${reason}.`,
      hint: 'Name a .bpf.c source or a BPF object file.',
    };
    return { ok: false, problem };
  }
}

async function flagsFor(
  input: Input,
  args: Arguments,
  session: Promise<OpenedKernel | Problem>,
): Promise<Outcome<string[]>> {
  const given = text(args, 'clang-args');
  const words = given === undefined ? undefined : splitWords(given);
  if (words && !words.ok) return words;
  // libbpf's headers of our own, where neither the project nor the system has any.
  const extraArgs = ['-idirafter', path.join(__dirname, 'include')];
  const cache = cacheDirectory();
  const opened = await session;
  const client = 'client' in opened ? opened.client : undefined;
  const machine =
    client?.hello.kernel.machine ?? process.arch.replace('x64', 'x86_64').replace('arm64', 'aarch64');
  const generatedVmlinux = words || !client ? undefined : await vmlinuxDirectory(client, cache);
  const request = { path: input.path, cache, machine, args: words?.value ?? null, extraArgs };
  return succeed(chooseFlags({ ...request, ...(generatedVmlinux ? { generatedVmlinux } : {}) }).args);
}

const generated = new WeakMap<KernelClient, Promise<string | undefined>>();

/** A directory with the vmlinux.h of the target's kernel; undefined when the kernel has no BTF. */
function vmlinuxDirectory(client: KernelClient, cache: string): Promise<string | undefined> {
  let directory = generated.get(client);
  if (!directory) generated.set(client, (directory = generateVmlinux(client, cache)));
  return directory;
}

async function generateVmlinux(client: KernelClient, cache: string): Promise<string | undefined> {
  const { hello } = client;
  if (!hello.capabilities.btf.ok) return undefined;
  // Two builds of a kernel may share a release, so the name says which BTF the header came from.
  const { data } = await client.request('btf', { source: { module: 'vmlinux' } });
  const digest = createHash('sha256').update(data).digest('hex').slice(0, 16);
  const directory = path.join(cache, 'vmlinux', `${hello.kernel.release}-${digest}`);
  const file = path.join(directory, 'vmlinux.h');
  if (existsSync(file)) return directory;
  const { text: header } = await client.request('vmlinuxHeader', {});
  await mkdir(directory, { recursive: true });
  // Another process may be writing the same file: whoever is last puts a whole one in place.
  const fresh = `${file}.${process.pid}`;
  await writeFile(fresh, header);
  await rename(fresh, file);
  return directory;
}

/** What `doctor` says of clang. */
export async function clangFacts(given: string | undefined): Promise<EnvironmentFacts['clang']> {
  const found = await findClang(given ?? '');
  return 'clang' in found ? found.clang : { problem: found.problem.message };
}
