/** Every program's verdict on every kernel, with what each kernel lacks. */
import type { KernelClient } from '../kernel/client/client';
import { KernelError } from '../kernel/client/errors';
import type { ProgramVerdict, ProtocolError } from '../kernel/protocol';
import { parseBtf } from '../toolchain/btf/parse';
import type { Btf } from '../toolchain/btf/btf';
import { readBpfObject } from '../toolchain/elf/object';
import type { Problem } from '../toolchain/problem';
import { missingIn, type Missing } from '../toolchain/requirements/availability';
import { needsOf } from '../toolchain/requirements/requirements';
import type { MatrixKernel } from './choose';
import { refusedInstructions } from './instructions';
import { eachKernel, type EachKernelOptions, type KernelOutcome } from './each-kernel';

export interface MatrixObject {
  /** As the user named it. */
  file: string;
  bytes: Uint8Array;
}

/** One kernel's answer on one object. */
export interface Cell {
  kernel: MatrixKernel;
  programs: ProgramVerdict[];
  /** What failed for the object as a whole. */
  error?: ProtocolError;
  /** Why this kernel gave no answer at all. */
  problem?: Problem;
}

export interface ObjectRow {
  file: string;
  /** One a kernel, in the order of the kernels. */
  cells: Cell[];
  /** What some of the kernels lack. */
  missing: Missing[];
}

interface Answers {
  btf: Btf | undefined;
  answers: (Pick<Cell, 'programs' | 'error' | 'problem'> | undefined)[];
}

/** @param kernels oldest first, so that "first seen in" names the oldest that has something. */
export async function verifyOnKernels(
  kernels: readonly MatrixKernel[],
  objects: readonly MatrixObject[],
  options: EachKernelOptions,
): Promise<ObjectRow[]> {
  const outcomes = await eachKernel(kernels, options, async (client): Promise<Answers> => {
    const answers: Answers['answers'] = [];
    for (const { bytes } of objects) answers.push(await ask(client, bytes, options.signal));
    return { btf: await kernelBtf(client, options.signal), answers };
  });
  return objects.map((object, index) => rowOf(object, index, outcomes));
}

async function ask(
  client: KernelClient,
  object: Uint8Array,
  signal: AbortSignal,
): Promise<Answers['answers'][number]> {
  try {
    const { programs, error } = await client.request('verify', { object, log: 'rejected' }, { signal });
    return { programs, ...(error ? { error } : {}) };
  } catch (error) {
    // A file that is no BPF object says nothing of the kernel, and the next one may be well.
    if (!(error instanceof KernelError) || error.code !== 'badObject') throw error;
    const { code, message, hint = 'Compile it with clang -O2 -g -target bpf -c.' } = error;
    return { programs: [], problem: { code: `kernel/${code}`, message, hint } };
  }
}

/** Undefined without BTF, or with one of a kind that is newer than this reader. */
async function kernelBtf(client: KernelClient, signal: AbortSignal): Promise<Btf | undefined> {
  if (!client.hello.capabilities.btf.ok) return undefined;
  const { data } = await client.request('btf', { source: { module: 'vmlinux' } }, { signal });
  const parsed = parseBtf(data);
  return parsed.ok ? parsed.value : undefined;
}

function rowOf(object: MatrixObject, index: number, outcomes: KernelOutcome<Answers>[]): ObjectRow {
  const cells = outcomes.map((outcome): Cell => {
    const { kernel } = outcome;
    if ('problem' in outcome) return { kernel, programs: [], problem: outcome.problem };
    return { kernel, programs: [], ...outcome.value.answers[index] };
  });
  const read = readBpfObject(Uint8Array.from(object.bytes));
  const kinds = cells.find(({ programs }) => programs.length > 0)?.programs ?? [];
  const types = outcomes.map((outcome) => ({
    release: outcome.kernel.release,
    btf: 'value' in outcome ? outcome.value.btf : undefined,
  }));
  const needs = read.ok ? needsOf(read.value, kinds) : [];
  return {
    file: object.file,
    cells,
    missing: [...missingIn(needs, types), ...refusedInstructions(needs, cells)],
  };
}
