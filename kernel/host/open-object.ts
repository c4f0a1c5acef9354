/** Opening an object through libbpf, choosing what to load of it, and describing what it holds. */
import type { Addon, AddonObject, AddonProgram, Operation } from '../addon/addon';
import { isAddonError } from '../addon/addon';
import type { MapDescription, ProgramDescription } from '../protocol';
import { failure } from './errors';

export interface OpenParams {
  object: Uint8Array;
  programs?: string[] | undefined;
  /** Also programs in `SEC("?…")`, which libbpf loads only when a loader asks for them. */
  withOptional?: boolean | undefined;
  attachTargets?: Record<string, string> | undefined;
  globals?: Record<string, Uint8Array> | undefined;
}

/** Name of objects for libbpf; the kernel shows its first letters before `.rodata` and the like. */
const OBJECT_NAME = 'bpf';
/** Opens the object and selects what to load of it. Throws a HostError with code `badObject` when it is no BPF ELF file. */
export async function openObject(
  addon: Addon,
  params: OpenParams,
  operation: Operation,
): Promise<AddonObject> {
  checkElf(params.object);
  let object: AddonObject;
  try {
    ({ object } = await addon.objectOpen(operation, params.object, OBJECT_NAME));
  } catch (error) {
    if (!isAddonError(error) || error.code === 'ECANCELED') throw error;
    throw failure('badObject', error.operation, openMessage(error.libbpfLog, error.message), {
      errno: error.code,
      libbpfLog: error.libbpfLog,
      hint: 'Compile the program with `clang -O2 -g -target bpf -c`.',
    });
  }
  try {
    await select(addon, object, params, operation);
    return object;
  } catch (error) {
    await addon.objectClose(null, object);
    throw error;
  }
}

/** ELF64, machine EM_BPF (247): what makes a file worth libbpf's attention, with words for what it is instead. */
function checkElf(bytes: Uint8Array): void {
  const bad = (message: string) =>
    failure('badObject', 'open', message, {
      hint: 'Give an object file written by `clang -O2 -g -target bpf -c FILE.bpf.c`.',
    });
  if (bytes.length < 64 || bytes[0] !== 0x7f || bytes[1] !== 0x45 || bytes[2] !== 0x4c || bytes[3] !== 0x46) {
    throw bad(`The object is not an ELF file (${bytes.length} bytes).`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const machine = view.getUint16(18, bytes[5] !== 2);
  if (machine !== 247) throw bad(`The object is compiled for ELF machine ${machine}, not for BPF (247).`);
}

function openMessage(log: string, message: string): string {
  const lines = cleanLog(log);
  return `libbpf cannot read the object: ${lines.at(-1) ?? message}`;
}

async function select(
  addon: Addon,
  object: AddonObject,
  params: OpenParams,
  operation: Operation,
): Promise<void> {
  const present = addon.objectPrograms(object);
  const unknown = [...(params.programs ?? []), ...Object.keys(params.attachTargets ?? {})].find(
    (name) => !present.some((program) => program.name === name),
  );
  if (unknown !== undefined) {
    throw failure('badRequest', 'open', `the object has no program "${unknown}"`, {
      hint: `It has: ${present.map((program) => program.name).join(', ') || 'none'}.`,
    });
  }
  for (const program of present) {
    const chosen = params.programs?.includes(program.name) ?? (params.withOptional || undefined);
    if (chosen !== undefined) addon.programSet(object, program.name, { autoload: chosen });
    const targets = params.attachTargets ?? {};
    const target = Object.hasOwn(targets, program.name) ? targets[program.name] : undefined;
    if (target) await addon.programSetAttachTarget(operation, object, program.name, target);
  }
  completeAsLoadersDo(addon, object, present);
  for (const [name, value] of Object.entries(params.globals ?? {})) {
    addon.mapSetInitialValue(object, name, value);
  }
}

/** Maps whose number of entries libbpf or the kernel settles, or that must not have one. */
const SIZES_ITSELF =
  /^(perf_event_array|(sk|inode|task|cgrp)_storage|(percpu_)?cgroup_storage|struct_ops|arena|ringbuf|user_ringbuf)$/;
const ASSUMED_ENTRIES = 1024;
const ASSUMED_BYTES = 1 << 20;
/** PERF_MAX_STACK_DEPTH addresses: the longest stack that kernels take unless they are told otherwise. */
const ASSUMED_STACK_BYTES = 127 * 8;

/**
 * What many loaders set before they load an object that leaves it open, as veristat does: the number of a map's
 * entries, and the type of a program in `SEC("classifier/NAME")` and the like, which libbpf does not take but others
 * do. `assumptionsOf` of toolchain/load-failure says so to whoever wrote the object.
 */
function completeAsLoadersDo(addon: Addon, object: AddonObject, programs: readonly AddonProgram[]): void {
  for (const { name, type, valueSize, maxEntries, globals } of addon.objectMaps(object)) {
    if (globals || type === '' || SIZES_ITSELF.test(type)) continue;
    const isStackless = type === 'stack_trace' && valueSize === 0;
    const fitting = Math.max(1, Math.floor(ASSUMED_BYTES / Math.max(1, valueSize)));
    if (maxEntries !== 0 && !isStackless) continue;
    addon.mapSetSizes(object, name, {
      maxEntries: maxEntries === 0 ? Math.min(ASSUMED_ENTRIES, fitting) : undefined,
      valueSize: isStackless ? ASSUMED_STACK_BYTES : undefined,
    });
  }
  for (const { name, section, typeNumber } of programs) {
    // `classifier/ingress`, `socket1`: what stands before the program's own name or number.
    const family = /^\??([a-z_.]*[a-z])(?=\d+$|\d*\/)/.exec(section)?.[1];
    if (typeNumber === 0 && family) addon.programSetTypeOf(object, name, family);
  }
}

/** libbpf's warnings without its `libbpf: ` prefix. */
export function cleanLog(log: string): string[] {
  return log
    .split('\n')
    .map((line) => line.replace(/^libbpf: /, ''))
    .filter((line) => line.trim() !== '');
}

export function describeProgram(program: AddonProgram): ProgramDescription {
  // Attach type 0 is a real one (cgroup_inet_ingress) and also what programs without any have.
  const attachType =
    program.attachTypeNumber !== 0 || /^cgroup/.test(program.section) ? program.attachType : '';
  return {
    name: program.name,
    section: program.section,
    ...(program.optional ? { optional: true } : {}),
    type: program.type,
    typeNumber: program.typeNumber,
    ...(attachType ? { attachType } : {}),
    ...(program.typeOf ? { typeOf: program.typeOf } : {}),
  };
}

export function describeMaps(addon: Addon, object: AddonObject): (MapDescription & { fd: number })[] {
  return addon.objectMaps(object).map(({ pinnedAt, ...map }) => ({
    ...map,
    frozen: false,
    structOps: map.type === 'struct_ops',
    ...(pinnedAt ? { pinnedAt } : {}),
  }));
}
