/** `verify --kernels`: the files' programs on several kernels, as a table, or a result for each file and kernel. */
import { chooseKernels, type MatrixKernel } from '../kernel-matrix/choose';
import { vmsAtATime, type Phase } from '../kernel-matrix/each-kernel';
import { verifyOnKernels, type Cell, type ObjectRow } from '../kernel-matrix/matrix';
import { openKernel } from '../kernel/client/open';
import { flag, refuse, text, usage, type Arguments } from './command';
import { headersOfNewest } from './headers';
import { FILES_AT_A_TIME, inAdvance } from './in-advance';
import type { ExitStatus, Io } from './io';
import { merged } from './merge-kernels';
import type { Output } from './output/output';
import { renderMatrix } from './render-matrix';
import { inputOf, type Input } from './source';
import { judged, unanswered, withoutVerdict, type FileResult } from './verify-file';

/** A file on every kernel. */
export interface FileMatrix {
  input: Input;
  /** Absent for a file without an object. */
  row?: ObjectRow;
  /** One a kernel; a single one without a kernel for a file without an object. */
  results: FileResult[];
}

export async function verifyOnKernelsOf(args: Arguments, output: Output, io: Io): Promise<ExitStatus> {
  const chosen = chooseKernels(text(args, 'kernels') ?? '');
  if (!chosen.ok) return refuse(io, chosen);
  const jobs = text(args, 'jobs');
  if (jobs !== undefined && !/^[1-9]\d*$/.test(jobs)) {
    return refuse(io, usage('verify', `--jobs ${jobs} is not a number of at least 1`));
  }
  const kernels = chosen.value;
  // An object is shipped for all kernels, so it is compiled once: with the newest types, as most projects do.
  const headers = Promise.resolve(headersOfNewest(kernels));
  const compiling = inAdvance(args.positionals, FILES_AT_A_TIME, (file) =>
    inputOf(file, args, headers, io.interrupted),
  );
  const inputs = await Promise.all(compiling.map((take) => take()));
  const objects = inputs.filter(hasObject).map(({ file, object }) => ({ file, bytes: object }));
  // No kernel is started for sources that do not compile.
  const rows =
    objects.length > 0
      ? await verifyOnKernels(kernels, objects, {
          parallel: jobs === undefined ? vmsAtATime() : Number(jobs),
          signal: io.interrupted,
          open: ({ target }, signal) =>
            openKernel({
              target,
              name: 'bpf-studio',
              distDirectory: __dirname,
              elevate: 'never',
              log: (line) => {
                if (process.env.BPF_STUDIO_VERBOSE) io.err(`${line}\n`);
              },
              signal,
            }),
          onPhase: (kernel, phase) => sayPhase(kernel, phase, io),
        })
      : [];
  if (io.interrupted.aborted) return 2;
  const files: FileMatrix[] = [];
  const left = [...rows];
  for (const input of inputs) {
    const row = hasObject(input) ? left.shift() : undefined;
    const results = row
      ? await Promise.all(row.cells.map((cell) => resultOf(input, cell, row)))
      : [withoutVerdict(input)];
    files.push({ input, results, ...(row ? { row } : {}) });
  }
  let all = files.flatMap(({ results }) => results);
  if (flag(args, 'second-opinion')) {
    const { withSecondOpinions } = await import('./second-opinion');
    all = await withSecondOpinions(all, io);
    let next = 0;
    for (const file of files) file.results = all.slice(next, (next += file.results.length));
  }
  if (isTable(args)) io.out(renderMatrix(files, io));
  else {
    const perKernel = flag(args, 'json') || flag(args, 'stats');
    for (const { results } of files) {
      for (const result of perKernel ? results : [merged(results)]) if (result) output.file(result);
    }
    output.end();
  }
  return Math.max(0, ...all.map(({ status }) => status)) as ExitStatus;
}

function isTable(args: Arguments): boolean {
  return !['json', 'sarif', 'github', 'stats'].some((form) => flag(args, form));
}

function hasObject(input: Input): input is Input & { object: Uint8Array } {
  return input.object !== undefined;
}

async function resultOf(input: Input, cell: Cell, row: ObjectRow): Promise<FileResult> {
  const { release } = cell.kernel;
  const { problem } = cell;
  const result = problem ? unanswered(input, release, problem) : await judged(input, { release }, cell);
  // A kernel that gave no answer is not said to lack anything, also when another image of its release did answer.
  const missing = row.missing
    .filter(({ missingIn }) => !problem && missingIn.includes(release))
    .map(({ word, name, programs, firstSeenIn }) => ({
      kind: word,
      name,
      programs,
      ...(firstSeenIn === undefined ? {} : { firstSeenIn }),
    }));
  const more = {
    missing,
    ...(input.typesOf ? { compiledWith: input.typesOf } : {}),
    ...(problem ? { error: problem } : {}),
  };
  return { ...result, json: { ...result.json, ...more } };
}

/** On a terminal, so that somebody who waits sees what for. */
function sayPhase({ release, target }: MatrixKernel, phase: Phase, io: Io): void {
  if (!process.stderr.isTTY) return;
  const where = target.kind === 'vm' ? 'in a VM' : 'on this machine';
  const words: Record<Phase, string> = {
    starting: target.kind === 'vm' ? 'booting …' : 'starting …',
    working: 'verifying …',
    done: 'done',
    failed: 'failed',
  };
  io.err(`bpf-studio: Linux ${release} ${where}: ${words[phase]}\n`);
}
