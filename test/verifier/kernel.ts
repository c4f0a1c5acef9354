/** The kernel that the tests of explanations ask: this machine's, or BPF_STUDIO_TEST_TARGET's. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { openKernel } from '../../kernel/client/open';
import type { OpenedKernel } from '../../kernel/client/open';
import { parseTarget } from '../../kernel/targets/target';
import { readBpfObject } from '../../toolchain/elf/object';
import type { BpfObject } from '../../toolchain/elf/object';
import { explain } from '../../toolchain/verifier/report';
import type { Report, VerdictInput } from '../../toolchain/verifier/report';
import { compileFixture, repository } from './compile';

export interface TestKernel {
  opened: OpenedKernel;
  version: { major: number; minor: number };
  release: string;
  /** Flags beyond a test's own, as the product has them, among them the directory with this kernel's vmlinux.h. */
  compilerFlags: string[];
  dispose(): Promise<void>;
}

/** Opens a kernel for a test file; throws with the product's own words when there is none. */
export async function openTestKernel(
  name: string,
  target = process.env.BPF_STUDIO_TEST_TARGET ?? 'local',
): Promise<TestKernel> {
  const parsed = parseTarget(target);
  if ('problem' in parsed) throw new Error(parsed.problem);
  const opened = await openKernel({
    target: parsed,
    name,
    distDirectory: path.join(repository, 'dist'),
    elevate: 'never',
    log: () => {},
  });
  if ('code' in opened) throw new Error(`${opened.message} ${opened.hint}`);
  const types = await mkdtemp(path.join(os.tmpdir(), 'bpf-studio-types-'));
  const { text } = await opened.client.request('vmlinuxHeader', {});
  await writeFile(path.join(types, 'vmlinux.h'), text);
  const { version, release } = opened.client.hello.kernel;
  return {
    opened,
    version,
    release,
    // Types of Linux 7 have unnamed members of a named type, which is an extension of C.
    compilerFlags: ['-Wall', '-fms-extensions', '-D__TARGET_ARCH_x86', '-idirafter', types],
    dispose: async () => {
      await opened.dispose();
      await rm(types, { recursive: true, force: true });
    },
  };
}

/** What a kernel says of the first refused program of a source file, else of the first, and how it is explained. */
export async function verifySource(
  kernel: TestKernel,
  source: string,
  log: 'rejected' | 'all' | 'states',
): Promise<{ report: Report; verdict: VerdictInput; object: BpfObject; clang: string }> {
  const { object, clang } = await compileFixture(source, kernel.compilerFlags);
  return { ...(await verifyObject(kernel, object, log)), clang };
}

/** As {@link verifySource}, of an object. */
export async function verifyObject(
  { opened }: TestKernel,
  bytes: Uint8Array<ArrayBuffer>,
  log: 'rejected' | 'all' | 'states',
): Promise<{ report: Report; verdict: VerdictInput; object: BpfObject }> {
  const object = readBpfObject(bytes);
  if (!object.ok) throw new Error(object.problem.message);
  const { programs } = await opened.client.request('verify', { object: bytes, log });
  const verdict = programs.find((one) => one.verdict !== 'accepted') ?? programs[0];
  if (!verdict) throw new Error('the kernel host returned no verdict');
  const { btf } = object.value;
  return { report: explain(verdict, { btf, object: object.value }), verdict, object: object.value };
}
