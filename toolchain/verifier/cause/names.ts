/**
 * C names of what registers and stack slots hold. DWARF knows; without it, or where it knows nothing, a name is given
 * only when the source line says it beyond doubt.
 */
import type { Dwarf, DwarfFunction, DwarfVariable, Scope, ScopeVariable } from '../../dwarf/dwarf';
import { Op } from '../../dwarf/constants';
import type { LoadedLayout } from '../../program/loaded-layout';
import type { Step } from '../path';
import type { SourcePositions, SourceSpan } from '../position';
import type { FlowValue } from './flow';

/** A variable on the stack, and what part of it lies at the offset that was asked for. */
export interface StackVariable {
  name: string;
  /** `key.port`, or `key` where the offset lies between its members. */
  path: string;
  /** Whether no member covers the byte: it is padding. */
  isPadding: boolean;
  /** Of the whole variable, in bytes. */
  size: number;
  declared: Declared;
}

/** Lines are one-based. */
export interface Declared {
  file: string;
  line: number;
}

/** Variables of a function and all inside it that lie in memory somewhere. */
function variablesIn(scope: Scope): ScopeVariable[] {
  const inMemory = scope.variables.filter(({ locations }) =>
    locations.some(({ expression }) => expression[0] === Op.Fbreg && expression.at(-1) !== Op.StackValue),
  );
  return [...inMemory, ...scope.scopes.flatMap(variablesIn)];
}

export class Names {
  constructor(
    private readonly steps: readonly Step[],
    private readonly positions: SourcePositions,
    private readonly dwarf: Dwarf | undefined,
    private readonly layout: LoadedLayout | undefined,
  ) {}

  /**
   * Variable whose value a register holds before a step. Several variables may share it (`data` and `eth`): then the
   * one that the source line there speaks of.
   */
  inRegister(index: number, register: number): string | undefined {
    const insn = this.steps[index]?.insn;
    const variables = this.variablesAt(insn).filter(
      ({ location, name }) => name !== '' && location.kind === 'register' && location.register === register,
    );
    const innermost = variables.filter(({ frame }) => frame === variables[0]?.frame);
    if (innermost.length < 2) return innermost[0]?.name;
    const text = (insn !== undefined && this.positions.at(insn)?.text) || '';
    const spoken = innermost.filter(({ name }) => hasWord(text, name));
    return spoken.length === 1 ? spoken[0]?.name : undefined;
  }

  /** Where the one variable that a register holds before a step is declared. */
  declarationOf(index: number, register: number): { name: string; declared: Declared } | undefined {
    const name = this.inRegister(index, register);
    const found = this.variablesAt(this.steps[index]?.insn).find(
      (one) => name !== undefined && one.name === name,
    );
    return found && { name: found.name, declared: { file: found.file, line: found.line } };
  }

  /** Name of a value, by a register that still holds it at the refused step `here`, else by one that was filled with it. */
  ofValue(value: FlowValue, here: number, registers: readonly FlowValue[]): string | undefined {
    for (const [register, held] of registers.entries()) {
      const name = held === value ? this.inRegister(here, register) : undefined;
      if (name) return name;
    }
    for (const { index, register } of [...value.holders].reverse()) {
      // A location begins behind the instruction that fills the register.
      const name = this.inRegister(index + 1, register);
      if (name) return name;
    }
    return this.assigned(value);
  }

  /** The name that a value had first. */
  atOrigin(value: FlowValue): string | undefined {
    for (const { index, register } of value.holders) {
      const name = this.inRegister(index + 1, register);
      if (name) return name;
    }
    return this.assigned(value);
  }

  /** The program's functions with what they keep on the stack, those that take most first. */
  stackUse(): { name: string; frameSize: number; variables: StackVariable[] }[] {
    const functions = (this.layout?.functions ?? []).flatMap(
      ({ section, insn }) => this.dwarf?.functionAt(section, insn) ?? [],
    );
    return functions
      .map((one) => ({ name: one.name, frameSize: one.frameSize, variables: this.onStackOf(one) }))
      .sort((a, b) => b.frameSize - a.frameSize);
  }

  /** The variable of a frame that covers an offset from the frame pointer. */
  onStack(insn: number, offset: number): StackVariable | undefined {
    for (const { name, type, location, file, line } of this.variablesAt(insn)) {
      if (!this.dwarf || location.kind !== 'stack') continue;
      const size = this.dwarf.sizeOf(type);
      const within = offset - location.offset;
      if (within < 0 || within >= size) continue;
      const { path, isPadding } = memberAt(this.dwarf, type, within);
      return { name, path: name + path, isPadding, size, declared: { file, line } };
    }
    return undefined;
  }

