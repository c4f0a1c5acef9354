/** `replay --coverage`: what ran in one recording or several, as text, as JSON, or for tools that read LCOV. */
import path from 'node:path';
import { isSamePlace, totals, type CoverageSum } from '../../debug-adapter/coverage/sum';
import type { BranchCoverage, BranchSide, FileCoverage } from '../../debug-adapter/protocol';
import type { Recording } from '../../debug-adapter/recorder/recording';
import { printable } from '../render/columns';
import { paint } from '../render/color';
import type { Io } from '../io';

/** Lines without code that are printed between two with it; longer stretches are left out. */
const MAX_GAP = 6;

/** The sources with how often each line ran before it, and where branches went under it. */
export function printCoverage(sum: CoverageSum, recordings: readonly Recording[], io: Io): void {
  const sources = new Map(
    recordings.flatMap(({ sources: all }) => all.map(({ path: name, text }) => [name, text])),
  );
  for (const file of sum.values()) {
    const { lines, linesRun, sides, sidesTaken } = totals(file.lines);
    const style = paint(io.color);
    const counts = `${linesRun} of ${lines} lines ran, ${sidesTaken} of ${sides} ways out of branches were taken`;
    const name = path.relative(process.cwd(), file.path).startsWith('..')
      ? file.path
      : path.relative(process.cwd(), file.path);
    io.out(`${style('strong', name)}: ${counts}${file.runs === 1 ? '' : `, in ${file.runs} runs`}\n`);
    printFile(file, sources.get(file.path)?.split(/\r?\n/) ?? [], io);
  }
}

function printFile({ lines }: FileCoverage, text: string[], io: Io): void {
  const style = paint(io.color);
  const width = Math.max(5, ...lines.map(({ hits }) => String(hits).length));
  let previous: number | undefined;
  for (const { line, hits, branches } of lines) {
    const gap = previous === undefined ? 0 : line - previous - 1;
    if (gap > MAX_GAP) io.out(`${' '.repeat(width)}  …\n`);
    else for (let between = line - gap; between < line; between++) printLine('', between);
    printLine(
      style(hits > 0 ? 'good' : 'error', hits > 0 ? String(hits).padStart(width) : 'never'.padStart(width)),
      line,
    );
    for (const branch of hits > 0 ? branches : [])
      io.out(`${' '.repeat(width + 9)}${style('note', branchText(branch))}\n`);
    previous = line;
  }

  function printLine(count: string, line: number): void {
    io.out(
      `${count || ' '.repeat(width)} ${String(line).padStart(5)}  ${printable(text[line - 1] ?? '').text}\n`,
    );
  }
}

/** `column 6: to line 34 12 times, to line 40 never` */
function branchText({ column, sides: [one, other] }: BranchCoverage): string {
  const where = column > 0 ? `branch at column ${column}` : 'branch';
  if (isSamePlace([one, other])) return `${where}: one way ${timesText(one)}, the other ${timesText(other)}`;
  return `${where}: ${sideText(one, other)}, ${sideText(other, one)}`;
}

function timesText({ times }: BranchSide): string {
  return times === 0 ? 'never' : times === 1 ? 'once' : `${times} times`;
}

function sideText(side: BranchSide, other: BranchSide): string {
  const times = timesText(side);
  if (side.line === undefined) return `${times} to code without a line`;
  const column =
    side.line === other.line && side.path === other.path && side.column ? `, column ${side.column}` : '';
  const file = side.path === undefined ? '' : ` of ${side.path.split('/').at(-1)}`;
  return `${times} to line ${side.line}${column}${file}`;
}

/** One JSON line a file: {@link FileCoverage} with its totals. */
export function jsonCoverage(sum: CoverageSum, io: Io): void {
  for (const file of sum.values()) io.outJson({ type: 'coverage', ...file, totals: totals(file.lines) });
}

/** An LCOV tracefile, see `man geninfo`. A branch's number is its place among those of its line. */
export function lcovCoverage(sum: CoverageSum): string {
  return [...sum.values()]
    .map(({ path: file, lines }) => {
      const { sides, sidesTaken, lines: found, linesRun } = totals(lines);
      const rows = ['TN:', `SF:${file}`];
      for (const { line, hits, branches } of lines)
        branches.forEach((branch, block) =>
          branch.sides.forEach(({ times }, side) =>
            rows.push(`BRDA:${line},${block},${side},${hits === 0 ? '-' : times}`),
          ),
        );
      rows.push(`BRF:${sides}`, `BRH:${sidesTaken}`);
      for (const { line, hits } of lines) rows.push(`DA:${line},${hits}`);
      rows.push(`LF:${found}`, `LH:${linesRun}`, 'end_of_record');
      return `${rows.join('\n')}\n`;
    })
    .join('');
}
