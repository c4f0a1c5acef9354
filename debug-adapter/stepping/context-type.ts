/** What a program is called with, by the type of its own first parameter. */
import type { DwarfVariable } from '../../toolchain/dwarf/dwarf';
import type { Moment } from './moment';

/** Arguments of a tracing program, eight bytes each: MAX_BPF_FUNC_ARGS of include/linux/bpf.h. */
const MAX_ARGUMENTS = 12;

interface ContextType {
  parameter: DwarfVariable;
  /** What it points to. */
  type: number;
  /** A list of arguments (`unsigned long long *ctx`), and no structure. */
  isList: boolean;
  /** In bytes; 0 if the type is only declared. */
  size: number;
}

/** Undefined when the program does not say: it has no DWARF, or no parameter that is a pointer. */
export function contextType({ source, types }: Pick<Moment, 'source' | 'types'>): ContextType | undefined {
  const variables = source.variables(0);
  const outermost = Math.max(...variables.map(({ frame }) => frame));
  const parameter = variables.find(({ frame, isParameter }) => isParameter && frame === outermost);
  const pointer = parameter && types?.resolve(parameter.type);
  if (!types || !parameter || pointer?.kind !== 'ptr') return undefined;
  const isList = types.resolve(pointer.type).kind === 'int';
  const size = isList ? 8 * MAX_ARGUMENTS : types.sizeOf(pointer.type);
  return { parameter, type: pointer.type, isList, size };
}
