import { MAX_DEPTH } from './resolve';
import type { Types } from './btf';
import type { Parameter } from './kinds';

/** A type as C writes it without a name: `struct sock *`, `int (*)(void *, __u32)`, `char[16]`. */
export function typeName(btf: Types, id: number): string {
  return declaration(btf, id, '');
}

/** A declaration of `name` with the type: `char comm[16]`, `int (*handler)(struct xdp_md *)`. */
export function declaration(btf: Types, id: number, name: string): string {
  return spell(btf, id, name, 0);
}

/** A function's prototype: `long bpf_map_push(struct bpf_map *map, void *value)`. */
export function prototype(btf: Types, funcId: number): string {
  const func = btf.type(funcId);
  return func.kind === 'func' ? declaration(btf, func.type, func.name) : typeName(btf, funcId);
}

/**
 * C declares from the inside out: `inner` is what has been written around the name so far, and each derived type
 * adds its part to it on the way to the base type.
 */
function spell(btf: Types, id: number, inner: string, depth: number): string {
  if (depth > MAX_DEPTH) return `… ${inner}`;
  const type = btf.type(id);
  const next = (target: number, text: string) => spell(btf, target, text, depth + 1);
  switch (type.kind) {
    case 'void':
      return join('void', inner);
    case 'int':
    case 'float':
    case 'typedef':
      return join(type.name, inner);
    case 'struct':
    case 'union':
      return join(`${type.kind} ${type.name || '{…}'}`, inner);
    case 'fwd':
      return join(`${type.union ? 'union' : 'struct'} ${type.name}`, inner);
    case 'enum':
    case 'enum64':
      return join(`enum ${type.name || '{…}'}`, inner);
    case 'ptr': {
      const target = btf.kindOf(skipQualifiers(btf, type.type));
      const bindsTighter = target === 3 || target === 13;
      return next(type.type, bindsTighter ? `(*${inner})` : `*${inner}`);
    }
    case 'const':
    case 'volatile':
    case 'restrict': {
      // Qualifiers of a pointer stand after its star, those of anything else before the type.
      const target = btf.type(type.type).kind;
      const qualifiesPointer = target === 'ptr' || (type.kind === 'restrict' && target !== 'array');
      if (qualifiesPointer) return next(type.type, join(type.kind, inner));
      return `${type.kind} ${next(type.type, inner)}`;
    }
    case 'type_tag':
      return next(type.type, join(`__${type.name.replaceAll(/\W/g, '_')}`, inner));
    case 'array':
      return next(type.element, `${inner}[${type.count || ''}]`);
    case 'func_proto': {
      const parameters = type.parameters.map((parameter) => spellParameter(btf, parameter, depth + 1));
      return next(type.returns, `${inner}(${parameters.join(', ') || 'void'})`);
    }
    case 'func':
    case 'var':
      return next(type.type, inner || type.name);
    case 'datasec':
    case 'decl_tag':
      return join(type.name, inner);
  }
}

function spellParameter(btf: Types, parameter: Parameter, depth: number): string {
  if (parameter.type === 0 && !parameter.name) return '...';
  return spell(btf, parameter.type, parameter.name, depth);
}

function skipQualifiers(btf: Types, id: number): number {
  for (let depth = 0; depth < MAX_DEPTH; depth++) {
    const type = btf.type(id);
    if (type.kind !== 'const' && type.kind !== 'volatile' && type.kind !== 'type_tag') return id;
    id = type.type;
  }
  return id;
}

function join(left: string, right: string): string {
  if (!right) return left;
  return right.startsWith('[') || right.startsWith('(void') ? `${left}${right}` : `${left} ${right}`;
}
