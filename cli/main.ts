#!/usr/bin/env node
/**
 * The `bpf-studio` command. Each subcommand is a file of its own, loaded when it is asked for, because most of the time
 * of a short run is Node reading JavaScript.
 */
import { QEMU_VARIABLE } from '../kernel/targets/vm/qemu';
import { readArguments, type Command } from './command';
import { createIo, type ExitStatus, type Io } from './io';
import { nearestNames } from '../toolchain/load-failure/nearest';
import { version } from '../package.json';

const subcommands: Record<string, { summary: string; load(): Promise<{ command: Command }> }> = {
  verify: { summary: "the kernel's verdict on every program of FILE…", load: () => import('./verify') },
  run: { summary: 'run a program once on a packet or context', load: () => import('./run') },
  attach: { summary: 'attach programs to their hooks until Ctrl-C', load: () => import('./attach') },
  record: { summary: 'run a program once and keep the run', load: () => import('./record') },
  replay: { summary: 'go through a recorded run, forward and back', load: () => import('./replay') },
  maps: { summary: 'list, read and write maps that are loaded', load: () => import('./maps') },
  doctor: { summary: 'what is missing here, and how to get it', load: () => import('./doctor') },
  vmlinux: { summary: "write the kernel's types as vmlinux.h", load: () => import('./vmlinux') },
  kernels: { summary: 'kernels that --target vm can run', load: () => import('./kernels') },
};

const help = `bpf-studio COMMAND [OPTIONS]

${Object.entries(subcommands)
  .map(([name, { summary }]) => `  ${name.padEnd(9)} ${summary}`)
  .join('\n')}

  bpf-studio COMMAND --help   options and examples
  bpf-studio --version

Exit status: 0 all well, 1 findings (a rejection, an error in the source), 2 could not run.
--json prints one JSON value a line. --target local|vm|vm:PATH-TO-VMLINUZ chooses the kernel; without it this machine's
is used where programs may be loaded, a VM elsewhere. verify --kernels LIST takes several. The environment variable
${QEMU_VARIABLE} names QEMU's executable for the VM, where it is not in PATH.
`;

async function main(argv: string[]): Promise<ExitStatus> {
  const json = argv.includes('--json');
  const io = createIo(json);
  const [name, ...rest] = argv;
  if (name === '--version' || name === '-V') {
    io.out(`bpf-studio ${version}\n`);
    return 0;
  }
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    const [topic] = rest;
    if (name === 'help' && topic !== undefined) return main([topic, '--help']);
    io.out(help);
    return name === undefined ? 2 : 0;
  }
  const subcommand = Object.hasOwn(subcommands, name) ? subcommands[name] : undefined;
  if (!subcommand) {
    const [meant] = nearestNames(name, Object.keys(subcommands), 1);
    io.problem({
      code: 'cli/command',
      message: `There is no command ${name}${meant === undefined ? '.' : `; did you mean ${meant}?`}`,
      hint: `Commands: ${Object.keys(subcommands).join(', ')}. bpf-studio --help`,
    });
    return 2;
  }
  return runSubcommand(name, (await subcommand.load()).command, rest, io);
}

async function runSubcommand(name: string, command: Command, argv: string[], io: Io): Promise<ExitStatus> {
  const args = readArguments(name, command, argv);
  if (!args.ok) {
    io.problem(args.problem);
    return 2;
  }
  if (args.value.values.help === true) {
    io.out(`${command.help.trim()}\n`);
    return 0;
  }
  return command.run(args.value, io);
}

main(process.argv.slice(2)).then(
  (status) => {
    process.exitCode = status;
  },
  (error: unknown) => {
    // Nothing is expected to come here: problems are values. What does is our fault, and the stack tells where.
    process.stderr.write(
      `bpf-studio: internal error: ${error instanceof Error ? error.stack : String(error)}\n`,
    );
    process.exitCode = 2;
  },
);
