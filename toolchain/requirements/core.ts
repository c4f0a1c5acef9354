/** What a CO-RE relocation asks for, in C names, and whether a kernel's BTF has it. */
import type { Btf } from '../btf/btf';
import type { CoreRelocation } from '../btf/ext';
import type { BtfType, Member } from '../btf/kinds';

/** `enum bpf_core_relo_kind`, include/uapi/linux/bpf.h. */
const Relocation = {
  FieldByteOffset: 0,
  FieldByteSize: 1,
  FieldExists: 2,
  FieldSigned: 3,
  FieldLshift: 4,
  FieldRshift: 5,
  TypeIdTarget: 7,
  TypeSize: 9,
  EnumeratorValue: 11,
} as const;

export type CoreRequirement =
  /** `type` with its keyword, as in `struct task_struct`; `path` the names of members, anonymous ones left out. */
  | { kind: 'field'; type: string; path: string[] }
  | { kind: 'type'; name: string }
  | { kind: 'enumerator'; type: string; name: string };

/** Kinds that a CO-RE relocation can name. */
type Nameable = 'struct' | 'union' | 'enum' | 'enum64' | 'typedef' | 'int' | 'fwd';
const DEPTH = 32;

/**
 * What the relocation asks for; undefined when it asks for nothing that can be missing (`bpf_core_field_exists` and
 * its like, ids of the object's own types) or its access string does not fit the type.
 */
export function coreRequirement(
  btf: Btf,
  { type, access, kind }: CoreRelocation,
): CoreRequirement | undefined {
  const root = withoutQualifiers(btf, type);
  if (!root.name) return undefined;
  switch (kind) {
    case Relocation.FieldByteOffset:
    case Relocation.FieldByteSize:
    case Relocation.FieldSigned:
    case Relocation.FieldLshift:
    case Relocation.FieldRshift: {
      const path = memberNames(btf, root, access);
      // The whole of an object, or an element of an array of it, needs no more than its type.
      if (path?.length === 0) return { kind: 'type', name: spell(root) };
      return path && { kind: 'field', type: spell(root), path };
    }
    case Relocation.TypeIdTarget:
    case Relocation.TypeSize:
      return { kind: 'type', name: spell(root) };
    case Relocation.EnumeratorValue: {
      const owner = btf.resolve(root.id);
      const found =
        owner.kind === 'enum' || owner.kind === 'enum64' ? owner.enumerators[Number(access)] : undefined;
      return found && { kind: 'enumerator', type: spell(root), name: essential(found.name) };
    }
    default:
      return undefined;
  }
}

/** Whether the kernel's types have it; by names alone, as libbpf chooses its candidates. */
export function hasCore(btf: Btf, requirement: CoreRequirement): boolean {
  if (requirement.kind === 'type') return candidates(btf, requirement.name).length > 0;
  return candidates(btf, requirement.type).some((candidate) => {
    const type = btf.resolve(candidate.id);
    if (requirement.kind === 'field') return hasPath(btf, type, requirement.path);
    return (
      (type.kind === 'enum' || type.kind === 'enum64') &&
      type.enumerators.some(({ name }) => name === requirement.name)
    );
  });
}

/** `task_struct___old` stands for `task_struct`: what follows three underscores is a flavor. */
function essential(name: string): string {
  return name.replace(/^(.+?)___[^_].*$/, '$1');
}

function spell(type: BtfType): string {
  const keyword = { struct: 'struct ', union: 'union ', enum: 'enum ', enum64: 'enum ' } as Record<
    string,
    string
  >;
  return `${keyword[type.kind] ?? ''}${essential(type.name)}`;
}

function candidates(btf: Btf, spelled: string): BtfType[] {
  const [, keyword, name] = /^(?:(struct|union|enum) )?(.*)$/.exec(spelled) ?? [];
  const kinds: Nameable[] =
    keyword === 'enum' ? ['enum', 'enum64'] : keyword ? [keyword as Nameable] : ['typedef', 'int'];
  return btf
    .findAll(name ?? '')
    .map((id) => btf.type(id))
    .filter(({ kind }) => kinds.includes(kind as Nameable));
}

/** Typedefs stay, because libbpf looks for them by their own name. */
function withoutQualifiers(btf: Btf, id: number): BtfType {
  let type = btf.type(id);
  for (let depth = 0; depth < DEPTH; depth++) {
    if (type.kind !== 'const' && type.kind !== 'volatile' && type.kind !== 'restrict') break;
    type = btf.type(type.type);
  }
  return type;
}

/** Names along an access string such as `0:1:2`; its first number indexes the object as an array. */
function memberNames(btf: Btf, root: BtfType, access: string): string[] | undefined {
  const names: string[] = [];
  let type = btf.resolve(root.id);
  for (const index of access.split(':').slice(1).map(Number)) {
    if (type.kind === 'array') {
      type = btf.resolve(type.element);
    } else if (type.kind === 'struct' || type.kind === 'union') {
      const member: Member | undefined = type.members[index];
      if (!member) return undefined;
      if (member.name) names.push(essential(member.name));
      type = btf.resolve(member.type);
    } else return undefined;
  }
  return names;
}

function hasPath(btf: Btf, type: BtfType, [name, ...rest]: string[]): boolean {
  if (name === undefined) return true;
  const inner = type.kind === 'array' ? btf.resolve(type.element) : type;
  const member = findMember(btf, inner, name, 0);
  return member !== undefined && hasPath(btf, btf.resolve(member.type), rest);
}

/** A member by name, also within anonymous structs and unions. */
function findMember(btf: Btf, type: BtfType, name: string, depth: number): Member | undefined {
  if ((type.kind !== 'struct' && type.kind !== 'union') || depth > DEPTH) return undefined;
  for (const member of type.members) {
    if (member.name === name) return member;
    const within = member.name ? undefined : findMember(btf, btf.resolve(member.type), name, depth + 1);
    if (within) return within;
  }
  return undefined;
}
