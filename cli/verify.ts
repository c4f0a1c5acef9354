/** `bpf-studio verify`: every program of every file, judged by a kernel and unloaded again. */
import { compileOptions, targetOption, usage, type Command } from './command';
import type { ExitStatus, Io } from './io';
import { openSession } from './kernel';
import { inputOf } from './source';
import { verifyFile, withoutVerdict, type FileResult } from './verify-file';

/** Files in work at a time: reading, compiling and verifying overlap, and a second core helps. */
const AT_A_TIME = 4;

export const command: Command = {
  help: `bpf-studio verify FILE… [--target TARGET] [--clang-args "…"]

The kernel's verdict on every program of each FILE, a source (.bpf.c) or an object (.o). Each program is loaded on its
own, so one rejection does not hide the others', and nothing stays loaded.

  -t, --target         local, vm, vm:PATH-TO-VMLINUZ
  --clang PATH         this clang instead of the newest found
  --clang-args "…"     flags for clang, replacing compile_commands.json and the defaults
  --json               one line a file: {file, kernel, programs: [{name, section, type, verdict, stats, diagnostics}],
                       diagnostics}; positions are zero-based, as in LSP;
                       without a kernel, "kernel" is empty and a last line {error} says why

  bpf-studio verify *.bpf.c
  bpf-studio verify --target vm:/boot/vmlinuz-6.1.0-50-amd64 --json build/*.o

Exit status: 0 all accepted, 1 a rejection or an error in a source, 2 something could not be verified.`,
  options: { ...targetOption, ...compileOptions },
  async run(args, io) {
    const files = args.positionals;
    if (files.length === 0) {
      io.problem(usage('verify', 'verify needs at least one FILE').problem);
      return 2;
    }
    // The host starts while files are read and compiled.
    const session = openSession(args, io);
    const inputs = inAdvance(files, AT_A_TIME, (file) => inputOf(file, args, session, io.interrupted));
    const opened = await session;
    if (!('client' in opened)) {
      const findings = inputs.map((take) => async () => withoutVerdict(await take()));
      // What clang says needs no kernel. A command line that makes no sense is not carried out in part.
      if (opened.code === 'cli/target') await Promise.allSettled(findings.map((take) => take()));
      else await print(findings, io);
      io.problem(opened);
      return 2;
    }
    try {
      const results = inAdvance(inputs, AT_A_TIME, async (input) =>
        verifyFile(opened.client, await input(), io.interrupted),
      );
      return await print(results, io);
    } finally {
      await opened.dispose();
    }
  },
};

/** Starts the work on the first `count` items now and on a further one whenever one is done; each is asked for in turn. */
function inAdvance<T, R>(items: T[], count: number, work: (item: T) => Promise<R>): (() => Promise<R>)[] {
  const started: (Promise<R> | undefined)[] = items.map(() => undefined);
  let next = 0;
  const start = (index: number): Promise<R> => (started[index] ??= work(items[index]!).finally(startNext));
  function startNext(): void {
    while (next < items.length && started[next] !== undefined) next++;
    // A failure is seen by whoever asks for this item.
    if (next < items.length) start(next).catch(() => {});
  }
  for (let index = 0; index < count; index++) startNext();
  return items.map((_, index) => () => start(index));
}

async function print(results: (() => Promise<FileResult>)[], io: Io): Promise<ExitStatus> {
  let status: ExitStatus = 0;
  const render = io.json ? undefined : (await import('./render-result')).renderResult;
  for (const take of results) {
    if (io.interrupted.aborted) return 2;
    const result = await take();
    if (render) io.out(render(result, io));
    else io.outJson(result.json);
    status = Math.max(status, result.status) as ExitStatus;
  }
  return status;
}
