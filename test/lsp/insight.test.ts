/** What the server tells of a verification beyond its findings: the failing path, what it cost, what changed. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { CodeAction } from 'vscode-languageserver-types';
import {
  FailingPath,
  VerifierCosts,
  VerifierLog,
  type FailingPathResult,
  type PathNode,
  type VerifierCostsResult,
  type VerifierLogResult,
} from '../../language-server/protocol';
import { logFolds } from '../../toolchain/verifier/logFolds';
import { Client, lineWith, root } from './client';
import { describeAsRoot, isRoot } from '../support/root';

const file = path.join(root, 'test/lsp/fixtures/path.bpf.c');
const text = readFileSync(file, 'utf8');
const line = (marker: string) => lineWith(text, marker);

let client: Client;
let uri: string;
let scratch: string;

beforeAll(async () => {
  if (!isRoot) return;
  scratch = mkdtempSync(path.join(os.tmpdir(), 'bpf-studio-insight-'));
  // Empty: this machine's kernel.
  client = await Client.start({
    initializationOptions: { target: process.env.BPF_STUDIO_TEST_TARGET ?? '' },
  });
  uri = await client.open(file, text);
  // A VM boots first.
  await client.finished(uri, 1, 90_000);
});
afterAll(async () => {
  await client?.stop();
  if (scratch) rmSync(scratch, { recursive: true, force: true });
});

function all(nodes: PathNode[]): PathNode[] {
  return nodes.flatMap((node) => [node, ...all(node.children)]);
}
/** Up to 5.16 no states are printed behind instructions, and not where a branch is taken up again. */
const saysLittle = () => /^5\.(\d|1[0-6])\b/.test(client.statuses.get(uri)!.kernel!);
const lineOf = (node: PathNode | undefined) => node?.place?.range.start.line;

describeAsRoot('the failing path of a rejected program', () => {
  let result: FailingPathResult;
  let log: VerifierLogResult;
  beforeAll(async () => {
    result = await client.connection.sendRequest(FailingPath, { uri, program: 'sums' });
    log = await client.connection.sendRequest(VerifierLog, { uri, program: 'sums' });
  });

  it('goes from the program’s beginning over the cause to where the verifier gave up', () => {
    expect(result).toMatchObject({
      program: 'sums',
      kernel: client.statuses.get(uri)!.kernel,
      code: 'bpf/null-deref',
      version: 1,
    });
    expect(result.nodes.map(({ kind }) => kind)).toEqual(['start', 'cause', 'failure']);
    const [, cause, failure] = result.nodes;
    expect([lineOf(cause), lineOf(failure)]).toEqual([line('#CAUSE'), line('#ERR')]);
    expect(failure!.label).toMatch(/may be NULL/);
    expect(failure!.children).toEqual([]);
  });

  it('shows a loop once with its count, and in it its lines', () => {
    const loops = all(result.nodes).filter(({ kind }) => kind === 'loop');
    expect(loops).toHaveLength(1);
    expect(loops[0]).toMatchObject({ count: 37, label: text.split('\n')[line('#LOOP')]!.trim() });
    expect(all(loops[0]!.children).map(lineOf)).toContain(line('#BODY'));
  });

  it('puts what a function did under its call, with the branch it took', () => {
    const call = all(result.nodes).find(({ kind }) => kind === 'call');
    expect(lineOf(call)).toBe(line('#CALL'));
    const decision = call!.children.find(({ kind }) => kind === 'decision');
    expect(lineOf(decision)).toBe(line('#DECISION'));
    expect(decision!.detail).toBe(`line ${line('#DECISION') + 1} → line ${line('#CAUSE') + 1}`);
  });

  it('leads to the lines of the log, where the same instructions stand', () => {
    const lines = log.text.split('\n');
    for (const node of all(result.nodes).filter(({ logLines }) => logLines)) {
      expect(lines[node.logLines!.last]!.replace(/ \([0-9a-f]{2}\)/, '')).toContain(node.instruction);
    }
    const call = result.nodes.find(({ kind }) => kind === 'cause')!;
    expect(lines[call.logLines!.first]).toMatch(/call bpf_map_lookup_elem/);
  });

  it('has the registers as the log prints them', () => {
    const cause = result.nodes.find(({ kind }) => kind === 'cause')!;
    if (saysLittle()) return expect(cause.registers).toBeUndefined();
    const r0 = cause.registers!.find(({ name }) => name === 'R0')!;
    expect(r0.after).toBe('map value of totals, may be NULL');
    const refused = result.nodes.at(-1)!.registers!.find(({ name }) => name === 'R0');
    expect(refused).toEqual({ name: 'R0', variable: 'total', before: 'map value of totals, may be NULL' });
  });

  it('of an accepted program, of no program and of a closed file is a reason', async () => {
    const ask = (params: object) => client.connection.sendRequest(FailingPath, params);
    await expect(ask({ uri, program: 'accepted' })).rejects.toThrow(/accepted "accepted"/);
    await expect(ask({ uri, program: 'nonesuch' })).rejects.toThrow(/no verdict on "nonesuch"/);
    await expect(ask({ uri: 'file:///none.bpf.c', program: 'sums' })).rejects.toThrow(/not open/);
  });
});

