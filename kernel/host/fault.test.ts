/**
 * When no answer comes. A kernel that faults in a system call ends the thread that made it, and that thread alone. To
 * have that happen without harm to this machine, the hosts here run under a seccomp filter that ends the thread which
 * makes one command of bpf(2): the same do_exit() of a single thread, seen from the process.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { clangAtHand } from '../../test/support/clang';
import { KernelClient } from '../client/client';
import { startLocal } from '../targets/local';
import { Compiler, dist, hostBundle, openTestKernel, remaining, scratchDirectory } from './testing';
import { until } from '../../test/support/until';

const directory = scratchDirectory();
const launcher = path.join(directory, 'launcher');
/** Commands of bpf(2), enum bpf_cmd. */
const BPF_PROG_LOAD = 5;
const BPF_PROG_TEST_RUN = 10;

/** launcher COMMAND PROGRAM ARGUMENT…: runs the program; a thread of it that calls bpf(COMMAND, …) ends there. */
const LAUNCHER = `
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int argc, char **argv) {
  struct sock_filter filter[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_bpf, 0, 3),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, atoi(argv[1]), 0, 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_THREAD),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = { sizeof(filter) / sizeof(*filter), filter };
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) return 3;
  execv(argv[2], argv + 2);
  return 4;
}`;

const OBJECT = `
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, u32); __type(value, u32); } fltmap SEC(".maps");
SEC("xdp") int fltxdp(struct xdp_md *c) { u32 k = 0; return bpf_map_lookup_elem(&fltmap, &k) ? XDP_DROP : XDP_PASS; }
`;

let observer: Awaited<ReturnType<typeof openTestKernel>>;
let compiler: Compiler;
let object: Uint8Array;
const undo: (() => unknown)[] = [];

beforeAll(async () => {
  observer = await openTestKernel();
  compiler = await Compiler.create(observer.client);
  object = await compiler.compile(OBJECT);
  writeFileSync(`${launcher}.c`, LAUNCHER);
  execFileSync(await clangAtHand(), [`${launcher}.c`, '-o', launcher]);
});
afterAll(() => observer.dispose());
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

/** A directory like dist/ for the local target, whose host is the real one under the launcher. */
function faultingDist(command: number): string {
  const copy = path.join(directory, 'dist');
  mkdirSync(copy);
  const words = JSON.stringify([String(command), process.execPath, hostBundle]);
  const script = `require('node:child_process').spawnSync(${JSON.stringify(launcher)}, [...${words}, ...process.argv.slice(2)], { stdio: 'inherit' });`;
  writeFileSync(path.join(copy, 'kernel-host.js'), script);
  writeFileSync(path.join(copy, 'bpf-studio.node'), '');
  return copy;
}

