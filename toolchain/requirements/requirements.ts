/**
 * What an object needs of a kernel beyond the verifier's consent: helpers, kfuncs, types and their fields, map and
 * program types, functions to attach to. All of it stands in the object, and whether a kernel has it in that
 * kernel's BTF, so it can be told without loading anything.
 */
import type { BpfObject, ObjectProgram } from '../elf/object';
import { callsOf } from './calls';
import { coreRequirement, type CoreRequirement } from './core';
import { additionsIn } from './instructions';

export type Requirement =
  /** `enum bpf_func_id`: the number is all that a call instruction holds. */
  | { kind: 'helper'; number: number }
  /** A kernel function that the program calls, declared `__ksym`. */
  | { kind: 'kfunc'; name: string }
  | CoreRequirement
  /** `enum bpf_map_type`. */
  | { kind: 'mapType'; number: number; map: string }
  /** `enum bpf_prog_type`. */
  | { kind: 'programType'; number: number; name: string }
  /** `enum bpf_attach_type`, in lower case and without its prefix, as libbpf names it. */
  | { kind: 'attachType'; name: string }
  /** Additions to the instruction set; see instructions.ts. BTF says nothing of them. */
  | { kind: 'instructions'; name: string }
  /** The type of a struct_ops map, without `struct`. */
  | { kind: 'structOps'; name: string }
  /** What fentry, fexit, fmod_ret, LSM, tp_btf and iter programs attach to: a FUNC, or tp_btf's typedef. */
  | { kind: 'attachTarget'; name: string; btfName: string; btfKind: 'func' | 'typedef' };

export interface Need {
  requirement: Requirement;
  /** C function names of the programs that need it, in the order of the file. Maps are needed by all. */
  programs: string[];
}

/** What libbpf made of a program's section; a program's verdict has these fields. */
export interface ProgramKind {
  name: string;
  type: string;
  typeNumber: number;
  attachType?: string;
}

/**
 * Everything the object asks of a kernel, each once. Weak kfuncs and `bpf_core_*_exists` are left out: with those the
 * program asks the kernel itself and goes on without. `kinds` adds program and attach types where they are known.
 */
export function needsOf(object: BpfObject, kinds: readonly ProgramKind[] = []): Need[] {
  const needs = new Map<string, Need>();
  const add = (requirement: Requirement, programs: readonly string[]) => {
    const key = keyOf(requirement);
    const need = needs.get(key) ?? { requirement, programs: [] };
    for (const program of programs) if (!need.programs.includes(program)) need.programs.push(program);
    needs.set(key, need);
  };
  const calls = callsOf(object);
  for (const program of object.programs) {
    const users = [program.name];
    for (const code of calls.reachableFrom(program)) {
      for (const number of calls.helpers(code)) add({ kind: 'helper', number }, users);
      for (const name of calls.kfuncs(code)) add({ kind: 'kfunc', name }, users);
      for (const name of additionsIn(object, code)) add({ kind: 'instructions', name }, users);
      for (const requirement of relocatedIn(object, code)) add(requirement, users);
    }
    const target = attachTarget(program.section);
    if (target) add(target, users);
    const kind = kinds.find(({ name }) => name === program.name);
    if (kind) add({ kind: 'programType', number: kind.typeNumber, name: kind.type }, users);
    if (kind?.attachType) add({ kind: 'attachType', name: kind.attachType }, users);
  }
  const everyProgram = object.programs.map(({ name }) => name);
  for (const map of object.maps) {
    add({ kind: 'mapType', number: map.typeNumber, map: map.name }, everyProgram);
  }
  const implementers = object.programs.filter(({ section }) => /^\??struct_ops(\.s)?(\/|$)/.test(section));
  for (const name of structOpsOf(object)) {
    add(
      { kind: 'structOps', name },
      implementers.map((program) => program.name),
    );
  }
  return [...needs.values()];
}

/** Types of the variables in `SEC(".struct_ops")`, whose functions the programs are. */
function structOpsOf({ btf }: BpfObject): string[] {
  const sections = ['.struct_ops', '.struct_ops.link', '?.struct_ops', '?.struct_ops.link'];
  return sections.flatMap((section) =>
    (btf?.find('datasec', section)?.variables ?? []).flatMap(({ type }) => {
      const variable = btf?.type(type);
      const name = variable?.kind === 'var' ? btf?.resolve(variable.type).name : undefined;
      return name ? [name.replace(/___[^_].*$/, '')] : [];
    }),
  );
}

/** The same for the same thing, however often it is needed. */
function keyOf(requirement: Requirement): string {
  switch (requirement.kind) {
    case 'helper':
    case 'mapType':
    case 'programType':
      return `${requirement.kind} ${requirement.number}`;
    case 'field':
      return `field ${requirement.type}.${requirement.path.join('.')}`;
    case 'enumerator':
      return `enumerator ${requirement.type} ${requirement.name}`;
    case 'attachTarget':
      return `attachTarget ${requirement.btfName}`;
    default:
      return `${requirement.kind} ${requirement.name}`;
  }
}

function* relocatedIn({ btf, ext }: BpfObject, code: ObjectProgram): Generator<CoreRequirement> {
  if (!btf) return;
  for (const relocation of ext?.relocations.get(code.section) ?? []) {
    const at = relocation.insn - code.firstInsn;
    const requirement = at >= 0 && at < code.insnCount ? coreRequirement(btf, relocation) : undefined;
    if (requirement) yield requirement;
  }
}

/** Sections whose second part names what libbpf looks up in the kernel's BTF, and under which name (libbpf.c). */
const attachTargets: { section: RegExp; prefix: string; kind: 'func' | 'typedef' }[] = [
  { section: /^(?:fentry|fexit|fmod_ret|fsession)(?:\.s)?\/(\w+)$/, prefix: '', kind: 'func' },
  { section: /^lsm(?:_cgroup|\.s)?\/(\w+)$/, prefix: 'bpf_lsm_', kind: 'func' },
  { section: /^iter(?:\.s)?\/(\w+)$/, prefix: 'bpf_iter_', kind: 'func' },
  { section: /^tp_btf\/(\w+)$/, prefix: 'btf_trace_', kind: 'typedef' },
];

function attachTarget(section: string): Requirement | undefined {
  for (const { section: pattern, prefix, kind } of attachTargets) {
    const name = pattern.exec(section.replace(/^\?/, ''))?.[1];
    if (name) return { kind: 'attachTarget', name, btfName: `${prefix}${name}`, btfKind: kind };
  }
  return undefined;
}
