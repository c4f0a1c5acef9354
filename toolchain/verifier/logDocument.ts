import { parseLog } from './log';
import type { SourcePositions } from './position';

/** A verifier log for reading, with the source position of each line that has one. */
export interface LogDocument {
  text: string;
  /** Sorted by line; all numbers zero-based. */
  links: { line: number; path: string; sourceLine: number; sourceCharacter: number }[];
}

/** The log as it is; instructions, states and branch targets link to the source they were compiled from. */
export function logDocument(log: string, positions: SourcePositions): LogDocument {
  const links: LogDocument['links'] = [];
  for (const { number, kind, insn } of parseLog(log)) {
    if (insn < 0 || (kind !== 'instruction' && kind !== 'branch' && kind !== 'state')) continue;
    const at = positions.at(insn);
    if (!at) continue;
    const { line, character } = at.range.start;
    links.push({ line: number, path: at.path, sourceLine: line, sourceCharacter: character });
  }
  return { text: log, links };
}
