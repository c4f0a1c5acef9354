/**
 * Code actions for programs that the kernel rejects, as an editor gets them from dist/language-server.js. Each fixture
 * says in its head what is offered and what the fixed program does:
 *
 *     // #FIX title      the first action, which is the preferred one
 *     // #ALSO title     another action
 *     // #RUN packet -> value   BPF_PROG_TEST_RUN of the program with the action above applied
 *     // #TEXT words     the text after the action above, escapes as in JSON
 *
 * What is applied goes to the kernel a second way: `bpf-studio verify` of the file an editor would have saved.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openKernel, type OpenedKernel } from '../../kernel/client/open';
import { load } from '../../kernel/host/testing';
import { Client, root } from '../lsp/client';
import { applyAction, readFixture, runInput, verdictsOf, type Fixture } from './fixture';
import { describeAsRoot } from '../support/root';

const directory = path.join(root, 'test/fixtures/fixes');
const fixtures = readdirSync(directory)
  .sort()
  .map((name) => readFixture(path.join(directory, name)));

let scratch: string;
let kernel: OpenedKernel;
let server: Client;

async function actionsFor(client: Client, { file, text }: Pick<Fixture, 'file' | 'text'>) {
  const uri = await client.open(file, text);
  await client.finished(uri);
  const [finding] = client.diagnostics(uri).filter(({ severity }) => severity === 1);
  expect(finding, `the kernel accepts ${path.basename(file)}`).toBeDefined();
  const actions = await client.fixes(uri, finding!);
  return { uri, actions, finding: finding! };
}

/** The object of a text that the server compiles with its own flags. */
async function compiled(client: Client, uri: string, text: string): Promise<Uint8Array> {
  await client.change(uri, text);
  return client.object(uri);
}

describeAsRoot('a fix that the kernel accepted', () => {
  beforeAll(async () => {
    scratch = mkdtempSync(path.join(os.tmpdir(), 'bpf-studio-fixes-'));
    const dist = path.join(root, 'dist');
    const opened = await openKernel({
      target: { kind: 'local' },
      name: 'fixes',
      distDirectory: dist,
      elevate: 'never',
      log: () => {},
    });
    if ('code' in opened) throw new Error(`${opened.message} ${opened.hint}`);
    kernel = opened;
    server = await Client.start();
  });
  afterAll(async () => {
    await server?.stop();
    await kernel?.dispose();
    rmSync(scratch, { recursive: true, force: true });
  });

  test('is there for every class', () => {
    expect(fixtures.length).toBeGreaterThanOrEqual(50);
  });

  test.for(fixtures)('$name', async (fixture, { expect }) => {
    const { uri, actions } = await actionsFor(server, fixture);
    const titles = actions.map(({ title }) => title);
    const [first] = fixture.fixes;
    expect(titles).toEqual(expect.arrayContaining(fixture.fixes.map(({ title }) => title)));
    if (first!.isFirst) expect(titles[0]).toBe(first!.title);
    expect(actions.every(({ kind }) => kind === 'quickfix')).toBe(true);
    expect(actions.filter(({ isPreferred }) => isPreferred).length).toBeLessThanOrEqual(1);
    for (const [index, action] of actions.entries()) {
      writeFileSync(path.join(scratch, `${fixture.name}-${index}.bpf.c`), applyAction(fixture.text, action));
    }
    for (const { title, runs, text } of fixture.fixes) {
      const fixed = applyAction(
        fixture.text,
        actions.find((action) => action.title === title)!,
      );
      if (text !== undefined) expect(fixed).toContain(text);
      if (runs.length === 0) continue;
      const object = await load(kernel.client, await compiled(server, uri, fixed));
      for (const { packet, value } of runs) {
        const { returnValue } = await kernel.client.request('testRun', {
          program: object.program(fixture.program).handle,
          dataOutSize: 0,
          contextOutSize: 0,
          ...runInput(packet),
        });
        expect({ title, packet, returnValue: returnValue | 0 }).toEqual({
          title,
          packet,
          returnValue: value,
        });
      }
      await kernel.client.request('objectClose', { object: object.object });
    }
    await server.close(uri);
  });

  test('is accepted by `bpf-studio verify` too, each of them', () => {
    const files = readdirSync(scratch).map((name) => path.join(scratch, name));
    expect(files.length).toBeGreaterThan(80);
    const verdicts = verdictsOf(files);
    expect(verdicts.size).toBe(files.length);
    expect([...verdicts].filter(([, verdict]) => verdict.some((one) => one !== 'accepted'))).toEqual([]);
  });
});

