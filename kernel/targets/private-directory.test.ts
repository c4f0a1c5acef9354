import { spawnSync } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { privateDirectory } from './private-directory';

let base: string;
const before = process.env['XDG_RUNTIME_DIR'];
beforeEach(() => {
  base = mkdtempSync(path.join(os.tmpdir(), 'bpf-studio-private-'));
  process.env['XDG_RUNTIME_DIR'] = base;
});
afterEach(() => {
  if (before === undefined) delete process.env['XDG_RUNTIME_DIR'];
  else process.env['XDG_RUNTIME_DIR'] = before;
  rmSync(base, { recursive: true });
});

test('only this user can enter it', () => {
  expect(statSync(privateDirectory('host')).mode & 0o777).toBe(0o700);
});

test('those of killed processes go, if they are ours and for the same', () => {
  // It has ended by now.
  const { pid: dead } = spawnSync('true');
  const make = (name: string) => {
    mkdirSync(path.join(base, name));
    writeFileSync(path.join(base, name, 'kernel.sock'), '');
    return path.join(base, name);
  };
  const stale = make(`bpf-studio-host-${dead}-abcdef`);
  const stay = [
    make(`bpf-studio-host-${process.pid}-abcdef`),
    make(`bpf-studio-vm-${dead}-abcdef`),
    make('bpf-studio-host-abcdef'),
  ];
  if (process.getuid?.() === 0) {
    const others = make(`bpf-studio-host-${dead}-others`);
    chownSync(others, 65_534, 65_534);
    stay.push(others);
  }
  privateDirectory('host');
  expect(existsSync(stale)).toBe(false);
  expect(stay.filter((directory) => !existsSync(directory))).toEqual([]);
});

test('a runtime directory that is not there is not used', () => {
  process.env['XDG_RUNTIME_DIR'] = path.join(base, 'none');
  const directory = privateDirectory('host');
  expect(path.dirname(directory)).toBe(os.tmpdir());
  rmSync(directory, { recursive: true });
});
