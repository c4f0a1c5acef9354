/** What a run's history is asked: what wrote to something, since when it is so; and data breakpoints on the same places. */
import { afterEach, describe, expect, it } from 'vitest';
import type { DapClient } from './client';
import { fixture, markedLine } from './client';
import { Steps } from './steps';
import { sharedTarget } from './target';

const target = sharedTarget();
let client: DapClient | undefined;
afterEach(async () => {
  await client?.close();
  client = undefined;
});

const name = 'steps.bpf.c';
const line = (marker: string) => markedLine(name, marker);
const packet = Array.from({ length: 60 }, (_, index) => (index + 1).toString(16).padStart(2, '0')).join(' ');

async function launch(breakpoints: string[]): Promise<Steps> {
  const configuration = { ...target.configuration, program: fixture(name), packet };
  const steps = await Steps.launch({ name, breakpoints, configuration });
  client = steps.dap;
  return steps;
}

interface Info {
  dataId: string | null;
  description: string;
  accessTypes?: string[];
}

async function watch(steps: Steps, of: { expression: string } | { row: string[] }, accessType = 'write') {
  const frameId = (await steps.stack())[0]!.id;
  const info = await steps.dap.request<Info>(
    'dataBreakpointInfo',
    'expression' in of ? { name: of.expression, frameId } : await rowOf(steps, of.row),
  );
  if (info.dataId === null) throw new Error(info.description);
  await steps.setBreakpoints([]);
  const { breakpoints } = await steps.dap.request<{ breakpoints: object[] }>('setDataBreakpoints', {
    breakpoints: [{ dataId: info.dataId, accessType }],
  });
  expect(breakpoints).toMatchObject([{ verified: true }]);
  return info;
}

/** A row by the scope it is in and the names on the way to it. */
async function rowOf({ dap }: Steps, [scope, ...names]: string[]) {
  const parents = names.slice(0, -1);
  const variablesReference =
    parents.length === 0 ? await dap.scope(scope!) : (await dap.row(scope!, ...parents)).variablesReference;
  await dap.variables(variablesReference);
  return { variablesReference, name: names.at(-1)! };
}

/** What the stops on the way say. */
async function told(steps: Steps, command: string): Promise<string[]> {
  const texts = [];
  for (;;) {
    const { reason, description } = await steps.move(command);
    if (reason === 'pause' || reason === 'entry') return texts;
    texts.push(description!);
  }
}

describe('data breakpoints', () => {
  it('on a local in memory stop at every write, forward and back', async () => {
    const steps = await launch(['#LOOP']);
    const { description } = await watch(steps, { expression: 'sum.rounds' });
    expect(description).toBe('sum.rounds in this call of steps');
    const changes = ['0 → 1', '1 → 2', '2 → 3'].map(
      (change) => `sum.rounds changed at line ${line('#CALLBACK') + 1}: ${change}`,
    );
    expect(await told(steps, 'continue')).toEqual(changes);
    expect(await told(steps, 'reverseContinue')).toEqual(expect.arrayContaining(changes.toReversed()));
  });

  it('on an entry of a map stop when it is made, and in the next run when it is changed', async () => {
    const steps = await launch(['#FIRST']);
    expect(await watch(steps, { expression: 'lengths[48]' })).toMatchObject({ canPersist: true });
    expect(await steps.move('continue')).toMatchObject({
      reason: 'data breakpoint',
      description: `lengths[48] changed at line ${line('#UPDATE')}: no entry → 1`,
    });
    expect(await told(steps, 'continue')).toEqual([]);
    // Again, with the entry there.
    expect(await steps.move('continue')).toMatchObject({
      description: `lengths[48] changed at line ${line('#COUNT')}: 1 → 2`,
    });
  });

  it('on a global, a field of the packet and a register', async () => {
    const steps = await launch(['#FIRST']);
    await watch(steps, { row: ['Globals', 'runs'] });
    expect(await steps.move('continue')).toMatchObject({
      description: `runs changed at line ${line('#FIRST')}: 0 → 1`,
    });
    await watch(steps, { row: ['Packet', 'ethernet', 'destination'] });
    const { description } = await steps.move('continue');
    expect(description).toMatch(new RegExp(`^packet\\[0..5\\] changed at line ${line('#WRITE')}: `));
    expect(await steps.move('reverseContinue')).toMatchObject({ reason: 'data breakpoint' });
    expect(await steps.marker()).toBe('#WRITE');
    await watch(steps, { row: ['Registers', 'r0'] });
    expect(await steps.move('reverseContinue')).toMatchObject({
      reason: 'data breakpoint',
      description: expect.stringMatching(/^\$r0 (changed|touched) at line/),
    });
  });

  it('tell reads from writes', async () => {
    const steps = await launch(['#WRITE']);
    await watch(steps, { expression: 'packet[0]' }, 'read');
    const reads = await told(steps, 'continue');
    expect(reads).toEqual([`packet[0] touched at line ${line('#ROUND')}: 06 (u8 6)`]);
  });

  it('on a local without an address compare its value from line to line, and say so', async () => {
    const steps = await launch(['#ROUND']);
    const { description } = await watch(steps, { expression: 'weight' });
    expect(description).toMatch(
      /it has no address here, so its value is compared from statement to statement/,
    );
    const texts = await told(steps, 'continue');
    expect(texts.length).toBeGreaterThan(1);
    expect(texts.join('\n')).toMatch(/weight changed at line \d+: \d+ → \d+/);
  });
});

