/**
 * What a failed load was about, said with what the object and the target kernel know: the catalogue's entry says what
 * class of failure it is, from the words alone; this finds the field, function, section, map, option or instruction
 * that is meant, and where the source names it. Values in, findings out; whoever calls it has the kernel.
 */
import type { BpfObject } from '../elf/object';
import type { MapPath, SourcePositions } from '../verifier/position';
import { explainAttachTarget, explainAttachType, explainSection } from './attach-target';
import { describeRelocation, explainCore, placeOfCore, readSpelled, relocationAt } from './core';
import { explainExtern } from './externs';
import type { LoadFinding } from './finding';
import { explainInstruction } from './instructions';
import { explainMap } from './maps';
import { firstKernelCall } from './source-places';
import { explainLockdown, explainSize } from './limits';
import { isOlder, kernelName, missingProgramType } from './target';
import type { TargetFacts } from './target';

export interface LoadContext {
  object?: BpfObject;
  target?: TargetFacts;
  mapPath: MapPath;
}

/** How a program failed, as far as it matters here. */
export interface FailedLoad {
  name: string;
  section: string;
  type: string;
  errno?: string;
  /** The catalogue's id, from the words alone. */
  id: string;
  /** The verifier's last words or libbpf's reasons, the most telling first. */
  lines: readonly string[];
  /** The instruction that was refused, and its text in the kernel's assembly. */
  instruction?: number;
  assembly?: string;
  /** Instructions of the whole program, its functions included. */
  insnCount?: number;
  lineInfo: Uint8Array;
  positions: SourcePositions;
}

/** A better finding than the catalogue's; undefined when nothing more is known. */
export function explainLoadFailure(failed: FailedLoad, context: LoadContext): LoadFinding | undefined {
  const { lines, name } = failed;
  const { object, target, mapPath } = context;
  return (
    coreFailure(failed, context) ??
    explainExtern(lines, name, object, target, mapPath) ??
    (lines.some((line) => /missing BPF prog type|failed to guess program type/.test(line))
      ? explainSection(failed)
      : undefined) ??
    explainAttachTarget(lines, failed, target) ??
    explainMap(lines, object, target) ??
    (object && lines[0] !== undefined
      ? explainInstruction(lines[0], name, object, target, mapPath)
      : undefined) ??
    wholeObject(lines, object, target, name) ??
    (failed.id === 'bpf/license' ? license(failed, context) : undefined) ??
    explainLockdown(failed) ??
    explainSize(failed, target) ??
    programType(failed, target) ??
    (failed.instruction === undefined && (failed.assembly ?? '') === ''
      ? explainAttachType(failed, failed.errno, target)
      : undefined) ??
    permission(failed, target)
  );
}