describeAsRoot('fixes for the fixtures of the verifier', () => {
  test('are accepted, each of them', { timeout: 900_000 }, async () => {
    const client = await Client.start();
    const folder = mkdtempSync(path.join(os.tmpdir(), 'bpf-studio-fixes-'));
    const rejected = path.join(root, 'test/fixtures/verifier/rejected');
    const names = readdirSync(rejected).filter((name) => name.endsWith('.bpf.c'));
    const times: number[] = [];
    let mended = 0;
    for (const name of names) {
      const text = readFileSync(path.join(rejected, name), 'utf8');
      const uri = await client.open(path.join(rejected, name), text);
      await client.finished(uri);
      const [finding] = client.diagnostics(uri);
      const began = performance.now();
      const actions = finding ? await client.fixes(uri, finding) : [];
      times.push(performance.now() - began);
      if (actions.length > 0) mended++;
      for (const [index, action] of actions.entries()) {
        writeFileSync(path.join(folder, `${index}-${name}`), applyAction(text, action));
      }
      await client.close(uri);
    }
    await client.stop();
    times.sort((a, b) => a - b);
    const time = (share: number) => `${times[Math.floor(share * (times.length - 1))]!.toFixed(0)} ms`;
    console.log(
      `fixes for ${mended} of ${names.length} rejected programs; asked for actions: half within ${time(0.5)}, 95 % within ${time(0.95)}`,
    );
    const files = readdirSync(folder).map((name) => path.join(folder, name));
    const verdicts = verdictsOf(files);
    rmSync(folder, { recursive: true, force: true });
    // Another program of the file may be one that is meant to be rejected too.
    expect([...verdicts].filter(([, verdict]) => !verdict.includes('accepted'))).toEqual([]);
    expect(verdicts.size).toBe(files.length);
    expect(mended / names.length).toBeGreaterThan(0.3);
  });
});

describeAsRoot('asking for fixes', () => {
  const unchecked = fixtures.find(({ name }) => name === 'packet-no-checks')!;

  test('an edit ends the work, and the verdict on the new text is not kept waiting', async () => {
    const client = await Client.start();
    const uri = await client.open(unchecked.file, unchecked.text);
    await client.finished(uri);
    const [finding] = client.diagnostics(uri);
    const asked = client.fixes(uri, finding!);
    const version = await client.change(uri, `${unchecked.text}// edited\n`);
    expect(await asked).toEqual([]);
    const status = await client.finished(uri, version);
    expect(status.programs.map(({ verdict }) => verdict)).toEqual(['rejected']);
    // Of the new text they are there again.
    expect((await client.fixes(uri, client.diagnostics(uri)[0]!)).length).toBeGreaterThan(0);
    await client.stop();
  });

  test('nothing is offered that the kernel would not accept', async () => {
    const client = await Client.start();
    // Without a context there is no end of the packet to compare with, and a check of NULL changes nothing.
    const text = `#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int program(struct xdp_md *ctx)
{
	int *p = (int *)0x1000;

	return *p;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
`;
    const uri = await client.open(path.join(root, 'test/fixes/nothing.bpf.c'), text);
    await client.finished(uri);
    const [finding] = client.diagnostics(uri);
    expect(finding!.code).toBe('bpf/scalar-pointer');
    expect(await client.fixes(uri, finding!)).toEqual([]);
    await client.stop();
  });

  test('an untrusted workspace gets none', async () => {
    const client = await Client.start({ initializationOptions: { trusted: false } });
    const uri = await client.open(unchecked.file, unchecked.text);
    const range = { start: { line: 0, character: 0 }, end: { line: 60, character: 0 } };
    const finding = { range, message: '', code: 'bpf/packet-bounds' };
    expect(await client.fixes(uri, finding)).toEqual([]);
    await client.stop();
  });
});
