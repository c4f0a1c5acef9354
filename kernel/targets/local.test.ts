import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import * as esbuild from 'esbuild';
import { expect, test } from 'vitest';
import { dist, scratchDirectory } from '../host/testing';
import { startLocal } from './local';
import type { TargetProblem } from './target';

const options = { distDirectory: dist, elevate: 'never', log: () => {} } as const;

test('the socket is in a directory that only its user can enter, and gone afterwards', async () => {
  const target = await startLocal(options);
  if ('code' in target) throw new Error(target.message);
  const directory = path.dirname(target.socketPath);
  expect(statSync(directory).mode & 0o777).toBe(0o700);
  expect(target.label).toBe('this machine');
  await target.dispose();
  expect(() => statSync(directory)).toThrow('ENOENT');
  expect(await target.gone).toBe('the kernel host ended with status 0');
});

test('it needs nothing from PATH', async () => {
  const { PATH } = process.env;
  delete process.env['PATH'];
  try {
    const target = await startLocal(options);
    if ('code' in target) throw new Error(target.message);
    await target.dispose();
  } finally {
    process.env['PATH'] = PATH;
  }
});

test('without a build it says what to run', async () => {
  expect(await startLocal({ ...options, distDirectory: '/nowhere' })).toMatchObject({
    code: 'addonFailed',
    hint: expect.stringContaining('npm run build'),
  });
});

test('an addon that cannot be loaded is a problem, not a host that hangs', async () => {
  // The bundle looks for the addon beside itself, so it has to be a copy.
  const copied = scratchDirectory();
  writeFileSync(path.join(copied, 'bpf-studio.node'), 'no shared object');
  await esbuild.build({
    entryPoints: [path.join(dist, 'kernel-host.js')],
    outfile: path.join(copied, 'kernel-host.js'),
    platform: 'node',
    logLevel: 'error',
  });
  expect(await startLocal({ ...options, distDirectory: copied })).toMatchObject({
    code: 'addonFailed',
    message: expect.stringContaining('The addon cannot be loaded'),
  });
});

test('a start can be cancelled', async () => {
  expect(await startLocal({ ...options, signal: AbortSignal.abort() })).toMatchObject({ code: 'cancelled' });
  const cancel = new AbortController();
  const started = startLocal({ ...options, signal: cancel.signal });
  cancel.abort();
  expect(await started).toMatchObject({ code: 'cancelled' });
});

test('a user without privileges is told of the VM', async () => {
  const directory = scratchDirectory();
  const script = path.join(directory, 'start.cjs');
  await esbuild.build({
    stdin: {
      contents: `import { startLocal } from './local';
        void startLocal({ distDirectory: ${JSON.stringify(dist)}, elevate: 'never', log() {} })
          .then((target) => process.stdout.write(JSON.stringify(target)));`,
      resolveDir: import.meta.dirname,
      loader: 'ts',
    },
    bundle: true,
    platform: 'node',
    outfile: script,
    logLevel: 'error',
  });
  chmodSync(directory, 0o755);
  const temporary = path.join(directory, 'tmp');
  mkdirSync(temporary);
  chmodSync(temporary, 0o777);
  const env = { PATH: process.env['PATH'], TMPDIR: temporary };
  const { stdout, stderr } = spawnSync(process.execPath, [script], {
    uid: 65534,
    gid: 65534,
    env,
    cwd: '/',
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  const problem = JSON.parse(stdout) as TargetProblem;
  expect(problem).toMatchObject({ code: 'noPrivileges', hint: expect.stringContaining('--target vm') });
  expect(problem.message).toContain('needs root, or CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN');
});
