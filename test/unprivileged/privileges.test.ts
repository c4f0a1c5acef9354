/** This machine's kernel for users who are not root but may load programs, or are given root by sudo or pkexec. */
import { spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import * as esbuild from 'esbuild';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { KernelClient } from '../../kernel/client/client';
import { startCommand } from '../cli/command-line';
import { unprivilegedUser, whyNoOtherUser, type User } from '../support/user';
import { isRunning } from '../support/processes';
import { until } from '../support/until';
import { sound } from './sources';

/** setpriv of util-linux, in words that leave a process of `user` with these capabilities across execve. */
function withCapabilities(user: User, ...names: string[]): string[] {
  const caps = names.map((name) => `+${name}`).join(',');
  const ids = [`--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups'];
  return ['setpriv', ...ids, `--inh-caps=${caps}`, `--ambient-caps=${caps}`, process.execPath];
}

const reason = whyNoOtherUser();
const because = reason ? ` (${reason})` : '';

describe.skipIf(reason)(`a user with CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN${because}`, () => {
  let user: User;
  let file: string;
  beforeAll(() => {
    user = unprivilegedUser();
    file = path.join(user.home, 'sound.bpf.c');
    writeFileSync(file, sound);
  });
  afterAll(() => user?.remove());
  const cli = (...args: string[]) => {
    const command = withCapabilities(user, 'bpf', 'perfmon', 'net_admin');
    return startCommand([...command, path.join(user.dist, 'cli.js'), ...args], { env: user.env });
  };

  test('verifies on this machine without naming it', async () => {
    const finished = await cli('verify', '--json', file).finished;
    expect(finished.stdout + finished.stderr).toContain('accepted');
    expect(finished.status).toBe(0);
    expect(finished.json()[0]).toMatchObject({
      kernel: os.release(),
      programs: Array.from({ length: 4 }, () => ({ verdict: 'accepted' })),
    });
  });

  test('with one of them missing is told which', async () => {
    const command = withCapabilities(user, 'bpf', 'net_admin');
    const words = [...command, path.join(user.dist, 'cli.js'), 'verify', '--target', 'local', file];
    const { stderr, status } = await startCommand(words, { env: user.env }).finished;
    expect(stderr).toMatch(/CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN; user \S+ has no CAP_PERFMON that/);
    expect(stderr).toContain('--target vm');
    expect(status).toBe(2);
  });

  test('runs a program, and attaches a raw tracepoint', async () => {
    const ran = await cli('run', file, '--prog', 'drop_all', '--packet', '00'.repeat(60)).finished;
    expect(ran.stdout + ran.stderr).toContain('XDP_DROP');
    const attached = cli('attach', '-p', 'count_syscalls', '--json', file);
    await attached.seen(/"runs".*[1-9]/);
    attached.signal('SIGINT');
    expect((await attached.finished).status).toBe(0);
  });

  test('attaches a tracepoint by name, or is told what keeps tracefs from them', async () => {
    const isMounted = existsSync('/sys/kernel/tracing/events');
    const isOpen = isMounted && (statSync('/sys/kernel/tracing').mode & 0o007) !== 0;
    const attached = cli('attach', '-p', 'count_by_name', file);
    if (isOpen) {
      await attached.seen(/Ctrl-C detaches/);
      attached.signal('SIGINT');
    }
    const { status, stderr } = await attached.finished;
    expect(status).toBe(isOpen ? 0 : 2);
    if (!isMounted) expect(stderr).toContain('sudo mount -t tracefs tracefs /sys/kernel/tracing');
    else if (!isOpen) {
      expect(stderr).toMatch(/tracefs .* is for root only \(EACCES\)/);
      expect(stderr).toContain('sudo mount -o remount,mode=750');
    }
  });
});

describe.skipIf(reason).each(['sudo', 'pkexec'] as const)(`root through %s${because}`, (elevate) => {
  let user: User;
  let starter: string;
  beforeAll(async () => {
    // A shell would make three commands of this.
    user = unprivilegedUser(`di st $(touch pwned); "'&`);
    starter = path.join(user.home, '..', 'starter.js');
    await esbuild.build({
      entryPoints: [path.join(import.meta.dirname, 'starter.ts')],
      outfile: starter,
      bundle: true,
      platform: 'node',
      format: 'cjs',
      logLevel: 'error',
    });
  });
  afterAll(() => user?.remove());

  /**
   * A stand-in for the real one in a directory of its own. The starter may change its user id, so the script becomes
   * root as the real one does, without being setuid, and like it passes no environment on.
   */
  const standIn = (body: string): string => {
    const bin = mkdtempSync(path.join(user.home, 'bin-'));
    writeFileSync(path.join(bin, elevate), `#!/bin/sh\nhere=$(dirname "$0")\n${body}\n`);
    chmodSync(path.join(bin, elevate), 0o755);
    chownSync(bin, user.uid, user.gid);
    return bin;
  };
  const asRoot = 'exec setpriv --reuid=0 --regid=0 --clear-groups env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin';

  const start = (bin: string, ...rest: string[]) => {
    const [command, ...args] = [
      ...withCapabilities(user, 'setuid', 'setgid'),
      starter,
      elevate,
      user.dist,
      ...rest,
    ];
    const env = { ...user.env, PATH: `${bin}:${user.env['PATH']}` };
    const child = spawn(command!, args, { env, cwd: user.home, stdio: ['pipe', 'pipe', 'inherit'] });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    return {
      end: () => child.stdin.end(),
      next: async () => JSON.parse((await lines.next()).value as string) as Record<string, unknown>,
    };
  };

  test('the host runs as root, serves its starter only, and ends with it', async () => {
    const bin = standIn(`for each; do printf '%s\\0' "$each"; done > "$here/argv"\n${asRoot} "$@"`);
    const starting = start(bin);
    const up = await starting.next();
    expect(up).toMatchObject({ release: os.release(), load: { ok: true } });
    const socketPath = up['socketPath'] as string;
    expect(readFileSync(path.join(bin, 'argv'), 'utf8').split('\0').slice(0, -1)).toEqual([
      ...['env', 'ELECTRON_RUN_AS_NODE=1', process.execPath, path.join(user.dist, 'kernel-host.js')],
      ...['--listen', socketPath, '--uid', String(user.uid)],
    ]);
    expect(existsSync(path.join(user.home, 'pwned'))).toBe(false);
    // Root may enter the directory, and still is not who the host was started for.
    await expect(KernelClient.connect(socketPath, 'stranger')).rejects.toMatchObject({
      operation: 'hello',
      message: expect.stringContaining('closed the connection'),
    });
    starting.end();
    expect(await starting.next()).toEqual({ gone: 'the kernel host ended with status 0' });
    expect(existsSync(path.dirname(socketPath))).toBe(false);
  });

  test('a refusal is told in the words of who refused', async () => {
    const starting = start(standIn(`echo '${elevate}: 3 incorrect password attempts' >&2; exit 1`));
    expect(await starting.next()).toMatchObject({
      code: 'noPrivileges',
      message: expect.stringMatching(
        new RegExp(`Root was not granted through ${elevate}: .*3 incorrect password`, 's'),
      ),
      hint: expect.stringContaining('--target vm'),
    });
  });

  test('giving up while it asks ends the waiting', async () => {
    // The real ones run as root while they ask, where their caller cannot kill them.
    const bin = standIn(
      `${asRoot} sh -c 'echo $$ > "$0/asked.part"; mv "$0/asked.part" "$0/asked"; exec cat' "$here"`,
    );
    const asked = path.join(bin, 'asked');
    expect(await start(bin, 'cancel', asked).next()).toMatchObject({ code: 'cancelled' });
    const pid = readFileSync(asked, 'utf8').trim();
    await until('it ends', () => !isRunning(Number(pid)));
  });
});