describeAsRoot('what the verifier’s work costs', () => {
  let result: VerifierCostsResult;
  const at = (marker: string) =>
    result.lines.filter((cost) => cost.uri === uri && cost.line === line(marker));
  beforeAll(async () => {
    result = await client.connection.sendRequest(VerifierCosts, { uri });
  });

  it('is counted by line: together the lines have what the kernel says it processed', () => {
    const status = client.statuses.get(uri)!;
    const processed = status.programs.reduce((sum, { insns }) => sum + insns!, 0);
    expect(result.lines.reduce((sum, { visits }) => sum + visits, 0)).toBe(processed);
    expect(at('#BODY')[0]!.visits).toBeGreaterThanOrEqual(2 * 37);
    expect(result.programs.map(({ name, line: place }) => [name, place])).toEqual([
      ['sums', line('int sums') - 1],
      ['accepted', line('int accepted') - 1],
    ]);
  });

  it('tells dead code from code that the compiler removed and from code after a rejection', () => {
    expect(at('#DEAD')).toEqual([expect.objectContaining({ visits: 0, isUnreached: true })]);
    expect(at('#REMOVED')).toEqual([]);
    // The verifier ended before it, so nobody knows.
    const after = result.lines.find((cost) => cost.line === line('#ERR') + 1);
    expect(after).toMatchObject({ visits: 0, isUnreached: false });
    expect(at('#REACHED')[0]).toMatchObject({ isUnreached: false });
  });

  it('of a program that is too dear is not measured, and says so', async () => {
    const dear = text
      .replace('i < 37', 'i < 30000')
      .replace('\t\tif (sum > 1000)\n\t\t\tkey++;\n', '')
      .replace('*total += sum; // #ERR', 'if (total)\n\t\t*total += sum;');
    const name = await client.open(path.join(scratch, 'dear.bpf.c'), dear);
    const status = await client.finished(name);
    const [sums] = status.programs;
    expect([sums!.verdict, sums!.insns! > 100_000]).toEqual(['accepted', true]);
    const costs = await client.connection.sendRequest<VerifierCostsResult>(VerifierCosts, { uri: name });
    expect(costs.programs[0]!.notMeasured).toMatch(/processed [\d,]+ instructions.*100,000/);
    expect(costs.programs[1]!.notMeasured).toBeUndefined();
    // Only the other program was counted, and nothing of this one is called dead.
    expect(costs.lines.filter(({ isUnreached }) => isUnreached)).toHaveLength(1);
    await client.close(name);
  });
});

describeAsRoot('an edited text beside the saved one', () => {
  it('has a lens with the difference, until it is saved', async () => {
    const saved = path.join(scratch, 'saved.bpf.c');
    writeFileSync(saved, text);
    const name = await client.open(saved, text);
    await client.finished(name);
    const titles = async () => (await client.lenses(name)).map(({ command }) => command!.title);
    expect((await titles()).filter((title) => /saved/.test(title))).toEqual([]);

    const dearer = text.replace(
      'return ctx->ingress_ifindex ?',
      'return ctx->rx_queue_index + ctx->ingress_ifindex > 7 ?',
    );
    await client.change(name, dearer);
    const before = client.statuses.get(uri)!.programs[1]!.insns!;
    const after = (await client.finished(name)).programs[1]!;
    expect(after.insns).toBeGreaterThan(before);
    expect((await titles()).filter((title) => /saved/.test(title))).toEqual([
      expect.stringMatching(new RegExp(`^\\+${after.insns! - before} insns.* since saved$`)),
    ]);

    await client.change(name, dearer.replace('*total += sum;', 'if (total)\n\t\t*total += sum;'));
    await client.finished(name);
    expect(await titles()).toContain('was rejected when saved');

    await client.connection.sendNotification('textDocument/didSave', { textDocument: { uri: name } });
    await client.until('the status', () =>
      client.statuses.get(name)!.programs.every(({ saved: was }) => !was),
    );
    expect((await titles()).filter((title) => /saved/.test(title))).toEqual([]);
    await client.close(name);
  });

  it('opened with changes that were never saved, is compared with the file', async () => {
    const saved = path.join(scratch, 'kept.bpf.c');
    writeFileSync(saved, text);
    const name = await client.open(saved, text.replace('i < 37', 'i < 38'));
    await client.finished(name);
    // What is on the disk was never verified, so there is nothing to compare with, and nothing is made up.
    const titles = (await client.lenses(name)).map(({ command }) => command!.title);
    expect(titles.filter((title) => /saved/.test(title))).toEqual([]);
    await client.change(name, text);
    await client.finished(name);
    await client.change(name, text.replace('ctx->ingress_ifindex ?', 'ctx->ingress_ifindex > 9 ?'));
    const status = await client.finished(name);
    expect(status.programs[1]!.saved).toMatchObject({ verdict: 'accepted' });
    await client.close(name);
  });
});

