import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { copyTemplate, findTemplates, firstExisting, launchConfigurations } from './template-files';

let scratch: string;
beforeEach(async () => {
  scratch = await mkdtemp(path.join(os.tmpdir(), 'bpf-studio-templates-'));
});
afterEach(() => rm(scratch, { recursive: true }));

test('every template that is shipped can be copied, and its launch configurations name its new place', async () => {
  const { templates, bad } = await findTemplates(path.resolve(__dirname, '../../bpf-templates'));
  expect(bad).toEqual([]);
  expect(templates.map(({ id }) => id)).toEqual(
    expect.arrayContaining(['kprobe/tcp-traffic', 'tc/flow-stats', 'xdp/firewall']),
  );
  for (const template of templates) {
    const destination = path.join(scratch, template.id);
    await copyTemplate(template, template.files, destination);
    expect(await firstExisting(template.files, destination)).toBe(template.files[0]);
    const configurations = (await launchConfigurations(template, 'here')) as {
      program: string;
      type: string;
    }[];
    expect(configurations.length).toBeGreaterThan(0);
    for (const { type, program } of configurations) {
      expect(type).toBe('bpf');
      expect(program).toMatch(/^\$\{(file|workspaceFolder\}\/here\/)/);
    }
  }
});

test('nothing is overwritten', async () => {
  const { templates } = await findTemplates(path.resolve(__dirname, '../../bpf-templates'));
  const template = templates[0]!;
  await copyTemplate(template, template.files, scratch);
  const file = path.join(scratch, template.files[0]!);
  await writeFile(file, 'mine');
  await expect(copyTemplate(template, template.files, scratch)).rejects.toThrow(/EEXIST/);
  expect(await readFile(file, 'utf8')).toBe('mine');
});

test('a broken template says what is wrong and does not hide the others', async () => {
  const write = async (name: string, text: string) => {
    await mkdir(path.join(scratch, 'xdp', name), { recursive: true });
    await writeFile(path.join(scratch, 'xdp', name, 'template.json'), text);
  };
  const good = { title: 'T', description: 'D', programType: 'xdp', files: ['a.bpf.c'] };
  await write('good', JSON.stringify(good));
  await write('syntax', '{');
  await write('thin', '{"title": "T"}');
  await write('escape', JSON.stringify({ ...good, files: ['../../../etc/passwd'] }));
  const { templates, bad } = await findTemplates(scratch);
  expect(templates.map(({ id }) => id)).toEqual(['xdp/good']);
  expect(bad.map(({ folder, reason }) => `${folder}: ${reason}`)).toEqual([
    'xdp/escape: its template.json names a file outside the template: ../../../etc/passwd',
    expect.stringMatching(/^xdp\/syntax: its template\.json is not JSON \(/),
    'xdp/thin: its template.json lacks title, description, programType or files',
  ]);
});
