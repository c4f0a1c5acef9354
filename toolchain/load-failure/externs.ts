/** `extern … __ksym`, `extern … __kconfig` and plain declarations that nothing satisfied, in libbpf's words. */
import { prototype } from '../btf/spell';
import type { BpfObject } from '../elf/object';
import type { MapPath } from '../verifier/position';
import type { LoadFinding } from './finding';
import { alternatives, nearestNames } from './nearest';
import { placeOfSymbol } from './source-places';
import { kernelName } from './target';
import type { TargetFacts } from './target';

const rules: { pattern: RegExp; explain(name: string, facts: TargetFacts | undefined): Explained }[] = [
  {
    // Kernel functions before the general rule for externs.
    pattern: /extern \(func ksym\) '([^']+)': not found in kernel or module BTFs/,
    explain: missingFunction,
  },
  {
    pattern: /extern \(func ksym\) '([^']+)': func_proto \[\d+\] incompatible/,
    explain(name, facts) {
      const func = facts?.btf?.find('func', name);
      return {
        message: `${kernelName(facts)} has ${name}, but not with the types that it is declared with here`,
        help: func
          ? `Declare it as the kernel does: \`extern ${prototype(facts!.btf!, func.id)} __ksym;\`, or include the vmlinux.h of this kernel.`
          : 'Declare it as the kernel does: its vmlinux.h has the declaration.',
        isFunction: true,
      };
    },
  },
  {
    pattern: /extern \(var ksym\) '([^']+)': not found in kernel BTF/,
    explain(name, facts) {
      const similar = facts?.btf ? nearestNames(name, facts.btf.namesOf('var')) : [];
      return {
        message: `${kernelName(facts)} has no variable ${name} in its BTF`,
        help: `${similar.length > 0 ? `It has ${alternatives(similar)}. ` : ''}BTF has the per-CPU variables only; for the address of another one declare it \`extern const void ${name} __ksym __weak;\` and test it before use.`,
        isFunction: false,
      };
    },
  },
  {
    pattern: /extern '(CONFIG_[^']+)' \(strong\): not resolved|extern \(kcfg\) '([^']+)'/,
    explain: (name, facts) => ({
      message: `The configuration of ${kernelName(facts).replace('This', 'this')} has no ${name}`,
      help: `An option that is off is not in it. Declare it \`__kconfig __weak\`: it is 0 then.`,
      isFunction: false,
    }),
  },
  {
    pattern: /extern '([^']+)' \(strong\): not resolved/,
    explain: (name, facts) => ({
      message: `${kernelName(facts)} has no ${name}`,
      help: 'Declare it __weak and test it before use.',
      isFunction: false,
    }),
  },
  {
    pattern: /failed to find BTF for extern '([^']+)'/,
    explain: (name) => ({
      message: `${name} is declared but defined nowhere in this program`,
      help: `Define it in this file; if it is a function of the kernel, declare it \`extern … ${name}(…) __ksym;\`.`,
      isFunction: true,
    }),
  },
  {
    pattern: /kfunc '([^']+)' is referenced but wasn't resolved/,
    explain(name, facts) {
      const { message, help } = missingFunction(name, facts);
      return {
        message: `${message}, and the program may reach this call`,
        help: `Call it only after if (bpf_ksym_exists(${name})). ${help.replace(/ ?Declare it __weak.*$/, '')}`.trim(),
        isFunction: true,
      };
    },
  },
];

interface Explained {
  message: string;
  help: string;
  isFunction: boolean;
}

function missingFunction(name: string, facts: TargetFacts | undefined): Explained {
  const similar = facts?.btf ? nearestNames(name, facts.btf.namesOf('func')) : [];
  return {
    message: `${kernelName(facts)} has no kernel function ${name} that programs may call`,
    help: `${similar.length > 0 ? `Its BTF has ${alternatives(similar)}. ` : ''}Declare it __weak and call it only after if (bpf_ksym_exists(${name})), or choose a kernel or load the module that has it.`,
    isFunction: true,
  };
}

/** The finding for the first of the lines that speaks of an extern. */
export function explainExtern(
  lines: readonly string[],
  program: string,
  object: BpfObject | undefined,
  facts: TargetFacts | undefined,
  mapPath: MapPath,
): LoadFinding | undefined {
  for (const line of lines) {
    for (const { pattern, explain } of rules) {
      const match = pattern.exec(line);
      const name = match?.[1] ?? match?.[2];
      if (name === undefined) continue;
      const { message, help, isFunction } = explain(name, facts);
      const at = object && isFunction ? placeOfSymbol(object, name, program, mapPath) : undefined;
      return {
        id: 'bpf/extern',
        message,
        help,
        places: [{ kind: 'extern', name }],
        ...(at && { at }),
      };
    }
  }
  return undefined;
}
