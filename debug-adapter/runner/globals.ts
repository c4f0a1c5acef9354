/** Values of global variables that a configuration sets before load: variable name → whole sections. */
import { encodeJson } from './encode-json';
import { findSection } from '../../toolchain/elf/elf';
import { badConfiguration } from '../errors';
import type { ProgramFile } from './object';

/** Section name → bytes with the variables put in; undefined when none are set. */
export function encodeGlobals(
  { object }: ProgramFile,
  values: Record<string, unknown>,
): Record<string, Uint8Array> | undefined {
  const names = Object.keys(values);
  if (names.length === 0) return undefined;
  const { btf } = object;
  if (!btf) throw badConfiguration('"globals" needs the types of the variables: compile the object with -g.');
  const sections: Record<string, Uint8Array> = {};
  const known: string[] = [];
  const placed = new Set<string>();
  for (const datasec of btf.ofKind('datasec')) {
    const section = findSection(object.elf, datasec.name);
    if (!section || !/^\.(data|bss|rodata)(\.|$)/.test(datasec.name)) continue;
    for (const { type, offset, size } of datasec.variables) {
      const variable = btf.type(type);
      known.push(variable.name);
      if (variable.kind !== 'var' || !Object.hasOwn(values, variable.name)) continue;
      const encoded = encodeJson(btf, variable.type, values[variable.name]);
      if (!encoded.ok) throw badConfiguration(`"globals.${variable.name}": ${encoded.problem.message}`);
      // .bss has a size and no bytes in the file.
      const bytes = (sections[datasec.name] ??= Uint8Array.from(
        { length: section.size },
        (_, i) => section.data[i] ?? 0,
      ));
      bytes.set(encoded.value.subarray(0, size), offset);
      placed.add(variable.name);
    }
  }
  const missing = names.find((name) => !placed.has(name));
  if (missing !== undefined)
    throw badConfiguration(
      `"globals.${missing}": the object has no such global variable; it has ${known.join(', ') || 'none'}.`,
    );
  return sections;
}
