/**
 * What the verifier knew of the C variables at each source line, each time it came there. Names come from DWARF alone:
 * a variable is named where the compiler says that it lives in that register or stack slot at that instruction.
 */
import { CALL, Class, CLASS_BITS, LD_IMM64 } from '../../insn/opcodes';
import type { Dwarf, DwarfVariable } from '../../dwarf/dwarf';
import type { ObjectInsn } from '../../program/loaded-layout';
import { branchOf } from '../log';
import type { LogIndex } from '../logIndex';
import type { SourcePositions } from '../position';
import { Tracker } from '../tracker';
import type { KnownState } from '../tracker';
import type { PointerDialect } from './pointer';
import { joinVariables, knownVariable, spellVariable } from './variable';
import type { KnownVariable } from './variable';

export interface KnowledgeInput {
  log: LogIndex;
  positions: SourcePositions;
  dwarf: Dwarf;
  /** Where an instruction of the loaded program stands in the object. */
  inObject: (insn: number) => ObjectInsn | undefined;
}

/** One time that the verifier came to a line. */
export interface Visit {
  /** Zero-based line in the same file that it came from; undefined at a function's start, or from another file. */
  from?: number;
  variables: KnownVariable[];
}

export interface LineKnowledge {
  /** How often the verifier came here. */
  count: number;
  /** The first {@link MAX_VISITS} of them. */
  visits: Visit[];
  /** What holds for every visit; a variable of which one visit knows nothing is not among them. */
  variables: KnownVariable[];
}

/** Knowledge by file and zero-based line. */
export type Knowledge = ReadonlyMap<string, ReadonlyMap<number, LineKnowledge>>;

/** More than anybody reads; what all visits have in common is kept beside them. */
export const MAX_VISITS = 8;

/** Reads a log from its first line to its last; the work is in proportion to its length. */
export function readKnowledge({ log, positions, dwarf, inObject }: KnowledgeInput): Knowledge {
  const reader = new Reader(positions, dwarf, inObject, { mergesOffsets: mergesOffsets(log) });
  const tracker = new Tracker(log);
  /** The instruction that a whole state on the next line, as old kernels print it, is what it left behind. */
  let left: { insn: number; opcode: number } | undefined;
  for (let line = 0; line < log.length; line++) {
    const kind = log.kind(line);
    if (kind === 'instruction') {
      const insn = log.insn(line);
      reader.before(insn, tracker.state);
      tracker.instruction(line);
      reader.after(insn, log.opcode(line), tracker.state);
      left = { insn, opcode: log.opcode(line) };
      continue;
    }
    // A whole state at a branch is of a path taken up elsewhere.
    if (kind === 'branch') {
      const branch = branchOf(log.at(line));
      reader.leave(branch?.from);
    } else if (kind === 'call' || kind === 'pruned') reader.leave(undefined);
    tracker.context(line);
    if (kind === 'state' && left) reader.after(left.insn, left.opcode, tracker.state);
    if (kind !== 'precision' && kind !== 'source') left = undefined;
  }
  reader.leave(undefined);
  return reader.files;
}

/** Of the statistics that only 7.3 prints. */
export function mergesOffsets(log: LogIndex): boolean {
  for (let line = log.length - 1; line >= 0 && line > log.length - 200; line--) {
    if (log.kind(line) === 'statistics' && log.text(line).startsWith('subprog ')) return true;
  }
  return false;
}

interface Place {
  path: string;
  line: number;
}

/** The visit under way. */
interface OpenVisit extends Place {
  frame: number;
  from: Place | undefined;
  known: Map<string, KnownVariable>;
  /** Whether a jump of the line lies behind: what is known of a variable before it is not replaced. */
  decided: boolean;
}

class Reader {
  readonly files = new Map<string, Map<number, LineKnowledge>>();
  private readonly places = new Map<number, Place | undefined>();
  private readonly variables = new Map<number, DwarfVariable[]>();
  private visit: OpenVisit | undefined;
  private last: Place | undefined;

