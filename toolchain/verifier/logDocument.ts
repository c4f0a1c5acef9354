import { indexLog } from './logIndex';
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
  const index = indexLog(log);
  for (let number = 0; number < index.length; number++) {
    const kind = index.kind(number);
    const insn = index.insn(number);
    if (insn < 0 || (kind !== 'instruction' && kind !== 'branch' && kind !== 'state')) continue;
    const at = positions.at(insn);
    if (!at) continue;
    const { line, character } = at.range.start;
    links.push({ line: number, path: at.path, sourceLine: line, sourceCharacter: character });
  }
  return { text: log, links };
}
