/** An object file and what is known of it before a kernel sees it. */
import { readFileSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Btf } from '../../toolchain/btf/btf';
import { readBpfObject, type BpfObject, type ObjectProgram } from '../../toolchain/elf/object';
import { AdapterError, badObject, noSuchProgram, programFileUnreadable, severalPrograms } from '../errors';
import { decodeInsns } from '../../toolchain/insn/insn';
import { CALL, CallKind } from '../../toolchain/insn/opcodes';

export interface ProgramFile {
  /** What the user named: source or object. */
  path: string;
  /** The object's bytes, read or compiled. */
  bytes: Uint8Array;
  object: BpfObject;
  /** Structs that the source writes into ring buffers and perf event arrays, by map; unknown for objects. */
  records?: RecordTypes;
}

export type RecordTypes = ReadonlyMap<string, readonly { btf: Btf; type: number }[]>;

/** Where a function begins in the source; lines are one-based. */
export interface SourcePlace {
  path: string;
  line: number;
}

/** Compiles a source file; throws what the user should read. */
export type Compile = (
  source: string,
  signal: AbortSignal,
) => Promise<{ object: Uint8Array; records: RecordTypes }>;

/** Reads an object, or compiles a source and reads the result. */
export async function openProgramFile(
  file: string,
  compile: Compile,
  signal: AbortSignal,
): Promise<ProgramFile> {
  const absolute = path.resolve(file);
  const { object: bytes, records } = /\.(c|h)$/.test(absolute)
    ? await compile(absolute, signal)
    : { object: await readObject(absolute), records: undefined };
  const read = readBpfObject(bytes);
  if (!read.ok) throw badObject(`${absolute}: ${read.problem.message}`, read.problem.hint);
  return { path: absolute, bytes, object: read.value, ...(records ? { records } : {}) };
}

/** An object larger than this is not read: no BPF object is. */
const MAX_OBJECT = 64 * 1024 * 1024;

async function readObject(file: string): Promise<Uint8Array> {
  try {
    const { size } = await stat(file);
    if (size > MAX_OBJECT)
      throw programFileUnreadable(file, `it has ${size >> 20} MB, more than any BPF object`);
    return await readFile(file);
  } catch (error) {
    if (error instanceof AdapterError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    throw programFileUnreadable(file, code === 'ENOENT' ? 'there is no such file' : message);
  }
}

/** The program meant by `entry`, or the file's only one. */
export function chooseEntry(file: ProgramFile, entry: string | undefined): ObjectProgram {
  const { programs } = file.object;
  const names = programs.map((program) => program.name);
  if (entry === undefined) {
    if (programs.length > 1) throw severalPrograms(names);
    if (programs.length === 0) throw noSuchProgram('', names);
    return programs[0]!;
  }
  const found = programs.find((program) => program.name === entry);
  if (!found) throw noSuchProgram(entry, names);
  return found;
}

/** Variables in `.struct_ops` sections: each is registered with the kernel as a whole. */
export function structOpsNames({ object }: ProgramFile): string[] {
  const { btf } = object;
  if (!btf) return [];
  return [...btf.ofKind('datasec')]
    .filter(({ name }) => /^\.struct_ops/.test(name))
    .flatMap(({ variables }) => variables.map(({ type }) => btf.type(type).name));
}

/** Where a program's function is: its own line when the source can be read, else the first line of its code. */
export function placeOf(file: ProgramFile, name: string): SourcePlace | undefined {
  const { object } = file;
  const program = object.programs.find((candidate) => candidate.name === name);
  const lines = program && object.ext?.lines.get(program.section);
  if (!program || !lines || !object.btf) return undefined;
  const first = lines.find(
    ({ insn, line }) => insn >= program.firstInsn && insn < program.firstInsn + program.insnCount && line > 0,
  );
  if (!first) return undefined;
  const source = object.btf.string(first.fileOffset);
  if (source === '') return undefined;
  // Compilers write the path as it was given to them, relative to where they were started.
  const resolved = path.isAbsolute(source) ? source : path.resolve(path.dirname(file.path), source);
  const isThisFile = path.basename(resolved) === path.basename(file.path);
  const found = isThisFile && file.path.endsWith('.c') ? file.path : resolved;
  return { path: found, line: declarationLine(found, name, first.line) };
}

/**
 * Line information begins with the first statement, which may be one of an inlined function that stands elsewhere.
 * The program itself is what its `SEC()` stands before.
 */
function declarationLine(source: string, name: string, firstLine: number): number {
  let lines: string[];
  try {
    lines = readFileSync(source, 'utf8').split('\n');
  } catch {
    return firstLine;
  }
  // BPF_PROG(name, …) and its like name the function as their first argument.
  const declares = new RegExp(`\\b${name}\\s*[(,]`);
  const follows = (index: number) =>
    lines
      .slice(Math.max(0, index - 3), index + 1)
      .join('\n')
      .includes('SEC(');
  const found = lines.findIndex((line, index) => declares.test(line) && follows(index));
  return found < 0 ? firstLine : found + 1;
}

/** Helpers bpf_trace_printk and bpf_trace_vprintk. */
const PRINTK_HELPERS = new Set([6, 177]);

/** Whether any code of the object calls bpf_printk, so that the kernel's trace pipe is worth reading. */
export function usesPrintk({ object }: ProgramFile): boolean {
  const sections = new Set([...object.programs, ...object.subprograms].map(({ section }) => section));
  return object.elf.sections.some(({ name, data }) => {
    if (!sections.has(name)) return false;
    return decodeInsns(data, object.elf.littleEndian).some(
      (insn) => insn?.code === CALL && insn.src === CallKind.HELPER && PRINTK_HELPERS.has(insn.imm),
    );
  });
}

/** Type id of the struct that the program's first argument points to, for programs with contexts of their own. */
export function argumentType(btf: Btf, program: string): number | undefined {
  const func = btf.find('func', program);
  const proto = func && btf.type(func.type);
  const first = proto?.kind === 'func_proto' ? proto.parameters[0] : undefined;
  const pointer = first && btf.resolve(first.type);
  if (pointer?.kind !== 'ptr') return undefined;
  return btf.sizeOf(pointer.type) > 0 ? pointer.type : undefined;
}
