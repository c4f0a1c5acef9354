/** Packets, contexts and counts of `run` and `record`. */
import path from 'node:path';
import type { ProgramFile } from '../debug-adapter/runner/object';
import type { RunInput } from '../debug-adapter/runner/run';
import { fail, succeed, type Outcome } from '../toolchain/problem';
import { text, usage, type Arguments, type Options } from './command';

export const inputOptions: Options = {
  packet: { type: 'string' },
  ctx: { type: 'string' },
  cpu: { type: 'string' },
};

/** The one program of FILE to run: named by `--prog`, or the only one there is. */
export function oneProgram(command: string, name: string) {
  return (file: ProgramFile, named: string[] | undefined): Outcome<string[]> => {
    const names = named ?? file.object.programs.map((program) => program.name);
    const which = `${name} has the programs ${names.join(', ')}: choose one with --prog`;
    return names.length === 1 ? succeed(names) : usage(command, which);
  };
}

/** The input of a run, as {@link inputOptions} give it. */
export function runInput(command: string, args: Arguments): Outcome<RunInput> {
  const input: RunInput = {};
  const packet = text(args, 'packet');
  if (packet !== undefined) {
    const parsed = packetArgument(command, packet);
    if (!parsed.ok) return parsed;
    input.packet = parsed.value;
  }
  const context = text(args, 'ctx');
  if (context !== undefined) {
    if (!context.trimStart().startsWith('{')) input.context = context;
    else {
      const parsed = json('--ctx', context);
      if (!parsed.ok) return parsed;
      input.context = parsed.value as Record<string, unknown>;
    }
  }
  for (const name of ['repeat', 'cpu'] as const) {
    const given = text(args, name);
    if (given === undefined) continue;
    if (!/^\d+$/.test(given) || (name === 'repeat' && Number(given) === 0)) {
      return usage(command, `--${name} ${given} is not a number${name === 'repeat' ? ' of at least 1' : ''}`);
    }
    input[name] = Number(given);
  }
  return succeed(input);
}

function packetArgument(command: string, given: string): Outcome<NonNullable<RunInput['packet']>> {
  if (given.trimStart().startsWith('[')) {
    const parsed = json('--packet', given);
    return parsed.ok ? succeed(parsed.value as Record<string, unknown>[]) : parsed;
  }
  const capture = /^(.+\.(?:pcap|pcapng|cap)):(\d+)$/.exec(given);
  if (capture) return succeed({ pcap: path.resolve(capture[1]!), index: Number(capture[2]) });
  if (/\.(pcap|pcapng|cap)$/.test(given))
    return usage(command, `--packet ${given} needs a packet number: ${given}:1`);
  return succeed(given);
}

function json(option: string, given: string): Outcome<unknown> {
  try {
    return succeed(JSON.parse(given) as unknown);
  } catch (error) {
    return fail(
      'cli/json',
      `${option} is not JSON: ${(error as Error).message}.`,
      `Quote it for the shell: ${option} '[…]'`,
    );
  }
}
