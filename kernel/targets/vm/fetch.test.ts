import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { kernelAtHand } from '../../../test/vm/kernels-at-hand';
import { parseDeb822, parseOneLine } from './apt';
import { fetchKernel } from './fetch';

test('sources in the one-line form', () => {
  const text = [
    '# deb http://archive.example/commented stable main',
    'deb [arch=amd64 signed-by=/usr/share/keyrings/a.gpg] http://archive.example/debian stable main contrib # note',
    'deb-src http://archive.example/debian stable main',
    'deb http://archive.example/plain other main',
  ].join('\n');
  expect(parseOneLine(text)).toEqual([
    {
      uri: 'http://archive.example/debian',
      suites: ['stable'],
      components: ['main', 'contrib'],
      signedBy: '/usr/share/keyrings/a.gpg',
    },
    { uri: 'http://archive.example/plain', suites: ['other'], components: ['main'] },
  ]);
});

test('sources in the deb822 form', () => {
  const text = `Types: deb deb-src
URIs: http://archive.example/debian
Suites: stable stable-updates
Components: main
Signed-By: /usr/share/keyrings/a.gpg

Enabled: no
Types: deb
URIs: http://archive.example/off
Suites: stable
Components: main

Types: deb
URIs: http://archive.example/embedded
Suites: stable
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
`;
  expect(parseDeb822(text)).toEqual([
    {
      uri: 'http://archive.example/debian',
      suites: ['stable', 'stable-updates'],
      components: ['main'],
      signedBy: '/usr/share/keyrings/a.gpg',
    },
    { uri: 'http://archive.example/embedded', suites: ['stable'], components: ['main'] },
  ]);
});

test('what is no version is refused before anything is asked', async () => {
  expect(await fetchKernel('newest; reboot', { log: () => {} })).toMatchObject({
    message: '“newest; reboot” is not a kernel version.',
    hint: 'Write it like 6.12.',
  });
});

test('the script prints the image of a kernel that is there already, and says so', async () => {
  const kernel = kernelAtHand('6.12');
  if (typeof kernel === 'string') throw new Error(kernel);
  const script = path.resolve(__dirname, '../../../scripts/kernels.mjs');
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [script, '6.12']);
  expect(stdout.trim()).toBe(kernel.image);
  expect(stderr).toMatch(/Linux 6\.12\.\S+ is in \S+ already/);
});