interface Answer {
  text: string;
  at?: { step: number; line: number };
  before?: string;
  after?: string;
}

describe('the last write', () => {
  const ask = async (steps: Steps, of: object): Promise<Answer> => {
    const seen = steps.dap.events.length;
    const answer = await steps.dap.request<Answer>('bpf/lastWrite', of);
    if (answer.at) await steps.dap.event('stopped', undefined, seen);
    return answer;
  };

  it('of a variable is gone to, and the one before it', async () => {
    const steps = await launch(['#WRITE']);
    const written = line('#CALLBACK') + 1;
    const first = await ask(steps, { expression: 'sum.rounds' });
    expect(first).toMatchObject({ before: '2', after: '3', at: { line: written } });
    expect(first.text).toMatch(
      new RegExp(`^Line ${written} \\(instruction \\d+\\) changed sum.rounds from 2 to 3\\.$`),
    );
    expect(await steps.line()).toBe(written);
    expect((await steps.stack())[0]!.name).toBe('add');
    const frameId = (await steps.stack())[1]!.id;
    expect(await ask(steps, { expression: 'sum.rounds', frameId })).toMatchObject({
      before: '1',
      after: '2',
    });
  });

  it('of a row: a packet field, a map entry, a register', async () => {
    const steps = await launch(['#VERDICT']);
    const { dap } = steps;
    const dst = await rowOf(steps, ['Packet', 'ethernet', 'destination']);
    expect(await ask(steps, dst)).toMatchObject({ at: { line: line('#WRITE') } });
    expect(await ask(steps, dst)).toEqual({
      text: expect.stringMatching(
        /^Nothing in this run has written to it before here: packet\[0..5\] has been/,
      ),
    });
    const entry = await rowOf(steps, ['Maps', 'lengths', '[48]']);
    expect(entry).toBeDefined();
    const made = await ask(steps, { expression: 'lengths[48]' });
    expect(made.text).toBe(
      `Line ${line('#UPDATE')} (instruction ${made.at && (made.at as { insn?: number }).insn}) made the entry lengths[48]: 1.`,
    );
    expect(await steps.marker()).toBe('#UPDATE');
    expect((await dap.row('Maps', 'lengths')).value).toMatch(/0 entries/);
    expect(await ask(steps, { expression: '$r1' })).toMatchObject({ at: {} });
  });

  it('of nothing that can be written is refused in words', async () => {
    const steps = await launch(['#VERDICT']);
    const refused = (of: object) => ask(steps, of).then(JSON.stringify, (error: Error) => error.message);
    expect(await refused({ expression: 'lengths' })).toMatch(/lengths is a map as a whole/);
    expect(await refused({ expression: 'packet[9..2]' })).toMatch(/no range of bytes/);
    expect(await refused({ expression: 'nope' })).toMatch(/nope/);
    expect(await refused({})).toMatch(/Name a row/);
  });
});

describe('when did this become', () => {
  const ask = async (steps: Steps, of: object): Promise<Answer> => {
    const seen = steps.dap.events.length;
    const answer = await steps.dap.request<Answer>('bpf/whenBecame', of);
    if (answer.at) await steps.dap.event('stopped', undefined, seen);
    return answer;
  };

  it('what it is now', async () => {
    const steps = await launch(['#VERDICT']);
    const answer = await ask(steps, { expression: 'runs' });
    expect(answer.text).toBe(`runs became 1 at line ${line('#FIRST')}; before it was 0.`);
    expect(await steps.marker()).toBe('#FIRST');
  });

  it('so that a condition holds', async () => {
    const steps = await launch(['#WRITE']);
    expect(await ask(steps, { condition: 'sum.rounds > 1' })).toMatchObject({
      text: `sum.rounds > 1 came to hold at line ${line('#LOOP')}.`,
    });
    expect(await ask(steps, { condition: 'runs == 7' })).toEqual({
      text: 'runs == 7 did not hold at any earlier line of the run.',
    });
  });
});

describe('the decisions that led here', () => {
  it('are listed with their conditions, loops folded', async () => {
    const steps = await launch(['#VERDICT']);
    interface Decision {
      line: number;
      function: string;
      condition: string;
      held?: boolean;
      times: number;
      step: number;
      compared?: string;
    }
    const { decisions, earlier } = await steps.dap.request<{ decisions: Decision[]; earlier: number }>(
      'bpf/decisions',
    );
    expect(earlier).toBe(0);
    const seen = decisions.map(({ function: name, condition, held, times }) =>
      [name, condition, held, times].join(' | '),
    );
    expect(seen).toEqual([
      'steps | count | false | 1',
      'steps | data + 14 > end | false | 1',
      'weigh | from + i + 1 > end | false | 3',
      'weigh | i < 4 | true | 3',
      'weigh | from + i + 1 > end | false | 1',
      'weigh | i < 4 | false | 1',
    ]);
    // Which numbers, and which way round, is the compiler's choice; what is shown of them is true.
    for (const { compared } of decisions.filter(({ condition }) => condition === 'i < 4')) {
      const [, left, operator, right] = /^(\d+) (==|!=|<|>=) (\d+)$/.exec(compared ?? '') ?? [];
      expect([left === right ? ['==', '>='] : ['!=', '<', '>=']].flat(), compared).toContain(operator);
    }
    await steps.move('bpf/goToStep', { step: decisions[0]!.step });
    expect(await steps.marker()).toBe('#DECIDED');
  });
});