describeAsRoot('the log of a program', () => {
  it('folds by branch, by function and where the verifier traces precision', async () => {
    const branchy = text.replace('*total += sum; // #ERR', 'if (total)\n\t\t*total += sum;');
    const name = await client.open(path.join(scratch, 'folds.bpf.c'), branchy);
    await client.finished(name);
    const log = await client.connection.sendRequest<VerifierLogResult>(VerifierLog, {
      uri: name,
      program: 'sums',
    });
    const lines = log.text.split('\n');
    const folds = logFolds(log.text);
    const firstLines = (kind: string) =>
      folds.filter((fold) => fold.kind === kind).map(({ start }) => lines[start]!);

    const branches = lines.filter((one) => /^from \d+ to \d+/.test(one) && !one.endsWith(': safe'));
    if (!saysLittle()) expect(branches.length).toBeGreaterThan(2);
    expect(firstLines('branch').filter((one) => !one.endsWith(': safe'))).toEqual(branches);
    const calls = firstLines('frame');
    expect(calls.length).toBeGreaterThan(0);
    expect(calls.every((one) => /\(85\) call pc\+\d+/.test(one))).toBe(true);
    expect(
      firstLines('precision').filter((one) => !/^(mark_precise: |parent |frame \d+: propagating )/.test(one)),
    ).toEqual([]);
    // An editor drops a fold that ends outside the one it began in.
    const crossing = folds.filter((one) =>
      folds.some((other) => other.start < one.start && one.start <= other.end && other.end < one.end),
    );
    expect(crossing).toEqual([]);
    expect(folds.some(({ end }) => lines[end]!.startsWith('processed '))).toBe(false);
    await client.close(name);
  });
});

describeAsRoot('a finding', () => {
  it('leads to its page, to the whole log at the refused instruction, and to the failing path', async () => {
    const [finding] = client.diagnostics(uri);
    const page = fileURLToPath(finding!.codeDescription!.href);
    expect(readFileSync(page, 'utf8')).toMatch(/^# bpf\/null-deref/);

    const whole = finding!.relatedInformation!.at(-1)!;
    expect(whole.message).toBe('the verifier’s whole log');
    expect(whole.location.uri).toBe(`bpf-log:/sums.bpflog?${encodeURIComponent(uri)}`);
    const log = await client.connection.sendRequest<VerifierLogResult>(VerifierLog, { uri, program: 'sums' });
    const { instruction } = finding!.data as { instruction: number };
    expect(log.text.split('\n')[whole.location.range.start.line]).toMatch(new RegExp(`^${instruction}: \\(`));

    const actions = await client.connection.sendRequest<CodeAction[]>('textDocument/codeAction', {
      textDocument: { uri },
      range: { start: finding!.range.start, end: finding!.range.start },
      context: { diagnostics: [finding] },
    });
    expect(actions.map(({ title, command }) => [title, command?.command])).toEqual(
      expect.arrayContaining([
        ['Explain bpf/null-deref', 'bpf.explainFinding'],
        ['Show failing path of sums', 'bpf.showFailingPath'],
        ['Show verifier log of sums', 'bpf.showVerifierLog'],
      ]),
    );
    expect(actions.every(({ diagnostics }) => diagnostics?.[0]?.code === 'bpf/null-deref')).toBe(true);
    const elsewhere = await client.connection.sendRequest<CodeAction[]>('textDocument/codeAction', {
      textDocument: { uri },
      range: { start: { line: 0, character: 0 }, end: { line: 0, character: 0 } },
      context: { diagnostics: [] },
    });
    expect(elsewhere).toEqual([]);
  });
});