const hostPid = (client: KernelClient) => Number(/pid (\d+)/.exec(client.hello.host)![1]);
/** A host whose threads end in that command of bpf(2), a session with it, and how the host ends. */
async function startFaulting(command: number) {
  const socketPath = path.join(directory, `${command}.sock`);
  const uid = String(process.getuid?.() ?? 0);
  const child = spawn(
    launcher,
    [String(command), process.execPath, hostBundle, '--listen', socketPath, '--uid', uid],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  undo.push(() => child.kill('SIGKILL'));
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  await new Promise((resolve) => createInterface({ input: child.stdout }).once('line', resolve));
  const client = await KernelClient.connect(socketPath, 'test');
  return { client, end: () => child.stdin.end(), ended };
}

const faulted = {
  code: 'kernel',
  errno: 'EOWNERDEAD',
  message: expect.stringContaining(`Linux ${os.release()} gave no answer`),
  hint: expect.stringContaining('dmesg'),
};

describe('the kernel faults', () => {
  test('while an object is verified: every program is told of it, and the session goes on', async () => {
    const { client, end, ended } = await startFaulting(BPF_PROG_LOAD);
    const { programs, error } = await client.request('verify', { object, log: 'rejected' });
    expect(error).toMatchObject(faulted);
    expect(programs).toMatchObject([{ name: 'fltxdp', verdict: 'error', message: error!.message }]);
    // The answer came, so the object could be closed, which the thread that was ended had locked.
    expect((await client.request('listPrograms', {})).programs).not.toContainEqual(
      expect.objectContaining({ name: 'fltxdp' }),
    );
    end();
    expect(await ended).toBe(0);
  });

  test('once: not again on the same program while somebody types, but on request', async () => {
    const { client } = await startFaulting(BPF_PROG_LOAD);
    const verify = (bytes: Uint8Array, despiteFault = false) =>
      client.request('verify', { object: bytes, log: 'rejected', despiteFault });
    expect((await verify(object)).error).toMatchObject(faulted);
    const notAgain = [
      {
        name: 'fltxdp',
        verdict: 'error',
        errno: 'EOWNERDEAD',
        message: expect.stringContaining(`Linux ${os.release()} was not asked again`),
      },
    ];
    expect((await verify(object)).programs).toMatchObject(notAgain);
    expect((await verify(await compiler.compile(`// A comment.\n\n${OBJECT}`))).programs).toMatchObject(
      notAgain,
    );
    // Had it been asked, there would have been no answer again.
    expect((await verify(await compiler.compile(OBJECT.replace('XDP_PASS', 'XDP_TX')))).error).toMatchObject(
      faulted,
    );
    expect((await verify(object, true)).error).toMatchObject(faulted);
    const opened = await client.request('objectOpen', { object });
    await expect(
      client.request('objectLoad', { object: opened.object, log: 'rejected' }),
    ).rejects.toMatchObject(faulted);
    client.dispose();
  });

  test('and the host is killed: the next one, which its keeper starts, knows of it', async () => {
    const options = { distDirectory: faultingDist(BPF_PROG_LOAD), elevate: 'never', log: () => {} } as const;
    const start = async () => {
      const target = await startLocal(options);
      if ('code' in target) throw new Error(target.message);
      undo.push(() => target.dispose());
      const client = await KernelClient.connect(target.socketPath, 'test');
      undo.push(() => client.dispose());
      return { target, client };
    };
    const first = await start();
    const { error } = await first.client.request('verify', { object, log: 'rejected' });
    expect(error).toMatchObject(faulted);
    process.kill(hostPid(first.client), 'SIGKILL');
    await first.target.gone;
    const { client } = await start();
    expect(hostPid(client)).not.toBe(hostPid(first.client));
    const again = await client.request('verify', { object, log: 'rejected' });
    expect(again.programs[0]?.message).toContain('was not asked again');
  });

  test('while a program runs: nothing of the session is left', async () => {
    const { client, end, ended } = await startFaulting(BPF_PROG_TEST_RUN);
    const opened = await client.request('objectOpen', { object });
    const { programs } = await client.request('objectLoad', { object: opened.object, log: 'rejected' });
    const cancel = new AbortController();
    const run = { data: new Uint8Array(64), repeat: 1, dataOutSize: 0, contextOutSize: 0 };
    const answer = client.request(
      'testRun',
      { program: programs[0]!.handle, ...run },
      { signal: cancel.signal },
    );
    await expect(answer).rejects.toMatchObject(faulted);
    cancel.abort();
    client.dispose();
    await until('it is released', async () => (await remaining(observer.client, 'flt')).length === 0);
    end();
    expect(await ended).toBe(0);
  });
});

test('a host that does not answer at all holds up neither a cancel nor the end', async () => {
  const log: string[] = [];
  const target = await startLocal({
    distDirectory: dist,
    elevate: 'never',
    log: (line) => log.push(line),
  });
  if ('code' in target) throw new Error(target.message);
  const client = await KernelClient.connect(target.socketPath, 'test');
  process.kill(hostPid(client), 'SIGSTOP');
  const cancel = new AbortController();
  const answer = client.request('verify', { object, log: 'rejected' }, { signal: cancel.signal });
  cancel.abort();
  await expect(answer).rejects.toMatchObject({
    code: 'cancelled',
    message: expect.stringContaining('did not confirm it'),
  });
  client.dispose();
  await target.dispose();
  expect(await target.gone).toContain('SIGKILL');
  expect(log.join('\n')).toContain('did not end within');
});
