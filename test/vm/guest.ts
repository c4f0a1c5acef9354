/** For tests: a VM that also carries out commands. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import * as esbuild from 'esbuild';
import type { TargetProblem } from '../../kernel/targets/target';
import { startVm, type RunningVm } from '../../kernel/targets/vm/start';

export const root = path.resolve(import.meta.dirname ?? __dirname, '../..');
export const dist = path.join(root, 'dist');

/** Where the guest sees the directory of the agent (kernel/targets/vm/boot-plan.ts). */
export const GUEST_FILES = '/bpf-studio/test';
/** Node in the guest. */
export const GUEST_NODE = '/bpf-studio/node';

export interface Guest extends RunningVm {
  /** Runs a command in the guest as root; rejects with its stderr unless it ends with status 0. */
  run(...command: string[]): Promise<string>;
  /** The same, waiting for its end. */
  runSync(...command: string[]): string;
}

/** Starts a VM with the test agent in it; throws the problem's message when it cannot be started. */
/** @param files put beside the agent, in the guest's {@link GUEST_FILES}, by name. */
export async function startGuest(
  kernel: string,
  files: Record<string, string | Uint8Array> = {},
): Promise<Guest> {
  const scratch = mkdtempSync(path.join(os.tmpdir(), 'bpf-studio-agent-'));
  const testAgent = path.join(scratch, 'agent.js');
  await esbuild.build({
    entryPoints: [path.join(root, 'test/vm/agent.ts')],
    outfile: testAgent,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    logLevel: 'error',
  });
  for (const [name, content] of Object.entries(files)) writeFileSync(path.join(scratch, name), content);
  const options = { distDirectory: dist, elevate: 'never', log: () => {} } as const;
  const vm: RunningVm | TargetProblem = await startVm({ kind: 'vm', kernel }, options, { testAgent });
  void ('gone' in vm ? vm.gone : Promise.resolve()).then(() =>
    rmSync(scratch, { recursive: true, force: true }),
  );
  if ('code' in vm) throw new Error(`${vm.message}\n${vm.hint}`);
  const agent = vm.testSocketPath!;
  return {
    ...vm,
    run: (...command) => runInGuest(agent, command),
    runSync: (...command) =>
      answerOf(
        command,
        execFileSync(process.execPath, ['-e', ASK, agent, JSON.stringify({ command })], { encoding: 'utf8' }),
      ),
  };
}

function runInGuest(socketPath: string, command: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(socketPath, () => socket.write(`${JSON.stringify({ command })}\n`));
    let answer = '';
    socket.on('data', (chunk) => (answer += chunk.toString()));
    socket.on('error', reject);
    socket.on('close', () => {
      try {
        resolve(answerOf(command, answer));
      } catch (error) {
        reject(error as Error);
      }
    });
  });
}

/** A process of its own that sends the agent a line and prints what it answers, so that somebody can wait for it. */
const ASK = `
const [, agent, line] = process.argv;
const socket = require('node:net').connect(agent, () => socket.write(line + '\\n'));
socket.pipe(process.stdout);`;

/** What a command printed; throws its stderr unless it ended with status 0. */
function answerOf(command: string[], answer: string): string {
  if (!answer.endsWith('\n')) throw new Error(`the VM went away during: ${command.join(' ')}`);
  const { status, stdout, stderr } = JSON.parse(answer) as {
    status: unknown;
    stdout: string;
    stderr: string;
  };
  if (status !== 0) throw new Error(`${command.join(' ')}: status ${status}: ${stderr}${stdout}`);
  return stdout;
}