function coreFailure(failed: FailedLoad, { object, target }: LoadContext): LoadFinding | undefined {
  const { lines, instruction, lineInfo, positions } = failed;
  const spelledOut = lines.find((line) => /^failed to resolve CO-RE relocation/.test(line));
  const poisoned = lines.some((line) => /unknown#195896080\b/.test(line));
  if (!spelledOut && !poisoned) return undefined;
  const record =
    object && instruction !== undefined ? relocationAt(object, lineInfo, instruction) : undefined;
  const missing =
    (spelledOut && readSpelled(spelledOut)) ??
    (record && object?.btf ? describeRelocation(object.btf, record) : undefined);
  if (!missing) return undefined;
  const at = instruction === undefined ? undefined : placeOfCore(missing, instruction, positions);
  return { ...explainCore(missing, target), ...(at && { at }) };
}

/** Which helper or kernel function it is that only GPL-compatible programs may call, and what the object declares. */
function license({ assembly, lines, name }: FailedLoad, { object, mapPath }: LoadContext): LoadFinding {
  // Kernel functions are collected in the order of the code before the verifier walks it, so it is the first.
  const kernelCall = lines.some((line) => /call kernel function/.test(line));
  const found = kernelCall && object ? firstKernelCall(object, name, mapPath) : undefined;
  const called = found?.name ?? /call (\w+)#\d+/.exec(assembly ?? '')?.[1] ?? 'What is called here';
  const declared =
    object?.license === undefined || object.license === ''
      ? 'declares no license'
      : `declares the license "${object.license}"`;
  return {
    id: 'bpf/license',
    message: `${called} is for GPL-compatible programs only, and this one ${declared}`,
    help: 'Declare a GPL-compatible license: char LICENSE[] SEC("license") = "GPL"; ("Dual MIT/GPL", "Dual BSD/GPL", "GPL v2" count too; the whole text is compared).',
    ...(found?.at && { at: found.at }),
  };
}

const withDebugInfo = 'Compile with -g: clang -O2 -g -target bpf -c FILE.bpf.c -o FILE.o';

/** What keeps the whole object from being loaded. */
function wholeObject(
  lines: readonly string[],
  object: BpfObject | undefined,
  target: TargetFacts | undefined,
  name: string,
): LoadFinding | undefined {
  const says = (pattern: RegExp): RegExpExecArray | undefined => {
    for (const line of lines) {
      const match = pattern.exec(line);
      if (match) return match;
    }
    return undefined;
  };
  const program = { kind: 'program' as const, name };
  if (says(/BTF is required, but is missing or corrupted/)) {
    return {
      id: 'bpf/debug-info',
      message:
        'The object has no BTF, because it was compiled without -g: libbpf cannot read its maps, externs and CO-RE relocations',
      help: withDebugInfo,
      places: [{ kind: 'map', name: '' }, program],
    };
  }
  if (says(/non-native endianness|endianness mismatch/)) {
    const big = object ? !object.elf.littleEndian : true;
    return {
      id: 'bpf/endianness',
      message: `The object was compiled for a ${big ? 'big' : 'little'}-endian machine, and this kernel is not one`,
      help: `Compile with -target bpf, which is the byte order of the machine it runs on, or -target ${big ? 'bpfel' : 'bpfeb'}.`,
      places: [program],
    };
  }
  const statics = says(/program '([^']+)' is static and not supported/);
  if (statics) {
    return {
      id: 'bpf/object',
      message: `${statics[1]} is static, and libbpf loads only programs that are not`,
      help: 'Remove static from its definition.',
      places: [{ kind: 'program', name: statics[1]! }],
    };
  }
  const foreign = says(/compiled for ELF machine|is not an ELF file/);
  if (foreign) {
    return {
      id: 'bpf/object',
      message: foreign.input.replace(/\.$/, ''),
      help: 'Compile it for BPF: clang -O2 -g -target bpf -c FILE.bpf.c -o FILE.o; see bpf.clang.args and compile_commands.json.',
      places: [program],
    };
  }
  const structOps = says(/struct_ops init_kern: struct (?:bpf_struct_ops_)?(\w+) is not found in kernel BTF/);
  if (structOps) {
    return {
      id: 'bpf/attach-target',
      message: `${kernelName(target)} has no struct_ops ${structOps[1]}`,
      help: 'Check the name of the type; the kernel may have been built without it, or its module is not loaded.',
      places: [{ kind: 'structOps', name: '' }, program],
    };
  }
  if (says(/failed to find valid kernel BTF|Error loading vmlinux BTF|kernel BTF is missing/)) {
    return {
      id: 'bpf/btf',
      message: `${kernelName(target)} has no BTF of its own types, which this program's CO-RE relocations or attach target need`,
      help: 'The kernel was built without CONFIG_DEBUG_INFO_BTF: choose another with "BPF: Select Kernel". Programs without CO-RE, fentry, LSM and iterators work on it.',
      places: [{ kind: 'include', name: 'vmlinux.h' }, program],
    };
  }
  return undefined;
}

function programType(failed: FailedLoad, target: TargetFacts | undefined): LoadFinding | undefined {
  if (failed.id !== 'bpf/program-type' || !target) return undefined;
  const { name, type } = failed;
  const why = missingProgramType(type, target);
  if (!why) return undefined;
  const places = [
    { kind: 'section' as const, name },
    { kind: 'program' as const, name },
  ];
  if (why.since !== undefined) {
    return {
      id: 'bpf/program-type',
      message: `${kernelName(target)} has no programs of type ${type}: they came with Linux ${why.since}`,
      help: 'Choose a newer kernel with "BPF: Select Kernel", or --target vm:PATH-TO-VMLINUZ.',
      places,
    };
  }
  return {
    id: 'bpf/kernel-option',
    message: `${kernelName(target)} was built without ${why.option}, which programs of type ${type} need`,
    help: 'Choose a kernel that was built with it ("BPF: Select Kernel"); other types of programs are not affected.',
    places,
  };
}

function permission(failed: FailedLoad, target: TargetFacts | undefined): LoadFinding | undefined {
  if (failed.id !== 'bpf/permission' || failed.errno !== 'EPERM' || target?.mayLoad !== true)
    return undefined;
  const { name, type } = failed;
  if (isOlder(target.release, '5.11') && failed.lines.some((line) => /ulimit -l/.test(line))) {
    return {
      id: 'bpf/memlock',
      message: `${kernelName(target)} refused to load ${name}: together with what is loaded already it exceeds the limit of locked memory (RLIMIT_MEMLOCK)`,
      help: 'Raise the limit with `ulimit -l unlimited` before the loader starts. Since Linux 5.11 programs do not count against it.',
      places: [{ kind: 'program', name }],
    };
  }
  return {
    id: 'bpf/permission',
    message: `A policy of this kernel refuses programs of type ${type}, although others may be loaded`,
    help: 'Lockdown, a security module or a container may forbid it: see `cat /sys/kernel/security/lockdown` and dmesg. A kernel in a VM has no such policy ("BPF: Select Kernel", --target vm).',
    places: [
      { kind: 'section', name },
      { kind: 'program', name },
    ],
  };
}
