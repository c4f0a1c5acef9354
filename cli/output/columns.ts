/**
 * The columns of veristat (tools/testing/selftests/bpf/veristat.c), by its names, so that its users read ours, and
 * its CSV files can be compared with ours.
 */
import type { FileResult } from '../verify-file';

export interface StatsRow {
  file: string;
  program: string;
  verdict: 'success' | 'failure';
  /** Verification time in microseconds. */
  duration?: number;
  insns?: number;
  states?: number;
  /** Instructions of the program after relocation. */
  size?: number;
  /** Bytes of machine code. */
  jitedSize?: number;
}

export interface Column {
  key: keyof StatsRow;
  /** Over a table. */
  title: string;
  /** In CSV, and what `--sort` takes first. */
  name: string;
  /** Other names that veristat takes for it. */
  also: string[];
}

export const columns: readonly Column[] = [
  { key: 'file', title: 'File', name: 'file_name', also: ['filename', 'file'] },
  { key: 'program', title: 'Program', name: 'prog_name', also: ['progname', 'prog'] },
  { key: 'verdict', title: 'Verdict', name: 'verdict', also: [] },
  { key: 'duration', title: 'Duration (us)', name: 'duration', also: ['dur'] },
  { key: 'insns', title: 'Insns', name: 'total_insns', also: ['insns'] },
  { key: 'states', title: 'States', name: 'total_states', also: ['states'] },
  { key: 'size', title: 'Program size', name: 'prog_size', also: ['size'] },
  { key: 'jitedSize', title: 'Jited size', name: 'prog_size_jited', also: ['jited_size'] },
];

export function columnNamed(name: string): Column | undefined {
  return columns.find((column) => column.name === name || column.also.includes(name));
}

/** A row for each program. On several kernels the file's name carries which: `count.bpf.o@6.1.0-50-amd64`. */
export function rowsOf({ json, programs }: FileResult, withKernel: boolean): StatsRow[] {
  return programs.map(({ verdict: { name, verdict, stats, insnCount, jitedSize } }) => ({
    file: withKernel ? `${json.file}@${json.kernel}` : json.file,
    program: name,
    verdict: verdict === 'accepted' ? 'success' : 'failure',
    ...(stats ? { duration: stats.microseconds, insns: stats.insns, states: stats.states } : {}),
    size: insnCount,
    ...(jitedSize === undefined ? {} : { jitedSize }),
  }));
}

/** What a cell shows where there is no value, in veristat's word. */
export const NOT_KNOWN = 'N/A';

export function cellOf(row: StatsRow, { key }: Column): string {
  return String(row[key] ?? NOT_KNOWN);
}

/** RFC 4180: quotes only where they are needed. */
export function csvLine(cells: readonly string[]): string {
  const quoted = cells.map((cell) => (/[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell));
  return `${quoted.join(',')}\n`;
}
