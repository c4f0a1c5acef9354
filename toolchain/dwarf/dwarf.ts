/**
 * DWARF 4 and 5 as clang writes it for BPF objects: which functions, inlined calls and variables there are at an
 * instruction, where each variable lives, and its type.
 *
 *     const dwarf = readDwarf(elf);                        // undefined without .debug_info
 *     dwarf.frames('xdp', 12);                             // [{ name: 'parse', call: {line, …} }, { name: 'program' }]
 *     dwarf.variables('xdp', 12);                          // [{ name: 'v', type, location: {kind: 'register', …} }, …]
 *     dwarf.type(variable.type); dwarf.resolve(…); dwarf.sizeOf(…); dwarf.spell(…);
 *     evaluate(location.expression, machine, dwarf.expressionContext('xdp', 12));   // for `computed` locations
 *
 * Instructions are counted from the start of their ELF section, in units of eight bytes, as in a relocatable object;
 * a location holds before the instruction runs. Everything is read when it is asked for, and nothing is trusted: what
 * a damaged object does not tell is absent from the answer.
 */
import type { ElfFile } from '../elf/elf';
import { Attribute } from './constants';
import { describeLocation } from './expression';
import type { ExpressionContext, Location } from './expression';
import { readFileNames } from './files';
import { rangesWithoutLine } from './line-program';
import { frameSizeOfCode, readStackSizes } from './frame-size';
import type { AddressRange } from './lists';
import { readMacros } from './macros';
import { NamedTypes } from './named-types';
import { readFunction } from './scopes';
import type { Scope, ScopeVariable } from './scopes';
import { addressOf, DebugSections } from './sections';
import type { Address } from './sections';
import { readType } from './types';
import type { DwarfType, TypeId } from './types';
import { readUnits } from './unit';
import type { Die, Unit } from './unit';

export { evaluate } from './expression';
export type { Evaluated, ExpressionContext, Location, Machine } from './expression';
export type { Scope, ScopeVariable } from './scopes';
export type { DwarfType, MemberType, TypeId } from './types';

export interface DwarfFunction extends Scope {
  section: string;
  /** First instruction within the section, and one past the last. */
  first: number;
  end: number;
  /** Bytes of stack, see {@link ExpressionContext}. */
  frameSize: number;
}

/** A function that is being executed: the innermost inlined one first, the one with code of its own last. */
export interface DwarfFrame {
  name: string;
  /** Where it was called, for an inlined one. */
  call?: { file: string; line: number; column: number };
}

export interface DwarfVariable {
  name: string;
  type: TypeId;
  isParameter: boolean;
  location: Location;
  /** Index into {@link Dwarf.frames} of the function it belongs to. */
  frame: number;
  /** How many blocks deep inside that function it is declared; the innermost hides others of its name. */
  depth: number;
  /** Instructions of its block, or of the inlined call it belongs to; absent where that is the whole function. */
  block?: readonly { first: number; end: number }[];
  file: string;
  /** One-based; 0 if unknown. */
  line: number;
}

const INSN_SIZE = 8;
/** No type of a C program is nested deeper; a longer chain is a cycle. */
const MAX_DEPTH = 64;

export class Dwarf {
  private readonly units: Unit[];
  private readonly names = new Map<Unit, string[]>();
  private readonly types = new Map<TypeId, DwarfType>();
  private found: DwarfFunction[] | undefined;
  /** Types by their names. */
  readonly named: NamedTypes;
  private definitions: Map<string, string> | undefined;
  private withoutLine: { from: Address; to: Address }[] | undefined;

  constructor(
    private readonly elf: ElfFile,
    private readonly sections: DebugSections,
  ) {
    this.units = readUnits(sections);
    this.named = new NamedTypes(this.units);
  }

  /** What macros without parameters stand for; none unless the object was compiled with `-fdebug-macro`. */
  get macros(): ReadonlyMap<string, string> {
    return (this.definitions ??= readMacros(this.sections, this.units));
  }

  /** Functions with code, by section and position. */
  get functions(): readonly DwarfFunction[] {
    return (this.found ??= this.readFunctions());
  }

