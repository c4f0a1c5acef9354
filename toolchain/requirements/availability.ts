/** Which kernels have what an object needs, as far as their BTF tells. */
import type { Btf } from '../btf/btf';
import { hasCore } from './core';
import type { Need, Requirement } from './requirements';

/** A kernel at hand; without BTF nothing is said of it. */
export interface KernelTypes {
  release: string;
  btf: Btf | undefined;
}

export interface Missing extends Need {
  /** What it is, in the field's word: `helper`, `kfunc`, `field`, `map type` … */
  word: string;
  /** Its name: `bpf_loop`, `struct task_struct.__state`, `BPF_MAP_TYPE_ARENA`. */
  name: string;
  /** Releases that lack it, in the order given. */
  missingIn: string[];
  /** The first kernel, in the order given, that has it; absent when none at hand does. */
  firstSeenIn?: string;
}

/** Whether a kernel's BTF has it; undefined when the BTF does not say (the enum is not in it). */
export function provides(btf: Btf, requirement: Requirement): boolean | undefined {
  switch (requirement.kind) {
    case 'helper':
      return enumerators(btf, 'bpf_func_id')?.has(requirement.number);
    case 'mapType':
      return enumerators(btf, 'bpf_map_type')?.has(requirement.number);
    case 'programType':
      return enumerators(btf, 'bpf_prog_type')?.has(requirement.number);
    case 'attachType': {
      const names = enumerators(btf, 'bpf_attach_type');
      return names && [...names.values()].includes(`BPF_${requirement.name.toUpperCase()}`);
    }
    case 'instructions':
      return undefined;
    case 'structOps':
      // The kernel wraps each type that it takes (register_bpf_struct_ops), and libbpf looks for the wrapper.
      return btf.find('struct', `bpf_struct_ops_${requirement.name}`) !== undefined;
    case 'kfunc':
      return btf.find('func', requirement.name) !== undefined;
    case 'attachTarget':
      return btf.find(requirement.btfKind, requirement.btfName) !== undefined;
    default:
      return hasCore(btf, requirement);
  }
}

/** What at least one of the kernels lacks. `kernels` from old to new: "first seen" is the first that has it. */
export function missingIn(needs: readonly Need[], kernels: readonly KernelTypes[]): Missing[] {
  return needs.flatMap((need) => {
    const { requirement } = need;
    const answers = kernels.map(({ release, btf }) => ({
      release,
      has: btf ? provides(btf, requirement) : undefined,
    }));
    const lacking = answers.filter(({ has }) => has === false).map(({ release }) => release);
    if (lacking.length === 0) return [];
    const first = answers.find(({ has }) => has === true);
    return [missingOf(need, nameOf(requirement, kernels), lacking, first?.release)];
  });
}

export function missingOf(
  need: Need,
  name: string,
  lacking: string[],
  firstSeenIn: string | undefined,
): Missing {
  const missing: Missing = { ...need, word: words[need.requirement.kind], name, missingIn: lacking };
  return firstSeenIn === undefined ? missing : { ...missing, firstSeenIn };
}

const words: Record<Requirement['kind'], string> = {
  helper: 'helper',
  kfunc: 'kfunc',
  field: 'field',
  type: 'type',
  enumerator: 'enumerator',
  mapType: 'map type',
  programType: 'program type',
  attachType: 'attach type',
  structOps: 'struct_ops type',
  instructions: 'instructions',
  attachTarget: 'attach target',
};

/** Numbers get their name from the newest kernel that has one. */
function nameOf(requirement: Requirement, kernels: readonly KernelTypes[]): string {
  const fromBtf = (name: string, number: number): string | undefined => {
    for (const { btf } of [...kernels].reverse()) {
      const found = btf && enumerators(btf, name)?.get(number);
      if (found) return found;
    }
    return undefined;
  };
  switch (requirement.kind) {
    case 'helper': {
      const found = fromBtf('bpf_func_id', requirement.number)?.replace(/^BPF_FUNC_/, 'bpf_');
      return found ?? `number ${requirement.number}`;
    }
    case 'mapType': {
      const found = fromBtf('bpf_map_type', requirement.number) ?? `number ${requirement.number}`;
      return `${found} (map ${requirement.map})`;
    }
    case 'programType':
      return fromBtf('bpf_prog_type', requirement.number) ?? requirement.name;
    case 'attachType':
      return `BPF_${requirement.name.toUpperCase()}`;
    case 'field':
      return `${requirement.type}.${requirement.path.join('.')}`;
    case 'enumerator':
      return `${requirement.name} of ${requirement.type}`;
    default:
      return requirement.name;
  }
}

/** Values and names of an enum of the kernel; bounds such as `__MAX_BPF_MAP_TYPE` are no members. */
function enumerators(btf: Btf, name: string): Map<number, string> | undefined {
  const type = btf.find('enum', name);
  if (!type) return undefined;
  const real = type.enumerators.filter((one) => !one.name.startsWith('__'));
  // Of several names for one value the first is the proper one.
  return new Map(real.reverse().map((one) => [Number(one.value), one.name]));
}
