/** From instructions of a program as loaded to its source: lines, functions, and those inlined into them. */
import path from 'node:path';
import { lineAt, parseLineInfo } from '../../toolchain/btf/ext';
import type { LineInfo } from '../../toolchain/btf/ext';
import type { Dwarf, DwarfVariable } from '../../toolchain/dwarf/dwarf';
import { isExit, isGoto } from '../../toolchain/insn/effects';
import { decodeInsns } from '../../toolchain/insn/insn';
import type { Insn } from '../../toolchain/insn/insn';
import { relocationsOf } from '../../toolchain/elf/elf';
import type { BpfObject } from '../../toolchain/elf/object';
import { loadedLayout } from '../../toolchain/program/loaded-layout';
import type { LoadedLayout, ObjectInsn } from '../../toolchain/program/loaded-layout';
import type { PreparedProgram } from './instrument/instrument';
import type { LineMap } from './replay/statements';

export interface SourceLine {
  /** Absolute path. */
  path: string;
  /** One-based; the column is 0 when the compiler knows none. */
  line: number;
  column: number;
}

/** A function at an instruction: with code of its own, or inlined. */
export interface SourceFrame {
  name: string;
  at?: SourceLine;
}

export class SourceMap implements LineMap {
  readonly line: Int32Array;
  readonly inlined: Uint8Array;
  /** Lines by the numbers in {@link line}. */
  readonly places: SourceLine[] = [];
  private readonly lines: LineInfo[];
  private readonly scopes = new Map<number, DwarfVariable[]>();
  private readonly framesAt = new Map<number, SourceFrame[]>();
  /** With code of their own; the program itself first. */
  readonly functions: readonly { start: number; name: string }[];
  private readonly layout: LoadedLayout;
  private readonly symbols = new Map<string, ReadonlyMap<number, string>>();

  /**
   * @param name of the program; `file` is what was compiled, against whose directory relative names are resolved.
   */
  constructor(
    prepared: PreparedProgram,
    name: string,
    private readonly object: BpfObject,
    private readonly dwarf: Dwarf | undefined,
    private readonly file: string,
  ) {
    const count = prepared.instructions.length / 8;
    this.lines = parseLineInfo(prepared.lineInfo);
    this.functions = functionsOf(prepared, name, object);
    this.layout = loadedLayout(object, name, prepared.lineInfo);
    this.line = new Int32Array(count).fill(-1);
    this.inlined = new Uint8Array(count);
    const numbers = new Map<string, number>();
    const unattributed = this.findUnattributed(decodeInsns(prepared.instructions));
    for (let insn = 0; insn < count; insn++) {
      if (unattributed.has(insn)) continue;
      const frames = this.frames(insn);
      this.inlined[insn] = Math.max(0, frames.length - 1);
      const at = frames[0]?.at;
      if (!at) continue;
      // The same line of a function that is inlined at two places is two lines to step through.
      const key = frames.map((frame) => `${frame.name}:${frame.at?.path}:${frame.at?.line}`).join('<');
      let number = numbers.get(key);
      if (number === undefined) {
        number = this.places.length;
        numbers.set(key, number);
        this.places.push(at);
      }
      this.line[insn] = number;
    }
  }

  /**
   * Instructions that the compiler gives no line, although one stands textually before them: they can be reached by a
   * jump only. `.BTF.ext` leaves out entries for line 0, so that their lack does not show; DWARF has them.
   */
  private findUnattributed(insns: readonly (Insn | undefined)[]): Set<number> {
    const found = new Set<number>();
    const begins = new Set(this.lines.map(({ insn }) => insn));
    let isCutOff = false;
    insns.forEach((insn, index) => {
      if (begins.has(index)) isCutOff = false;
      if (isCutOff || this.isWithoutLine(index)) found.add(index);
      if (insn && (isGoto(insn) || isExit(insn))) isCutOff = true;
    });
    return found;
  }

  private isWithoutLine(insn: number): boolean {
    const place = this.elfPlace(insn);
    return place !== undefined && this.dwarf?.isWithoutLine(place.section, place.insn) === true;
  }

  /** The line an instruction belongs to. */
  placeOf(insn: number): SourceLine | undefined {
    const info = lineAt(this.lines, insn);
    const name = info && info.line > 0 ? this.object.btf?.string(info.fileOffset) : undefined;
    if (!info || !name) return undefined;
    return { path: this.absolute(name), line: info.line, column: info.column };
  }

  /** Functions at an instruction, innermost first; each with where it has come to. */
  frames(insn: number): readonly SourceFrame[] {
    let frames = this.framesAt.get(insn);
    if (!frames) {
      frames = this.readFrames(insn);
      this.framesAt.set(insn, frames);
    }
    return frames;
  }

  private readFrames(insn: number): SourceFrame[] {
    const own = this.functionAt(insn);
    const at = this.placeOf(insn);
    const place = this.elfPlace(insn);
    const inlined = place && this.dwarf ? this.dwarf.frames(place.section, place.insn) : [];
    if (inlined.length === 0) return [{ name: own?.name ?? '?', ...(at ? { at } : {}) }];
    let here = at;
    return inlined.map(({ name, call }) => {
      const frame = { name, ...(here ? { at: here } : {}) };
      here = call && { path: this.absolute(call.file), line: call.line, column: call.column };
      return frame;
    });
  }

  /** Variables in scope at an instruction, those of the innermost frame first. */
  variables(insn: number): DwarfVariable[] {
    let variables = this.scopes.get(insn);
    if (!variables) {
      const place = this.elfPlace(insn);
      variables = place && this.dwarf ? this.dwarf.variables(place.section, place.insn) : [];
      this.scopes.set(insn, variables);
    }
    return variables;
  }

  /** The instruction's place in the object file, which is what DWARF speaks of. */
  elfPlace(insn: number): ObjectInsn | undefined {
    return this.layout.at(insn);
  }

  /** The symbol that an instruction was relocated with: a kfunc, a map, a section of variables. */
  symbolAt(insn: number): string | undefined {
    const place = this.elfPlace(insn);
    if (!place) return undefined;
    let symbols = this.symbols.get(place.section);
    if (!symbols) {
      const { elf } = this.object;
      const section = elf.sections.find(({ name }) => name === place.section);
      const relocations = section ? relocationsOf(elf, section.index) : [];
      symbols = new Map(
        relocations.map(({ offset, symbol }) => [offset / 8, elf.symbols[symbol]?.name ?? '']),
      );
      this.symbols.set(place.section, symbols);
    }
    return symbols.get(place.insn) || undefined;
  }

  functionAt(insn: number): { start: number; name: string } | undefined {
    return this.functions.findLast(({ start }) => start <= insn);
  }

  private absolute(name: string): string {
    return path.resolve(path.dirname(this.file), name);
  }
}

/** The program's functions: itself, and the subprograms that libbpf has put behind it. */
function functionsOf(
  { funcInfo }: PreparedProgram,
  name: string,
  { btf }: BpfObject,
): { start: number; name: string }[] {
  const view = new DataView(funcInfo.buffer, funcInfo.byteOffset, funcInfo.byteLength);
  const functions = [{ start: 0, name }];
  for (let at = 0; at + 8 <= funcInfo.length; at += 8) {
    const start = view.getUint32(at, true);
    if (start > 0) functions.push({ start, name: btf?.type(view.getUint32(at + 4, true)).name ?? '?' });
  }
  return functions;
}
