/** Types of a program by their names, as casts name them. */
import { Attribute, Tag } from './constants';
import type { TypeId } from './types';
import type { Unit } from './unit';

export type NamedKind = 'struct' | 'union' | 'enum' | 'typedef' | 'base';

const TAGS: Record<NamedKind, number> = {
  struct: Tag.StructureType,
  union: Tag.UnionType,
  enum: Tag.EnumerationType,
  typedef: Tag.Typedef,
  base: Tag.BaseType,
};

/** An index over the types that stand at the top of each unit; those declared within functions are not in it. */
export class NamedTypes {
  private readonly kinds = new Map<NamedKind, Map<string, TypeId>>();
  private enumerations: TypeId[] | undefined;

  constructor(private readonly units: readonly Unit[]) {}

  /** The first complete type of a kind and name. */
  find(kind: NamedKind, name: string): TypeId | undefined {
    let names = this.kinds.get(kind);
    if (!names) {
      names = this.read(kind);
      this.kinds.set(kind, names);
    }
    return names.get(name);
  }

  /** All enumerations, those without a name too. */
  get enums(): readonly TypeId[] {
    return (this.enumerations ??= this.units.flatMap(
      ({ root }) => root?.childrenWith(Tag.EnumerationType).map(({ offset }) => offset) ?? [],
    ));
  }

  private read(kind: NamedKind): Map<string, TypeId> {
    const names = new Map<string, TypeId>();
    for (const { root } of this.units) {
      for (const die of root?.childrenWith(TAGS[kind]) ?? []) {
        const name = die.string(Attribute.Name);
        if (name !== '' && !names.has(name) && !die.has(Attribute.Declaration)) names.set(name, die.offset);
      }
    }
    return names;
  }
}
