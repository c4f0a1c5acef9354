/**
 * Where the verifier spends its instructions. A log of level 2 has a line for each instruction it looked at, as often
 * as it did, and one where it found that it need not go on; together they are its `processed N insns`.
 */
import { branchOf } from './log';
import { parseLog } from './logIndex';
import type { SourcePositions } from './position';

/** How often the verifier came to each instruction of a program. */
export interface Visits {
  /** Index is the instruction. */
  counts: Uint32Array;
  /** 1 for the second half of a 64-bit constant, which is no instruction of its own; known for those visited. */
  secondHalves: Uint8Array;
}

/** Counts the visits in a log of level 2. Instructions beyond `insnCount` are ignored. */
export function countVisits(log: string, insnCount: number): Visits {
  const counts = new Uint32Array(insnCount);
  const secondHalves = new Uint8Array(insnCount);
  for (const line of parseLog(log)) {
    const isInstruction = line.kind === 'instruction';
    const isVisit =
      isInstruction || line.kind === 'pruned' || (line.kind === 'branch' && branchOf(line)?.safe === true);
    if (!isVisit || line.insn >= insnCount) continue;
    counts[line.insn]!++;
    if (isInstruction && line.text.startsWith('(18)', line.text.indexOf(': ') + 2))
      secondHalves[line.insn + 1] = 1;
  }
  return { counts, secondHalves };
}

/** One program's part in the costs of a file. */
export interface ProgramVisits {
  visits: Visits;
  positions: SourcePositions;
  /** Whether the verifier went through the whole program: only then is what it did not come to unreachable. */
  isWhole: boolean;
}

export interface LineCost {
  path: string;
  /** Zero-based. */
  line: number;
  /** Visits of the line's instructions, over all programs that have some. */
  visits: number;
  /**
   * None of them was ever come to, although each program that has them was gone through as a whole: dead code for this
   * kernel. A line that was compiled to nothing is not listed at all.
   */
  isUnreached: boolean;
  /** Some were come to and some never, in programs gone through as a whole. */
  isPartlyUnreached: boolean;
}

/**
 * Costs by source line. A program whose visits are not known counts with `visits` undefined: then nothing is said to
 * be unreached that it may have come to.
 */
export function lineCosts(
  programs: (Omit<ProgramVisits, 'visits'> & { visits: Visits | undefined; insnCount: number })[],
): LineCost[] {
  const lines = new Map<string, Tally>();
  for (const { visits, positions, isWhole, insnCount } of programs) {
    for (let insn = 0; insn < insnCount; insn++) {
      const at = positions.at(insn);
      if (!at || visits?.secondHalves[insn]) continue;
      const { line } = at.range.start;
      const key = `${line}:${at.path}`;
      let tally = lines.get(key);
      if (!tally) {
        tally = { path: at.path, line, visits: 0, unreached: 0, isUncertain: false };
        lines.set(key, tally);
      }
      const count = visits?.counts[insn] ?? 0;
      tally.visits += count;
      if (!isWhole || !visits) tally.isUncertain = true;
      else if (count === 0) tally.unreached++;
    }
  }
  return [...lines.values()].map(({ path, line, visits, unreached, isUncertain }) => ({
    path,
    line,
    visits,
    isUnreached: visits === 0 && !isUncertain,
    isPartlyUnreached: visits > 0 && unreached > 0 && !isUncertain,
  }));
}

interface Tally {
  path: string;
  line: number;
  visits: number;
  /** Instructions never come to. */
  unreached: number;
  /** Whether a program has instructions of the line and was not gone through as a whole. */
  isUncertain: boolean;
}