  functionAt(section: string, insn: number): DwarfFunction | undefined {
    return this.functions.find((one) => one.section === section && insn >= one.first && insn < one.end);
  }

  /** Whether the compiler attributes an instruction to no line at all, which `.BTF.ext` does not tell. */
  isWithoutLine(section: string, insn: number): boolean {
    this.withoutLine ??= this.units.flatMap(({ root }) => {
      const lines = root?.number(Attribute.StmtList);
      return lines === undefined ? [] : rangesWithoutLine(this.sections, lines);
    });
    const address = addressOf(this.sections.indexOf(section), insn * INSN_SIZE);
    return this.withoutLine.some(({ from, to }) => address >= from && address < to);
  }

  frames(section: string, insn: number): DwarfFrame[] {
    return this.scopesAt(section, insn)
      .filter(({ kind }) => kind !== 'block')
      .map(({ name, call }) => (call ? { name, call } : { name }))
      .reverse();
  }

  /** Variables in scope, innermost first; those that live nowhere here are `optimised-out`. */
  variables(section: string, insn: number): DwarfVariable[] {
    const scopes = this.scopesAt(section, insn);
    const context = this.expressionContext(section, insn);
    const address = addressOf(this.sections.indexOf(section), insn * INSN_SIZE);
    let frame = scopes.filter(({ kind }) => kind !== 'block').length;
    let depth = 0;
    const byScope = scopes.map((scope) => {
      if (scope.kind !== 'block') frame--;
      depth = scope.kind === 'block' ? depth + 1 : 0;
      const place = { frame, depth, ...(scope.kind === 'function' ? {} : { block: insnsOf(scope.ranges) }) };
      return scope.variables.map((variable): DwarfVariable => {
        const { name, type, isParameter, file, line } = variable;
        const location = locate(variable, address, context);
        return { name, type, isParameter, location, file, line, ...place };
      });
    });
    return byScope.reverse().flat();
  }

  expressionContext(section: string, insn: number): ExpressionContext {
    const frameSize = this.functionAt(section, insn)?.frameSize ?? 0;
    return { littleEndian: this.elf.littleEndian, frameSize };
  }

  /** The base type that a conversion in an expression names, which counts from the unit of `near`, a type beside it. */
  convertedType(near: TypeId, operand: number): DwarfType {
    const unit = this.units.find(({ offset, end }) => near >= offset && near < end);
    return unit ? this.type(unit.offset + operand) : { kind: 'unknown', tag: 0 };
  }

  type(id: TypeId): DwarfType {
    if (id === 0) return { kind: 'void' };
    let type = this.types.get(id);
    if (!type) {
      const die = this.die(id);
      type = die ? readType(die) : { kind: 'unknown', tag: 0 };
      this.types.set(id, type);
    }
    return type;
  }

  /** Without typedefs and qualifiers. */
  resolve(id: TypeId): DwarfType {
    let type = this.type(id);
    for (let depth = 0; depth < MAX_DEPTH; depth++) {
      switch (type.kind) {
        case 'typedef':
        case 'const':
        case 'volatile':
        case 'restrict':
        case 'atomic':
          type = this.type(type.type);
          break;
        default:
          return type;
      }
    }
    return { kind: 'void' };
  }

  /** Bytes of a value; 0 for void, functions, incomplete types and arrays of unknown length. */
  sizeOf(id: TypeId, depth = 0): number {
    const type = this.resolve(id);
    switch (type.kind) {
      case 'base':
      case 'struct':
      case 'union':
      case 'enum':
        return type.size;
      case 'pointer':
        return 8;
      case 'array':
        if (depth > MAX_DEPTH) return 0;
        return type.counts.reduce((size, count) => size * count, this.sizeOf(type.element, depth + 1));
      default:
        return 0;
    }
  }

