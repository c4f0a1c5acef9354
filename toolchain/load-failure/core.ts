/**
 * CO-RE relocations that the target kernel could not satisfy. libbpf replaces such an instruction by a call of the
 * helper 0xbad2310, which the verifier refuses if it gets there; its number leads back to the relocation record, and
 * that to the type and member the program named (libbpf's relo_core.c, Documentation/bpf/btf.rst).
 */
import type { Btf } from '../btf/btf';
import { parseLineInfo } from '../btf/ext';
import type { CoreRelocation } from '../btf/ext';
import type { BtfType, Member } from '../btf/kinds';
import type { BpfObject } from '../elf/object';
import type { LoadFinding } from './finding';
import { alternatives, nearestNames } from './nearest';
import { objectInstructions, wordIn } from './source-places';
import { kernelName } from './target';
import type { TargetFacts } from './target';
import type { SourcePositions, SourceSpan } from '../verifier/position';

/** `enum bpf_core_relo_kind`: relocations of a type, of an enum's value; the rest are of fields. */
const TYPE_KINDS = new Set([6, 7, 8, 9, 12]);
const ENUM_KINDS = new Set([10, 11]);

/** What a relocation names, in C's words. */
export interface CoreTarget {
  kind: 'field' | 'type' | 'enumerator';
  /** As the program declares it: `struct task_struct___old`. */
  typeName: string;
  /** Without the flavour after `___`, which only the program has. */
  essential: string;
  /** Members from the outermost in; array indices are left out. For an enumerator its name. */
  path: string[];
}

/** Reads a relocation record; undefined when its type or access string fits nothing. */
export function describeRelocation(btf: Btf, relocation: CoreRelocation): CoreTarget | undefined {
  const root = btf.resolve(relocation.type);
  const named = btf.type(relocation.type).name || root.name;
  if (named === '') return undefined;
  const keyword =
    root.kind === 'enum64' ? 'enum' : ['struct', 'union', 'enum'].includes(root.kind) ? root.kind : '';
  const common = {
    typeName: root.name === named && keyword ? `${keyword} ${named}` : named,
    essential: withoutFlavour(root.name || named),
  };
  if (TYPE_KINDS.has(relocation.kind)) return { kind: 'type', ...common, path: [] };
  const indices = relocation.access.split(':').map(Number);
  if (ENUM_KINDS.has(relocation.kind)) {
    const enumerator =
      root.kind === 'enum' || root.kind === 'enum64' ? root.enumerators[indices[0] ?? -1] : undefined;
    return enumerator && { kind: 'enumerator', ...common, path: [enumerator.name] };
  }
  const path: string[] = [];
  let type: BtfType = root;
  for (const index of indices.slice(1)) {
    if (type.kind === 'array') {
      type = btf.resolve(type.element);
      continue;
    }
    const member: Member | undefined =
      type.kind === 'struct' || type.kind === 'union' ? type.members[index] : undefined;
    if (!member) return undefined;
    if (member.name) path.push(member.name);
    type = btf.resolve(member.type);
  }
  return { kind: 'field', ...common, path };
}

/** The failed relocation at an instruction of the loaded program. */
export function relocationAt(
  object: BpfObject,
  lineInfo: Uint8Array,
  insn: number,
): CoreRelocation | undefined {
  for (const place of objectInstructions(object, parseLineInfo(lineInfo), insn)) {
    const record = object.ext?.relocations.get(place.section)?.find((one) => one.insn === place.insn);
    if (record) return record;
  }
  return undefined;
}

