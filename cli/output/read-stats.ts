/** Costs of verification that were saved earlier: CSV of `--stats` or veristat, lines of `--json`. */
import { fail, succeed, type Outcome } from '../../toolchain/problem';
import { columnNamed, NOT_KNOWN, type StatsRow } from './columns';

/** Rows of a CSV file whose first line names its columns; columns that are not ours are passed over. */
export function readCsv(file: string, text: string): Outcome<StatsRow[]> {
  const [header, ...lines] = text.split(/\r?\n/).filter((line) => line !== '');
  const names = splitCsv(header ?? '').map((name) => columnNamed(name.trim())?.key);
  for (const needed of ['file', 'program', 'verdict'] as const) {
    if (!names.includes(needed)) {
      return fail(
        'cli/csv',
        `${file} is no table of verification costs: its first line names no column ${needed === 'verdict' ? 'verdict' : needed === 'file' ? 'file_name' : 'prog_name'}.`,
        'Write one with: bpf-studio verify --stats --output csv FILE… > stats.csv',
      );
    }
  }
  return succeed(
    lines.map((line) => {
      const row: Record<string, string | number> = {};
      for (const [index, cell] of splitCsv(line).entries()) {
        const key = names[index];
        if (key === undefined || cell === NOT_KNOWN) continue;
        row[key] = key === 'file' || key === 'program' || key === 'verdict' ? cell : Number(cell);
      }
      return row as unknown as StatsRow;
    }),
  );
}

/** RFC 4180 within a line; a quoted line break does not occur in names of files and programs. */
function splitCsv(line: string): string[] {
  return [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(
    ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? '',
  );
}

/** Rows of what `verify --json` printed. */
export function readJsonLines(file: string, text: string): Outcome<StatsRow[]> {
  const rows: StatsRow[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    const report = parse(line);
    if (!report) {
      return fail(
        'cli/json',
        `Line ${index + 1} of ${file} is not what verify --json prints.`,
        'Write it with: bpf-studio verify --json FILE… > stats.json',
      );
    }
    for (const { name, verdict, stats } of report.programs) {
      rows.push({
        file: report.file,
        program: name,
        verdict: verdict === 'accepted' ? 'success' : 'failure',
        ...(stats ? { duration: stats.microseconds, insns: stats.insns, states: stats.states } : {}),
      });
    }
  }
  return succeed(rows);
}

interface Report {
  file: string;
  programs: {
    name: string;
    verdict: string;
    stats?: { insns: number; states: number; microseconds: number };
  }[];
}

function parse(line: string): Report | undefined {
  try {
    const value = JSON.parse(line) as Partial<Report> & { error?: unknown };
    // A line that says why there was no kernel holds no program.
    if (value.error !== undefined && value.programs === undefined) return { file: '', programs: [] };
    return typeof value.file === 'string' && Array.isArray(value.programs) ? (value as Report) : undefined;
  } catch {
    return undefined;
  }
}
