/** Functions, the blocks and inlined calls in them, and the variables these declare. */
import { Attribute, Tag } from './constants';
import { locationsOf, rangesOf } from './lists';
import type { AddressRange, LocatedExpression } from './lists';
import type { TypeId } from './types';
import type { Die } from './unit';

export interface DeclaredAt {
  /** As clang was given it; empty if unknown. */
  file: string;
  /** One-based; 0 if unknown. */
  line: number;
}

export interface ScopeVariable extends DeclaredAt {
  name: string;
  type: TypeId;
  isParameter: boolean;
  locations: LocatedExpression[];
  /** A variable that the compiler found to be constant throughout. */
  constant?: bigint;
}

export interface Scope {
  kind: 'function' | 'inlined' | 'block';
  /** Of the function; empty for a block. */
  name: string;
  ranges: AddressRange[];
  declared: DeclaredAt;
  /** Where an inlined function was called; columns and lines are one-based, 0 if unknown. */
  call?: { file: string; line: number; column: number };
  variables: ScopeVariable[];
  scopes: Scope[];
}

export interface ScopeReader {
  die(offset: number): Die | undefined;
  file(die: Die, attribute: number): string;
}

/** A function with code, and all that is in it; undefined for a declaration or the shared part of an inlined one. */
export function readFunction(die: Die, reader: ScopeReader): Scope | undefined {
  const ranges = rangesOf(die);
  return ranges.length ? readScope(die, 'function', ranges, reader) : undefined;
}

/** Deeper than any C function nests blocks and inlined calls; a damaged object may claim more than fits a stack. */
const MAX_DEPTH = 100;

function readScope(
  die: Die,
  kind: Scope['kind'],
  ranges: AddressRange[],
  reader: ScopeReader,
  depth = 0,
): Scope {
  const chain = origins(die, reader);
  const declaring = chain.find((one) => one.has(Attribute.DeclLine)) ?? die;
  const scope: Scope = {
    kind,
    name: kind === 'block' ? '' : nameOf(chain),
    ranges,
    declared: declaredAt(declaring, reader),
    variables: [],
    scopes: [],
  };
  if (kind === 'inlined') {
    scope.call = {
      file: reader.file(die, Attribute.CallFile),
      line: die.number(Attribute.CallLine) ?? 0,
      column: die.number(Attribute.CallColumn) ?? 0,
    };
  }
  const seen = new Set<number>();
  for (const child of depth < MAX_DEPTH ? die.children : []) {
    switch (child.tag) {
      case Tag.FormalParameter:
      case Tag.Variable:
        for (const { offset } of origins(child, reader)) seen.add(offset);
        scope.variables.push(readVariable(child, reader));
        break;
      case Tag.LexicalBlock:
        scope.scopes.push(readScope(child, 'block', rangesOf(child), reader, depth + 1));
        break;
      case Tag.InlinedSubroutine:
        scope.scopes.push(readScope(child, 'inlined', rangesOf(child), reader, depth + 1));
        break;
      default:
        break;
    }
  }
  // What was optimised out entirely has an entry in the shared description only.
  for (const child of kind === 'block' ? [] : (chain.at(1)?.children ?? [])) {
    const isVariable = child.tag === Tag.FormalParameter || child.tag === Tag.Variable;
    if (isVariable && !seen.has(child.offset)) scope.variables.push(readVariable(child, reader));
  }
  return scope;
}

function readVariable(die: Die, reader: ScopeReader): ScopeVariable {
  const chain = origins(die, reader);
  const declaring = chain.find((one) => one.has(Attribute.DeclLine)) ?? die;
  const typed = chain.find((one) => one.has(Attribute.Type));
  const variable: ScopeVariable = {
    name: nameOf(chain),
    type: typed?.reference(Attribute.Type) ?? 0,
    isParameter: die.tag === Tag.FormalParameter,
    locations: locationsOf(die),
    ...declaredAt(declaring, reader),
  };
  const constant = die.integer(Attribute.ConstValue);
  if (constant !== undefined) variable.constant = constant;
  return variable;
}

/** The entry itself and what DW_AT_abstract_origin and DW_AT_specification lead to; a cycle ends after a few steps. */
function origins(die: Die, reader: ScopeReader): Die[] {
  const chain = [die];
  for (let depth = 0; depth < 4; depth++) {
    const last = chain.at(-1) as Die;
    const next = last.reference(Attribute.AbstractOrigin) ?? last.reference(Attribute.Specification);
    const found = next === undefined ? undefined : reader.die(next);
    if (!found) break;
    chain.push(found);
  }
  return chain;
}

function nameOf(chain: Die[]): string {
  return chain.find((one) => one.has(Attribute.Name))?.string(Attribute.Name) ?? '';
}

function declaredAt(die: Die, reader: ScopeReader): DeclaredAt {
  return { file: reader.file(die, Attribute.DeclFile), line: die.number(Attribute.DeclLine) ?? 0 };
}