  constructor(
    private readonly positions: SourcePositions,
    private readonly dwarf: Dwarf,
    private readonly inObject: KnowledgeInput['inObject'],
    private readonly dialect: PointerDialect,
  ) {}

  before(insn: number, state: KnownState): void {
    const place = this.placeOf(insn);
    const { visit } = this;
    if (visit && (visit.frame !== state.frame || visit.line !== place?.line || visit.path !== place.path))
      this.close();
    if (!place) return;
    this.visit ??= { ...place, frame: state.frame, from: this.last, known: new Map(), decided: false };
    this.read(insn, state);
    this.last = place;
  }

  /** What an instruction did is known behind it, where the variable that it sets begins to live. */
  after(insn: number, opcode: number, state: KnownState): void {
    // Behind a jump or an exit what is known is of the way that is taken, and belongs to the lines there.
    const group = opcode & CLASS_BITS;
    const goesOn = (group !== Class.JMP && group !== Class.JMP32) || opcode === CALL;
    if (this.visit && !goesOn) this.visit.decided = true;
    if (this.visit && goesOn) this.read(insn + (opcode === LD_IMM64 ? 2 : 1), state);
  }

  /** The path ends here, or goes on from the line of instruction `from`. */
  leave(from: number | undefined): void {
    this.close();
    this.last = from === undefined ? undefined : this.placeOf(from);
  }

  private read(insn: number, state: KnownState): void {
    for (const variable of this.variablesAt(insn)) {
      const known = knownVariable(variable, state, this.dwarf, this.dialect);
      if (known && !(this.visit?.decided && this.visit.known.has(known.name))) {
        this.visit?.known.set(known.name, known);
      }
    }
  }

  private close(): void {
    const { visit } = this;
    this.visit = undefined;
    if (!visit) return;
    let lines = this.files.get(visit.path);
    if (!lines) this.files.set(visit.path, (lines = new Map<number, LineKnowledge>()));
    let knowledge = lines.get(visit.line);
    if (!knowledge) lines.set(visit.line, (knowledge = { count: 0, visits: [], variables: [] }));
    const variables = [...visit.known.values()];
    knowledge.variables = knowledge.count === 0 ? variables : joined(knowledge.variables, visit.known);
    knowledge.count++;
    if (knowledge.visits.length >= MAX_VISITS) return;
    const from = visit.from?.path === visit.path ? { from: visit.from.line } : {};
    knowledge.visits.push({ ...from, variables });
  }

  private placeOf(insn: number): Place | undefined {
    if (!this.places.has(insn)) {
      const at = this.positions.at(insn);
      this.places.set(insn, at && { path: at.path, line: at.range.start.line });
    }
    return this.places.get(insn);
  }

  /** The innermost variable of each name, of the function that the instruction was written in. */
  private variablesAt(insn: number): DwarfVariable[] {
    let found = this.variables.get(insn);
    if (!found) {
      const at = this.inObject(insn);
      const all = at ? this.dwarf.variables(at.section, at.insn) : [];
      found = all.filter(({ name, frame }, index) => {
        return name !== '' && frame === 0 && all.findIndex((one) => one.name === name) === index;
      });
      this.variables.set(insn, found);
    }
    return found;
  }
}

function joined(before: KnownVariable[], visit: ReadonlyMap<string, KnownVariable>): KnownVariable[] {
  return before.flatMap((variable) => {
    const other = visit.get(variable.name);
    return other ? joinVariables(variable, other) : [];
  });
}

/** Whether two visits know something else of a variable that they share. */
export function visitsDiffer({ visits }: LineKnowledge): boolean {
  const texts = new Map<string, string>();
  return visits.some(({ variables }) =>
    variables.some((variable) => {
      const text = spellVariable(variable);
      const other = texts.get(variable.name) ?? text;
      texts.set(variable.name, other);
      return other !== text;
    }),
  );
}
