/**
 * Every state that a real kernel prints of the fixtures at log level 2 is read completely: spelled again it is the
 * text it was read from, and what is put together from the changes is what the kernel says later. BPF_STUDIO_TEST_TARGET chooses another kernel.
 */
import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readDwarf } from '../../toolchain/dwarf/dwarf';
import { readBpfObject } from '../../toolchain/elf/object';
import { loadedLayout } from '../../toolchain/program/loaded-layout';
import { readKnowledge } from '../../toolchain/verifier/knowledge/knowledge';
import { spellVariable } from '../../toolchain/verifier/knowledge/variable';
import { branchOf, instructionOf } from '../../toolchain/verifier/log';
import { indexLog, parseLog } from '../../toolchain/verifier/logIndex';
import { sourcePositions } from '../../toolchain/verifier/position';
import { parseState } from '../../toolchain/verifier/state';
import { Tracker } from '../../toolchain/verifier/tracker';
import type { KnownState } from '../../toolchain/verifier/tracker';
import type { Value } from '../../toolchain/verifier/value';
import { compileBpf, isFor, readFixture, repository } from './compile';
import { openTestKernel } from './kernel';
import type { TestKernel } from './kernel';
import { dialectOf, spellState } from './spell-state';

let kernel: TestKernel;

beforeAll(async () => {
  kernel = await openTestKernel('verifier states');
});
afterAll(() => kernel?.dispose());

interface Log {
  name: string;
  log: string;
}
const known = new Map<string, Promise<Log[]>>();

function logsOf(folder: string): Promise<Log[]> {
  const logs = known.get(folder) ?? readLogs(folder);
  known.set(folder, logs);
  return logs;
}

/** Logs of level 2 of the fixtures in a folder; a million instructions would be hundreds of MiB of the same states. */
async function readLogs(folder: string): Promise<Log[]> {
  const directory = path.join(repository, 'test/fixtures/verifier', folder);
  const logs: Log[] = [];
  // Every third meets every form of state, and keeps the test within tens of seconds.
  const files = (await readdir(directory)).sort().filter((_, index) => index % 3 === 0);
  for (const file of files) {
    const fixture = await readFixture(path.join(directory, file));
    if (fixture.error?.ids.includes('bpf/complexity')) continue;
    if (!isFor(fixture, kernel.version)) continue;
    const object = await compileBpf(fixture.path, kernel.compilerFlags);
    const { programs } = await kernel.opened.client.request('verify', { object, log: 'states' });
    for (const { log } of programs) if (log) logs.push({ name: fixture.name, log });
  }
  return logs;
}

test.for(['accepted', 'rejected'])('states of %s programs', { timeout: 900_000 }, async (folder) => {
  const dialect = dialectOf(kernel.version);
  let states = 0;
  for (const { name, log } of await logsOf(folder)) {
    for (const line of parseLog(log)) {
      if (!/^(instruction|state|branch)$/.test(line.kind) || /: safe$/.test(line.text)) continue;
      const text = line.kind === 'instruction' ? (instructionOf(line)?.state ?? '') : line.text;
      const printed = text.replace(/^(from \d+ to \d+( \(.*?\))?:|\d+:)? *(frame\d+: ?)?/, '').trim();
      if (printed === '') continue;
      const state = parseState(text);
      expect([name, state.unread, spellState(state, dialect)]).toEqual([name, [], printed]);
      states++;
    }
  }
  expect(states).toBeGreaterThan(100);
});

test('what is known before a jump is what the kernel says when it takes up its other way', async ({
  skip,
}) => {
  const { version, release } = kernel;
  const dialect = dialectOf(version);
  if (dialect === 'inv') skip(`Linux ${release} prints whole states only`);
  let compared = 0;
  for (const { name, log } of [...(await logsOf('accepted')), ...(await logsOf('rejected'))]) {
    const index = indexLog(log);
    const tracker = new Tracker(index);
    const jumps = new Map<number, { state: KnownState; text: string }[]>();
    for (let line = 0; line < index.length; line++) {
      if (index.kind(line) === 'instruction') {
        const { insn, text } = instructionOf(index.at(line))!;
        jumps.set(insn, [...(jumps.get(insn) ?? []), { state: tracker.state, text }]);
        tracker.instruction(line);
        continue;
      }
      const branch = index.kind(line) === 'branch' ? branchOf(index.at(line)) : undefined;
      const jump = branch && !branch.safe ? jumps.get(branch.from)?.pop() : undefined;
      const said = parseState(index.text(line));
      if (jump?.text.startsWith('if ') && jump.state.frame === said.frame) {
        const operands = [...jump.text.matchAll(/\b[rw](\d+)\b/g)].map(
          ([, number]) => jump.state.registers[Number(number)],
        );
        for (const { number, value } of said.registers) {
          const known = jump.state.registers[number];
          // What is compared, and its copies, differ between the two ways.
          const isCompared = operands.some(
            (one) => one === known || (one?.type === known?.type && one?.id === known?.id),
          );
          if (!known || isCompared) continue;
          // An id that nothing shares any more is forgotten, and exactness is asked for later.
          const spell = (one: Value) => {
            const { id: _id, ...plain } = { ...one, precise: false };
            const register = { number, read: false, written: false, done: false, value: plain };
            return spellState({ ...parseState(''), registers: [register] }, dialect);
          };
          expect([name, line, spell(known)]).toEqual([name, line, spell(value)]);
          compared++;
        }
      }
      tracker.context(line);
    }
  }
  expect(compared).toBeGreaterThan(30);
});

test(
  'what is known of C variables is told alike from the log of every kernel',
  { timeout: 900_000 },
  async () => {
    const file = path.join(repository, 'test/lsp/fixtures/knowledge.bpf.c');
    const bytes = await compileBpf(file);
    const object = readBpfObject(bytes);
    if (!object.ok) throw new Error(object.problem.message);
    const { programs } = await kernel.opened.client.request('verify', { object: bytes, log: 'states' });
    const { name, log, lineInfo } = programs[0]!;
    const layout = loadedLayout(object.value, name, lineInfo);
    const knowledge = readKnowledge({
      log: indexLog(log!),
      positions: sourcePositions(lineInfo, object.value.btf, (path) => path),
      dwarf: readDwarf(object.value.elf)!,
      inObject: (insn) => layout.at(insn),
    });
    const lines = readFileSync(file, 'utf8').split('\n');
    const at = (part: string) => {
      const line = knowledge.get(file)?.get(lines.findIndex((text) => text.includes(part)));
      return line?.variables.map(spellVariable);
    };
    expect(at('len = bpf_ntohs')).toEqual(
      expect.arrayContaining(['len ∈ [0, 65535]', 'ip: packet+14, 20 bytes proven', "end: packet's end"]),
    );
    expect(at('if (!v)')).toContain('len ∈ [0, 1500]');
    expect(at('if (!v)')).toContainEqual(expect.stringMatching(/^v: map value( of counts)?, may be NULL$/));
    expect(at('*v += words')).toContain('words ∈ [0, 60], multiple of 4');
    expect(at('*v += words')).toContainEqual(expect.stringMatching(/^v: map value( of counts)?$/));
  },
);
