/** `verify --compare OLD NEW`: what changed in verdicts and costs. */
import { readFile } from 'node:fs/promises';
import type { OpenedKernel } from '../kernel/client/open';
import { fail, succeed, type Outcome, type Problem } from '../toolchain/problem';
import { refuse, text, texts, usage, type Arguments } from './command';
import { headersOf } from './headers';
import type { ExitStatus, Io } from './io';
import { openSession } from './kernel';
import { columnNamed, columns, csvLine, rowsOf, type StatsRow } from './output/columns';
import { compared, comparedCells, pairRows, regressions, type Limit, type Pair } from './output/compare-rows';
import { readCsv, readJsonLines } from './output/read-stats';
import { harmless } from './render/columns';
import { renderDiagnostics } from './render-result';
import { inputOf } from './source';
import { table } from './table';
import { verifyFile } from './verify-file';

const names = columns.filter(({ key }) => key === 'file' || key === 'program');

export async function compare(args: Arguments, io: Io): Promise<ExitStatus> {
  const limits = limitsOf(args);
  if (!limits.ok) return refuse(io, limits);
  const form = text(args, 'output') ?? 'table';
  if (form !== 'table' && form !== 'csv') {
    return refuse(io, usage('verify', `--output ${form} is neither table nor csv`));
  }
  const sides = args.positionals;
  // A kernel is asked only when there is something to verify.
  const session = sides.every(isSaved) ? undefined : openSession(args, io);
  try {
    const rows: StatsRow[][] = [];
    for (const side of sides) {
      const read = isSaved(side) ? await saved(side) : await verified(side, args, session!, io);
      if (!read.ok) return refuse(io, read);
      rows.push(read.value);
    }
    const [before = [], after = []] = rows;
    const pairs = pairRows(before, after);
    print(pairs, form, io);
    const worse = regressions(pairs, limits.value);
    if (!io.json) for (const line of worse) io.err(`bpf-studio: ${harmless(line)}\n`);
    return worse.length > 0 ? 1 : 0;
  } finally {
    const opened = await session;
    if (opened && 'client' in opened) await opened.dispose();
  }
}

function isSaved(file: string): boolean {
  return /\.(csv|jsonl?)$/.test(file);
}

async function saved(file: string): Promise<Outcome<StatsRow[]>> {
  let contents: string;
  try {
    contents = await readFile(file, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === 'ENOENT' ? 'there is no such file' : message;
    return fail('cli/read', `${file} cannot be read: ${reason}.`, 'bpf-studio verify --help');
  }
  return file.endsWith('.csv') ? readCsv(file, contents) : readJsonLines(file, contents);
}

/** The costs of a source or object; findings in it are shown, since they are why a verdict changed. */
async function verified(
  file: string,
  args: Arguments,
  session: Promise<OpenedKernel | Problem>,
  io: Io,
): Promise<Outcome<StatsRow[]>> {
  const input = await inputOf(file, args, headersOf(session), io.interrupted);
  const opened = await session;
  if (!('client' in opened)) return { ok: false, problem: opened };
  const result = await verifyFile(opened.client, input, io.interrupted);
  const findings = [...result.diagnostics, ...result.programs.flatMap((program) => program.diagnostics)];
  if (findings.length > 0 && !io.json) io.err(`${renderDiagnostics(findings, io)}\n`);
  if (result.programs.length > 0) return succeed(rowsOf(result, false));
  const [first] = result.diagnostics;
  const message = `${file} has no program that could be verified${first ? `: ${first.message}` : '.'}`;
  return fail(first?.code ?? 'cli/program', message, 'bpf-studio verify FILE says more.');
}

/** `--fail-on insns+5%`, `--fail-on states+100`. */
function limitsOf(args: Arguments): Outcome<Limit[]> {
  const limits: Limit[] = [];
  for (const given of texts(args, 'fail-on')) {
    const [, name = '', amount = '', percent] = /^(\w+)\+(\d+(?:\.\d+)?)(%?)$/.exec(given) ?? [];
    const column = columnNamed(name);
    if (!column || !['insns', 'states', 'duration', 'size', 'jitedSize'].includes(column.key)) {
      return usage(
        'verify',
        `--fail-on ${given} is not COST+N or COST+N%, COST being insns, states, duration or size`,
      );
    }
    limits.push({ column, amount: Number(amount), percent: percent === '%', text: given });
  }
  return succeed(limits);
}

function print(pairs: readonly Pair[], form: string, io: Io): void {
  if (io.json) {
    for (const pair of pairs) io.outJson(pair);
    return;
  }
  const nameCells = (pair: Pair) => names.map(({ key }) => String((pair.new ?? pair.old)?.[key] ?? ''));
  const cells = pairs.map((pair) => [
    ...nameCells(pair),
    ...compared.flatMap((column) => comparedCells(pair, column)),
  ]);
  if (form === 'csv') {
    const suffixes = ['base', 'comp', 'diff'];
    const titles = compared.flatMap(({ name }) => suffixes.map((suffix) => `${name}_${suffix}`));
    io.out(csvLine([...names.map(({ name }) => name), ...titles]));
    for (const line of cells) io.out(csvLine(line));
  } else {
    const titles = compared.flatMap(({ title }) => ['A', 'B', 'DIFF'].map((side) => `${title} (${side})`));
    io.out(
      table(
        [...names.map(({ title }) => title), ...titles],
        cells.map((line) => line.map(harmless)),
      ),
    );
  }
}
