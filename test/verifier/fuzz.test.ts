/**
 * Cut, spliced and altered logs, through everything that reads logs: no exception, no input that takes long, bounded
 * memory. BPF_STUDIO_FUZZ_INPUTS says how many (CI runs a few thousand), BPF_STUDIO_FUZZ_SEED where they begin, and
 * BPF_STUDIO_FUZZ_LOGS a directory with more logs to start from, e.g. of other kernels.
 */
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { openKernel } from '../../kernel/client/open';
import { readDwarf } from '../../toolchain/dwarf/dwarf';
import { readBpfObject } from '../../toolchain/elf/object';
import { loadedLayout } from '../../toolchain/program/loaded-layout';
import { toDiagnostics } from '../../toolchain/verifier/diagnostics';
import { readKnowledge } from '../../toolchain/verifier/knowledge/knowledge';
import { spellVariable } from '../../toolchain/verifier/knowledge/variable';
import { instructionOf } from '../../toolchain/verifier/log';
import { logDocument } from '../../toolchain/verifier/logDocument';
import { indexLog } from '../../toolchain/verifier/logIndex';
import { followPath } from '../../toolchain/verifier/path';
import { sourcePositions } from '../../toolchain/verifier/position';
import { explain } from '../../toolchain/verifier/report';
import { parseState } from '../../toolchain/verifier/state';
import { compileBpf, repository } from './compile';

const INPUTS = Number(process.env.BPF_STUDIO_FUZZ_INPUTS ?? 3000);
/** Of processor time. No input has more than some 20,000 characters; a collection of garbage falls into some. */
const MAX_MILLISECONDS = 5000;
const MAX_GROWTH_MIB = 200;

const SEED = Number(process.env.BPF_STUDIO_FUZZ_SEED ?? 4711);
let state = SEED >>> 0;
function random(limit: number): number {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0;
  return limit > 0 ? (state >>> 8) % limit : 0;
}
const pick = <T>(all: readonly T[]): T => all[random(all.length)] as T;

/** What the readers look for, so that altered logs lead them astray. */
const tokens = [
  'R1=',
  'R10=fp0',
  'fp-8=',
  ' frame1:',
  '(',
  ')',
  ',',
  '; ',
  '=',
  'from 3 to 7: ',
  '99999999: (15) if r1 == 0x0 goto pc-9\n',
  '0: (85) call pc+0\n',
  '(95) exit\n',
  'caller:\n',
  'Verification failed: A: B\n',
  'subprog#0 f:\n',
  'stack use/def subprog#0 f (d0,cs0):\n',
  'Live regs before insn:\n',
  'Validating f() func#1...\n',
  'processed 1 insns (limit 1)',
  'scalar(id=1+9,smin=umin=0xffffffffffffffff,var_off=(0x0; 0xffffffffffffffff))',
  'pkt(id=1,off=-1,r=0xfffffffffffffffe)',
  'map_value_or_null(id=1,map=m,ks=4,vs=8)',
  'dynptr_skb(ref_id=1)',
  'iter_num(ref_id=1,state=active,depth=0)',
  'refs=1,2',
  'mark_precise: frame0: ',
  '9223372036854775808',
  '\n',
  '\0',
  '￿',
];

function altered(logs: readonly string[]): string {
  let text = piece(pick(logs));
  for (let change = random(6); change >= 0; change--) {
    const at = random(text.length + 1);
    const end = Math.min(text.length, at + random(200));
    switch (random(7)) {
      case 0:
        text = text.slice(0, at);
        break;
      case 1:
        text = text.slice(at);
        break;
      case 2:
        text = text.slice(0, at) + piece(pick(logs));
        break;
      case 3:
        text = text.slice(0, at) + pick(tokens).repeat(1 + random(3)) + text.slice(end);
        break;
      case 4:
        text = text.slice(0, end) + text.slice(at, end).repeat(random(8)) + text.slice(end);
        break;
      case 5:
        text = text.slice(0, at) + String.fromCharCode(random(300)) + text.slice(at + 1);
        break;
      default:
        text = text.slice(0, at) + text.slice(end);
    }
  }
  // Now and then one token many times over, which is what patterns with two ways to match are slow on.
  return random(200) === 0 ? text + pick(tokens).repeat(random(1000)) : text.slice(0, 20_000);
}