  /** The function that an instruction belongs to. */
  function(insn: number): string | undefined {
    const at = this.layout?.at(insn);
    return at && this.dwarf?.functionAt(at.section, at.insn)?.name;
  }

  private onStackOf(one: DwarfFunction): StackVariable[] {
    const found: StackVariable[] = [];
    for (const { name, type, file, line } of variablesIn(one)) {
      const size = this.dwarf?.sizeOf(type) ?? 0;
      if (found.some((other) => other.name === name && other.declared.line === line)) continue;
      found.push({ name, path: name, isPadding: false, size, declared: { file, line } });
    }
    return found.sort((a, b) => b.size - a.size);
  }

  private variablesAt(insn: number | undefined): DwarfVariable[] {
    const at = insn === undefined ? undefined : this.layout?.at(insn);
    return (at && this.dwarf?.variables(at.section, at.insn)) ?? [];
  }

  private assigned({ kind, index, callee }: FlowValue): string | undefined {
    const insn = this.steps[index]?.insn;
    const at = insn === undefined ? undefined : this.positions.at(insn);
    if (!at) return undefined;
    if (kind === 'call') return callee && assignedVariable(at.text, callee);
    return kind === 'load' ? initialised(at) : undefined;
  }
}

function hasWord(text: string, word: string): boolean {
  return text.split(/\W+/).includes(word);
}

/** `.port`, `[3].port` at a byte of a type. */
function memberAt(dwarf: Dwarf, id: number, offset: number, depth = 0): { path: string; isPadding: boolean } {
  const type = dwarf.resolve(id);
  if (depth > 16) return { path: '', isPadding: false };
  if (type.kind === 'array') {
    const size = dwarf.sizeOf(type.element);
    if (!size || type.counts.length !== 1) return { path: '', isPadding: false };
    const inner = memberAt(dwarf, type.element, offset % size, depth + 1);
    return { ...inner, path: `[${Math.floor(offset / size)}]${inner.path}` };
  }
  if (type.kind !== 'struct') return { path: '', isPadding: false };
  for (const member of type.members) {
    const from = Math.floor(member.bitOffset / 8);
    const size = member.bitSize ? Math.ceil(member.bitSize / 8) : dwarf.sizeOf(member.type);
    if (offset < from || offset >= from + size) continue;
    const inner = memberAt(dwarf, member.type, offset - from, depth + 1);
    return { ...inner, path: `${member.name ? `.${member.name}` : ''}${inner.path}` };
  }
  return { path: '', isPadding: true };
}

/**
 * The variable that a call's result is assigned to, when the line says so without doubt: one call of that name,
 * and one plain assignment of it.
 */
export function assignedVariable(text: string, callee: string): string | undefined {
  const name = callee.replaceAll(/\W/g, '');
  const calls = text.match(new RegExp(`\\b${name}\\s*\\(`, 'g'));
  if (calls?.length !== 1) return undefined;
  const assignment = new RegExp(
    `(?:^|[\\s*;(,])([A-Za-z_]\\w*)\\s*=\\s*(?:\\([^()]*\\)\\s*)?${name}\\s*\\(`,
  ).exec(text);
  return assignment?.[1];
}

/** The variable that a whole right side is assigned to: `x` of `x = ctx->len;` where the span is `ctx->len`. */
function initialised({ text, range, expression }: SourceSpan): string | undefined {
  const { start, end } = range;
  if (start.line !== end.line || !/^[A-Za-z_(*]/.test(expression)) return undefined;
  if (!/^\s*[;,]/.test(text.slice(end.character))) return undefined;
  const casts = '(?:\\((?:const )?[a-z_][\\w ]*\\**\\)\\s*)*';
  return new RegExp(`(?:^|[\\s*;(,])([A-Za-z_]\\w*)\\s*=\\s*${casts}$`).exec(
    text.slice(0, start.character),
  )?.[1];
}

/** The source text that a span covers, in backquotes; undefined for long ones and for those without text. */
export function expressionAt(at: SourceSpan | undefined): string | undefined {
  const text = at?.expression;
  return text && text.length <= 60 ? `\`${text}\`` : undefined;
}
