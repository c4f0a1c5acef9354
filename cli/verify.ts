/** `bpf-studio verify`: every program of every file, judged by a kernel and unloaded again. */
import type { KernelClient } from '../kernel/client/client';
import { compileOptions, flag, targetOption, text, usage, type Arguments, type Command } from './command';
import { headersOf } from './headers';
import { FILES_AT_A_TIME, inAdvance } from './in-advance';
import type { ExitStatus, Io } from './io';
import { openSession, problemOf } from './kernel';
import { outputFor, outputOptions, type Output } from './output/output';
import { inputOf, type Input } from './source';
import { verifyFile, withoutVerdict, type FileResult } from './verify-file';

export const command: Command = {
  help: `bpf-studio verify FILE… [--target TARGET | --kernels LIST] [--clang-args "…"]
bpf-studio verify --compare OLD NEW [--fail-on insns+5%]

The kernel's verdict on every program of each FILE, a source (.bpf.c) or an object (.o). Each program is loaded on its
own, so one rejection does not hide the others', and nothing stays loaded.

  -t, --target         local, vm, vm:PATH-TO-VMLINUZ
  -k, --kernels LIST   a table of verdicts, a column a kernel, and what each kernel lacks. LIST: versions (6.1,6.12),
                       local, vm:PATH-TO-VMLINUZ, or all of \`bpf-studio kernels\`. A source is compiled once, as it
                       is shipped: with the project's vmlinux.h, else with that of the newest kernel of LIST
  -j, --jobs N         VMs side by side; without it as many as cores and free memory allow
  --second-opinion     on a rejection by a kernel before 7.3: what Linux 7.3 says of the same program, if it is at hand
  --fixes              changes of the source that the kernel accepted, as unified diffs (--json: data.fixes of a
                       diagnostic; --sarif: fixes of a result)
  --clang PATH         this clang instead of the newest found
  --clang-args "…"     flags for clang, replacing compile_commands.json and the defaults

  --json               one line a file: {file, kernel, programs: [{name, section, type, verdict, stats, diagnostics}],
                       diagnostics}; positions are zero-based, as in LSP;
                       without a kernel, "kernel" is empty and a last line {error} says why.
                       With --kernels one line a file and kernel, and in it "missing": [{kind, name, programs,
                       firstSeenIn}] of this kernel, "compiledWith", and for a kernel that gave no answer "error"
  --sarif              one SARIF 2.1.0 log, for code scanning
  --github             workflow commands, which GitHub shows beside the changed lines
  --stats              veristat's columns: -o, --output table|csv; -s, --sort COLUMN[:asc|:desc],…

  --compare OLD NEW    verdicts and costs side by side. OLD and NEW: sources, objects, or what --stats --output csv
                       (veristat's CSV too) or --json wrote. Exit status 1 when a verdict got worse
  --fail-on COST+N[%]  with --compare: also when insns, states, duration or size of a program grew by more

  bpf-studio verify *.bpf.c
  bpf-studio verify --kernels 5.10,6.1,6.12,7.3 build/*.o
  bpf-studio verify --fixes filter.bpf.c
  bpf-studio verify --stats --output csv build/*.o > before.csv
  bpf-studio verify --compare before.csv new/filter.bpf.o --fail-on insns+5%

Programs in SEC("?…") are verified too, though libbpf loads them only when a loader asks for them.

Exit status: 0 all accepted, or left to the loader to complete; 1 a rejection or an error in a source, 2 something could not be verified.`,
  options: {
    ...targetOption,
    ...compileOptions,
    ...outputOptions,
    kernels: { type: 'string', short: 'k' },
    jobs: { type: 'string', short: 'j' },
    'second-opinion': { type: 'boolean', default: false },
    fixes: { type: 'boolean', default: false },
    compare: { type: 'boolean', default: false },
    'fail-on': { type: 'string', multiple: true },
  },
  async run(args, io) {
    const mistake = conflict(args);
    if (mistake !== undefined) {
      io.problem(usage('verify', mistake).problem);
      return 2;
    }
    if (flag(args, 'compare')) return (await import('./compare')).compare(args, io);
    const output = await outputFor(args, io);
    if ('message' in output) {
      io.problem(output);
      return 2;
    }
    if (text(args, 'kernels') !== undefined) {
      return (await import('./verify-kernels')).verifyOnKernelsOf(args, output, io);
    }
    return verifyFiles(args, output, io);
  },
};

/** Options that make no sense together, in words. */
function conflict(args: Arguments): string | undefined {
  const { values, positionals } = args;
  if (flag(args, 'compare')) {
    return positionals.length === 2 ? undefined : '--compare takes two files, OLD and NEW';
  }
  if (Array.isArray(values['fail-on']) && values['fail-on'].length > 0)
    return '--fail-on belongs to --compare';
  if (positionals.length === 0) return 'verify needs at least one FILE';
  if (positionals.includes('')) return 'A FILE is an empty text; is a variable of the shell not set?';
  if (values.kernels !== undefined && values.target !== undefined) {
    return '--target names one kernel and --kernels several; give one of them';
  }
  if (flag(args, 'fixes')) {
    if (values.kernels !== undefined)
      return '--fixes asks one kernel and --kernels names several; give one of them';
    const form = ['stats', 'github'].find((name) => flag(args, name));
    if (form !== undefined)
      return `--${form} shows no fixes; use --fixes with --json, --sarif or none of them`;
  }
  if (values.jobs !== undefined && values.kernels === undefined) return '--jobs belongs to --kernels';
  return undefined;
}

async function verifyFiles(args: Arguments, output: Output, io: Io): Promise<ExitStatus> {
  // The host starts while files are read and compiled.
  const session = openSession(args, io);
  const headers = headersOf(session);
  const inputs = inAdvance(args.positionals, FILES_AT_A_TIME, (file) =>
    inputOf(file, args, headers, io.interrupted),
  );
  const opened = await session;
  if (!('client' in opened)) {
    const findings = inputs.map((take) => async () => withoutVerdict(await take()));
    // What clang says needs no kernel. A command line that makes no sense is not carried out in part.
    if (opened.code === 'cli/target') await Promise.allSettled(findings.map((take) => take()));
    else await print(findings, output, io);
    io.problem(opened);
    return 2;
  }
  try {
    const results = inAdvance(inputs, FILES_AT_A_TIME, async (input) =>
      verified(opened.client, await input(), args, io),
    );
    if (!flag(args, 'second-opinion')) return await print(results, output, io);
    const { withSecondOpinions } = await import('./second-opinion');
    const all = await Promise.all(results.map((take) => take()));
    const second = await withSecondOpinions(all, io);
    return await print(
      second.map((result) => () => Promise.resolve(result)),
      output,
      io,
    );
  } finally {
    await opened.dispose();
  }
}

async function verified(client: KernelClient, input: Input, args: Arguments, io: Io): Promise<FileResult> {
  const result = await verifyFile(client, input, io.interrupted);
  if (!flag(args, 'fixes')) return result;
  try {
    return await (await import('./fixes')).withFixes(result, input, client, io.interrupted);
  } catch (error) {
    // The verdicts are there; that no fix could be looked for is about the run.
    io.problem(problemOf(error));
    return result;
  }
}

async function print(results: (() => Promise<FileResult>)[], output: Output, io: Io): Promise<ExitStatus> {
  let status: ExitStatus = 0;
  for (const take of results) {
    if (io.interrupted.aborted) return 2;
    const result = await take();
    output.file(result);
    status = Math.max(status, result.status) as ExitStatus;
  }
  output.end();
  return status;
}
