/** `verify --stats`: costs of verification, a line a program, as a table or as CSV. */
import type { Problem } from '../../toolchain/problem';
import { text, type Arguments } from '../command';
import type { Io } from '../io';
import { harmless } from '../render/columns';
import { table } from '../table';
import { renderDiagnostics } from '../render-result';
import type { FileResult } from '../verify-file';
import { cellOf, columnNamed, columns, csvLine, rowsOf, type Column, type StatsRow } from './columns';
import type { Output } from './output';

interface Sorting {
  column: Column;
  descending: boolean;
}

export function statsOutput(args: Arguments, io: Io): Output | Problem {
  const form = text(args, 'output') ?? 'table';
  const problem = (message: string): Problem => ({
    code: 'cli/usage',
    message,
    hint: 'bpf-studio verify --help',
  });
  if (form !== 'table' && form !== 'csv') return problem(`--output ${form} is neither table nor csv.`);
  const sorting = text(args, 'sort')?.split(',').map(sortingOf);
  const unknown = sorting?.find((one) => typeof one === 'string');
  if (typeof unknown === 'string') {
    return problem(
      `--sort ${unknown}: there is no such column; there are ${columns.map(({ name }) => name).join(', ')}.`,
    );
  }
  const results: FileResult[] = [];
  return {
    file: (result) => void results.push(result),
    end() {
      const kernels = new Set(results.map(({ json }) => json.kernel));
      const rows = results.flatMap((result) => rowsOf(result, kernels.size > 1));
      const sorted = sort(rows, (sorting ?? []) as Sorting[]);
      if (form === 'csv') {
        io.out(csvLine(columns.map(({ name }) => name)));
        for (const row of sorted) io.out(csvLine(columns.map((column) => cellOf(row, column))));
      } else {
        const cells = sorted.map((row) => columns.map((column) => harmless(cellOf(row, column))));
        io.out(
          table(
            columns.map(({ title }) => title),
            cells,
          ),
        );
        io.out(`\n${totals(rows, results)}\n`);
      }
      // Why a file has no rows is told apart from the figures, which may go into a file.
      for (const { diagnostics } of results)
        if (diagnostics.length > 0) io.err(renderDiagnostics(diagnostics, io));
    },
  };
}

/** `insns`, `insns:asc`, `insns:desc`; veristat writes `insns^` for the ascending order. */
function sortingOf(spec: string): Sorting | string {
  const [, name, order = ''] = /^(\w+?)(:asc|:desc|\^)?$/.exec(spec.trim()) ?? [];
  const column = name === undefined ? undefined : columnNamed(name);
  if (!column) return spec;
  // Names begin with A, costs with the highest, unless something else is said.
  const byName = column.key === 'file' || column.key === 'program' || column.key === 'verdict';
  return { column, descending: order === '' ? !byName : order === ':desc' };
}

function sort(rows: StatsRow[], sorting: Sorting[]): StatsRow[] {
  return [...rows].sort((a, b) => {
    for (const { column, descending } of sorting) {
      const [left, right] = [a[column.key] ?? -1, b[column.key] ?? -1];
      const difference =
        typeof left === 'number' && typeof right === 'number'
          ? left - right
          : String(left).localeCompare(String(right));
      if (difference !== 0) return descending ? -difference : difference;
    }
    return 0;
  });
}

function totals(rows: StatsRow[], results: FileResult[]): string {
  const failed = rows.filter(({ verdict }) => verdict === 'failure').length;
  const sum = (key: 'insns' | 'states' | 'duration') =>
    rows.reduce((total, row) => total + (row[key] ?? 0), 0).toLocaleString('en-US');
  const files = new Set(results.map(({ json }) => json.file)).size;
  return (
    `${count(files, 'file')}, ${count(rows.length, 'program')}: ${rows.length - failed} success, ${failed} failure; ` +
    `${sum('insns')} insns, ${sum('states')} states, ${sum('duration')} us in all`
  );
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