/** libbpf's own words for the same: `struct inode.i_atime.tv_sec`, `enum pid_type::PIDTYPE_X`. */
const spelled =
  /<(\w+)> \[\d+\] (?:(struct|union|enum|typedef) )?([\w<>]+)(?:\.([\w.[\]]+)|::(\w+))?(?: |$|\()/;

/** Reads the line with which libbpf replaces the poisoned instruction's in the log. */
export function readSpelled(line: string): CoreTarget | undefined {
  const match = spelled.exec(line);
  if (!match) return undefined;
  const [, , keyword, name = '', members, enumerator] = match;
  const typeName = keyword && keyword !== 'typedef' ? `${keyword} ${name}` : name;
  const common = { typeName, essential: withoutFlavour(name) };
  if (enumerator) return { kind: 'enumerator', ...common, path: [enumerator] };
  if (!members) return { kind: 'type', ...common, path: [] };
  return { kind: 'field', ...common, path: members.replaceAll(/\[\d+\]/g, '').split('.') };
}

/** What to say of a relocation that failed. */
export function explainCore(target: CoreTarget, facts: TargetFacts | undefined): LoadFinding {
  const kernel = kernelName(facts);
  const missing = facts?.btf && findMissing(facts.btf, target);
  const whole = spell(target);
  const reason = missing?.reason ?? `its types do not match \`${whole}\``;
  return {
    id: 'bpf/core-relocation',
    message: `${kernel} has no \`${whole}\`: ${reason}, so the CO-RE relocation failed and the program may not run this`,
    help: [missing?.similar, wayOut(target)].filter(Boolean).join(' '),
  };
}

export function spell({ kind, typeName, path }: CoreTarget): string {
  if (kind === 'enumerator') return `${typeName}::${path.join('')}`;
  return path.length > 0 ? `${typeName}.${path.join('.')}` : typeName;
}

/** How a program may ask for what only some kernels have. */
function wayOut({ kind, typeName, path }: CoreTarget): string {
  const last = path.at(-1) ?? '';
  switch (kind) {
    case 'enumerator':
      return `Ask first, so that this is not reached where it is missing: if (bpf_core_enum_value_exists(${typeName}, ${last})).`;
    case 'type':
      return `Ask first, so that this is not reached where it is missing: if (bpf_core_type_exists(${typeName})).`;
    case 'field':
      return `Ask first, so that this is not reached where it is missing: if (bpf_core_field_exists(…${path.length > 0 ? `->${path.join('.')}` : ''})); a second definition of the type with a name ending in ___SUFFIX can declare another kernel's layout.`;
  }
}

/** What of it the kernel's BTF lacks, and what it has of a similar name. */
function findMissing(btf: Btf, target: CoreTarget): { reason: string; similar: string } | undefined {
  const { essential, kind, path } = target;
  const types = btf
    .findAll(essential)
    .map((id) => btf.type(id))
    .filter((type) => type.kind !== 'fwd' && type.kind !== 'func' && type.kind !== 'var');
  if (types.length === 0) {
    const similar = nearestNames(essential, typeNames(btf));
    return {
      reason: `there is no type ${essential} in its BTF`,
      similar: similar.length > 0 ? `Its BTF has ${alternatives(similar)}.` : '',
    };
  }
  if (kind === 'type') return undefined;
  if (kind === 'enumerator') {
    const names = types.flatMap((type) =>
      type.kind === 'enum' || type.kind === 'enum64' ? type.enumerators.map(({ name }) => name) : [],
    );
    const similar = nearestNames(path[0] ?? '', names);
    return {
      reason: `its ${essential} has no such value`,
      similar: similar.length > 0 ? `Its ${essential} has ${alternatives(similar)}.` : '',
    };
  }
  let current = types.map((type) => btf.resolve(type.id));
  let owner = target.typeName.replace(/___.*$/, '');
  for (const name of path) {
    const members = current.flatMap((type) => membersOf(btf, type));
    const next = members.filter((member) => member.name === name);
    if (next.length === 0) {
      const names = members.map((member) => member.name);
      const similar = nearestNames(name, names);
      const hint = similar.length > 0 ? ` Its \`${owner}\` has ${alternatives(similar)}.` : '';
      return { reason: `its \`${owner}\` has no member \`${name}\``, similar: hint.trim() };
    }
    current = next.map((member) => withoutArrays(btf, member.type));
    owner = spellType(current[0], name);
  }
  return { reason: 'what it has by that name is of another kind', similar: '' };
}

function spellType(type: BtfType | undefined, member: string): string {
  const named = type?.name && (type.kind === 'struct' || type.kind === 'union');
  return named ? `${type.kind} ${type.name}` : member;
}

function withoutArrays(btf: Btf, id: number): BtfType {
  let type = btf.resolve(id);
  for (let depth = 0; type.kind === 'array' && depth < 8; depth++) type = btf.resolve(type.element);
  return type;
}

/** Members of a struct or union, those of its anonymous members among them, as C sees them. */
function membersOf(btf: Btf, type: BtfType, depth = 0): Member[] {
  if ((type.kind !== 'struct' && type.kind !== 'union') || depth > 8) return [];
  return type.members.flatMap((member) =>
    member.name ? [member] : membersOf(btf, btf.resolve(member.type), depth + 1),
  );
}

function* typeNames(btf: Btf): Generator<string> {
  for (const kind of ['struct', 'union', 'enum', 'typedef'] as const) yield* btf.namesOf(kind);
}

function withoutFlavour(name: string): string {
  const at = name.indexOf('___');
  return at > 0 ? name.slice(0, at) : name;
}

/** Where the program names what is missing: the members together if written so, else the last one alone. */
export function placeOfCore(
  target: CoreTarget,
  insn: number,
  positions: SourcePositions,
): SourceSpan | undefined {
  const last = target.path.at(-1) ?? target.typeName.split(' ').at(-1) ?? '';
  const at = positions.withWord(last, insn);
  if (!at) return positions.at(insn);
  return (target.path.length > 1 && wordIn(at, target.path.join('.'))) || at;
}