  /** The type in C: `struct value *`, `const char[16]`, `__u32`. */
  spell(id: TypeId, depth = 0): string {
    const type = this.type(id);
    if (depth > MAX_DEPTH) return '…';
    const inner = (of: TypeId) => this.spell(of, depth + 1);
    switch (type.kind) {
      case 'void':
        return 'void';
      case 'base':
      case 'typedef':
        return type.name;
      case 'pointer': {
        const to = inner(type.to);
        return to.endsWith('*') ? `${to}*` : `${to} *`;
      }
      case 'struct':
      case 'union':
      case 'enum':
        return type.name ? `${type.kind} ${type.name}` : type.kind;
      case 'array':
        return `${inner(type.element)}${type.counts.map((count) => `[${count || ''}]`).join('')}`;
      case 'function':
        return `${inner(type.returns)} (${type.parameters.map(inner).join(', ')})`;
      case 'unknown':
        return '?';
      default:
        return this.type(type.type).kind === 'pointer'
          ? `${inner(type.type)}${type.kind}`
          : `${type.kind} ${inner(type.type)}`;
    }
  }

  /** The function and what is inside it at an instruction, outermost first. */
  private scopesAt(section: string, insn: number): Scope[] {
    const address = addressOf(this.sections.indexOf(section), insn * INSN_SIZE);
    const path: Scope[] = [];
    let scope: Scope | undefined = this.functionAt(section, insn);
    while (scope) {
      path.push(scope);
      scope = scope.scopes.find(({ ranges }) =>
        ranges.some(({ from, to }) => address >= from && address < to),
      );
    }
    return path;
  }

  private readFunctions(): DwarfFunction[] {
    const stackSizes = readStackSizes(this.elf);
    const reader = {
      die: (offset: number) => this.die(offset),
      file: (die: Die, attribute: number) => this.fileName(die, attribute),
    };
    const functions: DwarfFunction[] = [];
    for (const unit of this.units) {
      for (const die of unit.functions) {
        const scope = readFunction(die, reader);
        const range = scope?.ranges[0];
        if (!scope || !range) continue;
        const section = Math.floor(range.from / addressOf(1, 0));
        const from = range.from - addressOf(section, 0);
        const to = range.to - addressOf(section, 0);
        functions.push({
          ...scope,
          section: this.elf.sections[section]?.name ?? '',
          first: from / INSN_SIZE,
          end: to / INSN_SIZE,
          frameSize: stackSizes.get(range.from) ?? frameSizeOfCode(this.elf, section, from, to),
        });
      }
    }
    return functions.sort((a, b) => (a.ranges[0]?.from ?? 0) - (b.ranges[0]?.from ?? 0));
  }

  private die(offset: number): Die | undefined {
    return this.units.find((unit) => offset >= unit.offset && offset < unit.end)?.die(offset);
  }

  private fileName(die: Die, attribute: number): string {
    const index = die.number(attribute);
    if (index === undefined) return '';
    let names = this.names.get(die.unit);
    if (!names) {
      const root = die.unit.root;
      const lines = root?.number(Attribute.StmtList);
      names =
        lines === undefined ? [] : readFileNames(this.sections, lines, root?.string(Attribute.CompDir) ?? '');
      this.names.set(die.unit, names);
    }
    return names[index] ?? '';
  }
}

function locate(variable: ScopeVariable, address: Address, context: ExpressionContext): Location {
  const here = variable.locations.find(({ from, to }) => address >= from && address < to);
  if (here) return describeLocation(here.expression, context);
  if (variable.constant !== undefined) return { kind: 'constant', value: variable.constant };
  return { kind: 'optimised-out' };
}

/** Undefined when the object has no DWARF: compiled without -g, stripped, or linked by bpftool, which drops it. */
export function readDwarf(elf: ElfFile): Dwarf | undefined {
  const sections = new DebugSections(elf);
  return sections.has('.debug_info') ? new Dwarf(elf, sections) : undefined;
}

/** Ranges within one section, as ranges of its instructions. */
function insnsOf(ranges: readonly AddressRange[]): { first: number; end: number }[] {
  const insn = (address: Address) => (address % addressOf(1, 0)) / INSN_SIZE;
  return ranges.map(({ from, to }) => ({ first: insn(from), end: insn(to) }));
}