function piece(log: string): string {
  const start = random(log.length);
  return log.slice(start, start + 100 + random(1500));
}

test(`${INPUTS} altered logs are read without an exception, in time`, { timeout: 3_600_000 }, async () => {
  const opened = await openKernel({
    target: { kind: 'local' },
    name: 'fuzz',
    distDirectory: path.join(repository, 'dist'),
    elevate: 'never',
    log: () => {},
  });
  if ('code' in opened) throw new Error(`${opened.message} ${opened.hint}`);
  const logs: string[] = [];
  const objects = [];
  for (const name of [
    'accepted/packet-parse-headers',
    'accepted/loop-callback',
    'accepted/dynptr-ringbuf',
    'accepted/global-function',
    'rejected/null-deref-lookup',
    'rejected/unreleased-reference-ringbuf',
    'rejected/packet-bounds-loop',
    'rejected/size-negative-read',
  ]) {
    const bytes = await compileBpf(path.join(repository, 'test/fixtures/verifier', `${name}.bpf.c`));
    const read = readBpfObject(bytes);
    if (!read.ok) throw new Error(read.problem.message);
    const { programs } = await opened.client.request('verify', { object: bytes, log: 'states' });
    for (const verdict of programs) {
      if (verdict.log) logs.push(verdict.log);
      const { btf, elf } = read.value;
      const positions = sourcePositions(verdict.lineInfo, btf, (file) => file);
      const layout = loadedLayout(read.value, verdict.name, verdict.lineInfo);
      objects.push({ verdict, object: read.value, positions, dwarf: readDwarf(elf)!, layout });
    }
  }
  await opened.dispose();
  const more = process.env.BPF_STUDIO_FUZZ_LOGS;
  if (more) for (const name of readdirSync(more)) logs.push(readFileSync(path.join(more, name), 'utf8'));
  expect(logs.length).toBeGreaterThanOrEqual(8);

  const before = process.memoryUsage().heapUsed;
  let slowest = 0;
  for (let input = 0; input < INPUTS; input++) {
    const log = altered(logs);
    const libbpfLog = random(8) === 0 ? piece(pick(logs)) : '';
    const { verdict, object, positions, dwarf, layout } = pick(objects);
    const started = process.cpuUsage();
    try {
      const index = indexLog(log);
      let whole = '';
      for (let line = 0; line < index.length; line++) {
        const text = index.text(line);
        whole += line ? `\n${text}` : text;
        const kind = index.kind(line);
        if (kind === 'instruction') parseState(instructionOf(index.at(line))?.state ?? '');
        else if (kind === 'state' || kind === 'branch') parseState(text);
      }
      if (whole !== log && `${whole}\n` !== log) throw new Error('the lines are not the log');
      const trail = followPath(index);
      trail.states.before(random(trail.steps.length));
      trail.states.after(trail.steps.length - 1);
      if (random(4) === 0) {
        const inObject = (insn: number) => layout.at(insn);
        for (const lines of readKnowledge({ log: index, positions, dwarf, inObject }).values()) {
          for (const { variables } of lines.values()) variables.forEach(spellVariable);
        }
        logDocument(log, positions);
      }
      // Names come from the object, which is read anew for each report: most reports do without.
      const context = random(16) === 0 ? { btf: object.btf, object } : { btf: object.btf };
      const report = explain({ ...verdict, verdict: 'rejected', log, libbpfLog }, context);
      if (!toDiagnostics(report, { path: 'x' })[0]?.message) throw new Error('nothing is said');
    } catch (error) {
      throw new Error(
        `input ${input} of seed ${SEED}: ${String(error)}\n${JSON.stringify(log.slice(0, 4000))}`,
        {
          cause: error,
        },
      );
    }
    const { user, system } = process.cpuUsage(started);
    const milliseconds = (user + system) / 1000;
    if (milliseconds > slowest) slowest = milliseconds;
    if (milliseconds > MAX_MILLISECONDS)
      throw new Error(`input ${input} took ${milliseconds} ms\n${JSON.stringify(log.slice(0, 4000))}`);
  }
  const growth = (process.memoryUsage().heapUsed - before) / 2 ** 20;
  console.log(`seed ${SEED}: slowest ${slowest.toFixed(0)} ms, heap grew by ${growth.toFixed(0)} MiB`);
  expect(growth).toBeLessThan(MAX_GROWTH_MIB);
});
