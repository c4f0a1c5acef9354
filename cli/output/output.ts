/** The forms in which `verify` prints its results. */
import type { Problem } from '../../toolchain/problem';
import { flag, text, type Arguments, type Options } from '../command';
import type { Io } from '../io';
import type { FileResult } from '../verify-file';

/** Takes the results one by one; what needs all of them is printed at the end. */
export interface Output {
  file(result: FileResult): void;
  end(): void;
}

export const outputOptions: Options = {
  sarif: { type: 'boolean', default: false },
  github: { type: 'boolean', default: false },
  stats: { type: 'boolean', default: false },
  output: { type: 'string', short: 'o' },
  sort: { type: 'string', short: 's' },
};

const exclusive = ['json', 'sarif', 'github', 'stats'] as const;

/** The form that the command line asks for, or why it cannot be. Each is loaded when it is needed. */
export async function outputFor(args: Arguments, io: Io): Promise<Output | Problem> {
  const chosen = exclusive.filter((name) => flag(args, name));
  if (chosen.length > 1) return problem(`--${chosen.join(' and --')} exclude each other.`);
  const [form] = chosen;
  for (const name of ['output', 'sort']) {
    if (text(args, name) !== undefined && form !== 'stats') return problem(`--${name} belongs to --stats.`);
  }
  switch (form) {
    case 'sarif':
      return (await import('./sarif')).sarifOutput(io);
    case 'github':
      return (await import('./github')).githubOutput(io);
    case 'stats':
      return (await import('./stats')).statsOutput(args, io);
    case 'json':
      return { file: (result) => io.outJson(result.json), end: () => {} };
    default: {
      const { renderResult } = await import('../render-result');
      return { file: (result) => io.out(renderResult(result, io)), end: () => {} };
    }
  }
}

function problem(message: string): Problem {
  return { code: 'cli/usage', message, hint: 'bpf-studio verify --help' };
}
