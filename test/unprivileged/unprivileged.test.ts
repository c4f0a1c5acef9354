/** What somebody without root gets: a kernel in a VM by itself; without one, clang's findings and what to install. */
import { chownSync, existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { defaultKernel, findKernels } from '../../kernel/targets/vm/kernels';
import { findQemu } from '../../kernel/targets/vm/qemu';
import { startCommand, type Finished } from '../cli/command-line';
import { DapClient } from '../dap/client';
import { Client, lineWith } from '../lsp/client';
import { clangAtHand } from '../support/clang';
import { giveKernel, pathWith, unprivilegedUser, whyNoOtherUser, type User } from '../support/user';
import { kernelAtHand } from '../vm/kernels-at-hand';
import { broken, misspelt, rejected, sound } from './sources';

const reason = whyNoOtherUser();
describe.skipIf(reason)(`a user without privileges${reason ? ` (${reason})` : ''}`, () => {
  let user: User;
  beforeAll(() => {
    user = unprivilegedUser();
  });
  afterAll(() => user?.remove());

  const write = (name: string, text: string): string => {
    const file = path.join(user.home, name);
    writeFileSync(file, text);
    return file;
  };
  const cli = (as: User, ...args: string[]) =>
    startCommand([process.execPath, path.join(as.dist, 'cli.js'), ...args], as);
  const run = (as: User, ...args: string[]): Promise<Finished> => cli(as, ...args).finished;

  test('who names this machine is told what is missing and what to do instead', async () => {
    const { status, stderr } = await run(user, 'verify', '--target', 'local', write('sound.bpf.c', sound));
    expect(status).toBe(2);
    expect(stderr).toMatch(
      /this machine needs root, or CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN; user \S+ has/,
    );
    expect(stderr).toContain('--target vm');
  });

  describe('with QEMU and a kernel', () => {
    const kernel = kernelAtHand('6.12');
    const missing = typeof kernel === 'string' ? kernel : findQemu() ? undefined : 'no QEMU';
    if (typeof kernel === 'string' || missing) {
      test.skip(`(${missing})`, () => {});
      return;
    }
    const cache = path.resolve(path.dirname(kernel.image), '..');
    beforeAll(() => giveKernel(user, cache));
    // The machine may have kernels of its own, which this user sees too when they are open to everybody.
    const seen = findKernels(['/boot', '/usr/lib/modules', '/lib/modules', cache]).filter(
      ({ image }) => (statSync(image).mode & 0o004) !== 0,
    );
    const chosen = defaultKernel(seen) ?? kernel;

    test('verify asks the VM, and its answer names that kernel', async () => {
      const files = [write('sound.bpf.c', sound), write('rejected.bpf.c', rejected)];
      const finished = await run(user, 'verify', '--json', ...files);
      expect(finished.stderr).toBe('');
      expect(finished.status).toBe(1);
      const [first, second] = finished.json() as unknown as Verdicts[];
      expect([first!.kernel, second!.kernel]).toEqual([chosen.release, chosen.release]);
      expect(first!.programs.map(({ name, verdict }) => [name, verdict])).toEqual([
        ['drop_all', 'accepted'],
        ['count_reads', 'accepted'],
        ['count_syscalls', 'accepted'],
        ['count_by_name', 'accepted'],
      ]);
      expect(second!.programs[0]!.diagnostics[0]).toMatchObject({
        range: { start: { line: lineWith(rejected, 'unchecked') } },
      });
    });

    test('attach counts in the VM by a kprobe, and Ctrl-C ends it', async () => {
      const attached = cli(user, 'attach', '-p', 'count_reads', '--json', write('sound.bpf.c', sound));
      // The kernel host in the guest reads its port, whatever else happens there.
      await attached.seen(/"runs".*[1-9]/);
      attached.signal('SIGINT');
      expect((await attached.finished).status).toBe(0);
    });

    test('the language server takes the VM, and the status says whose verdict it is', async () => {
      const client = await Client.start({ user });
      const uri = await client.open(write('rejected.bpf.c', rejected), rejected);
      await client.until('a verdict', () => client.statuses.get(uri)?.kernel !== undefined);
      expect(client.statuses.get(uri)).toMatchObject({
        kernel: chosen.release,
        programs: [{ name: 'reads_beyond', verdict: 'rejected' }],
      });
      expect(client.diagnostics(uri)[0]).toMatchObject({
        range: { start: { line: lineWith(rejected, 'unchecked') } },
      });
      expect(client.log.join('\n')).toContain(`(vm ${path.basename(chosen.image)})`);
      await client.stop();
    });

    test('F5 runs in the VM, and the console says so', async () => {
      const configuration = {
        program: write('sound.bpf.c', sound),
        entry: 'drop_all',
        packet: '00'.repeat(60),
      };
      const adapter = await DapClient.started('launch', configuration, { user });
      expect(adapter.console).toContain(`on vm ${path.basename(chosen.image)}, Linux ${chosen.release}`);
      expect(adapter.console).toContain('XDP_DROP');
      await adapter.close();
    });
  });

  describe('with neither', () => {
    let poor: User;
    // A kernel of the system's own cannot be hidden; then only QEMU is missing.
    const hasKernel = findKernels(['/boot', '/usr/lib/modules', '/lib/modules']).some(
      ({ usable }) => usable.ok,
    );
    const installs = (text: string): void => {
      expect(text).toContain('sudo apt-get install --no-install-recommends qemu-system-x86');
      if (!hasKernel) expect(text).toContain('bpf-studio kernels fetch');
    };
    beforeAll(async () => {
      const cache = path.join(user.home, 'empty');
      mkdirSync(cache);
      chownSync(cache, user.uid, user.gid);
      poor = {
        ...user,
        env: { ...user.env, XDG_CACHE_HOME: cache, PATH: pathWith(user, await clangAtHand()) },
      };
    });

    test('verify shows what clang says, and what to install for a verdict', async () => {
      const finished = await run(poor, 'verify', write('misspelt.bpf.c', misspelt));
      expect(finished.status).toBe(2);
      // This machine's own types are open to everybody.
      if (existsSync('/sys/kernel/btf/vmlinux')) {
        expect(finished.stdout).toMatch(/error.*no member named 'dataa'.*misspelt\.bpf\.c:6:14/s);
      }
      installs(finished.stderr);
    });

    test('the editor shows syntax errors and clang findings, and the status what to install', async () => {
      const client = await Client.start({ user: poor });
      for (const [name, text, line] of [
        ['broken.bpf.c', broken, lineWith(broken, 'XDP_PASS')],
        ['misspelt.bpf.c', misspelt, lineWith(misspelt, 'dataa')],
      ] as const) {
        const uri = await client.open(write(name, text), text);
        const { problem } = await client.finished(uri);
        // A kernel was asked for vmlinux.h: that there is none is said beside clang's errors.
        if (text.includes('vmlinux.h')) expect(problem).toMatchObject({ code: 'noQemu' });
        expect(client.diagnostics(uri).map(({ range }) => range.start.line)).toContain(line);
      }
      const uri = await client.open(write('sound.bpf.c', sound), sound);
      const status = await client.finished(uri);
      expect(status).toMatchObject({ phase: 'failed', problem: { code: 'noQemu' } });
      installs(status.problem!.hint!);
      expect(client.diagnostics(uri)).toEqual([]);
      await client.stop();
    });

    test('F5 says what to install', async () => {
      const adapter = await DapClient.initialized(poor);
      const launch = adapter.request('launch', { program: write('sound.bpf.c', sound), entry: 'drop_all' });
      await expect(launch).rejects.toMatchObject({ showUser: true });
      installs(await launch.then(String, (error: Error) => error.message));
      await adapter.close();
    });

    test('doctor says what works without them and how to get them', async () => {
      const { status, stdout } = await run(poor, 'doctor');
      expect(status).toBe(1);
      installs(stdout);
      expect(stdout).toContain('Syntax checks and clang diagnostics work');
    });
  });
});

interface Verdicts {
  kernel: string;
  programs: { name: string; verdict: string; diagnostics: object[] }[];
}
