/**
 * Requests of every kind with arguments of every kind, in every state of a session: each is answered once, and the
 * adapter goes on. BPF_STUDIO_FUZZ_REQUESTS raises how many are sent in each state; the seed is printed on failure.
 */
import { afterEach, describe, expect, it } from 'vitest';
import { requests } from '../../debug-adapter/requests';
import { DapClient, fixture, objectOf } from './client';
import { sharedTarget } from './target';

const target = sharedTarget();
const COUNT = Number(process.env['BPF_STUDIO_FUZZ_REQUESTS'] ?? 250);
const PACKET = '01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 10 11 12 13 14';

let client: DapClient | undefined;
afterEach(async () => {
  await client?.close();
  client = undefined;
});

/** The same numbers for the same seed. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Those that end a session have tests of their own; these would start another one in the middle. */
const ENDING = new Set(['disconnect', 'terminate', 'restart', 'bpf/saveRecording', 'bpf/saveCoverage']);
const COMMANDS = [
  ...Object.keys(requests).filter((command) => !ENDING.has(command)),
  'frobnicate',
  '',
  'constructor',
];

const TEXTS = [
  '',
  'sum',
  'sum.rounds',
  'lengths[48]',
  '$r1',
  '$r99',
  'packet[0..9999999]',
  '((((',
  '*(int *)0',
  '0x0',
  '0xfffffff8',
  'lengths',
  '[48]',
  '> 3',
  '{',
  '\u0000',
  'a'.repeat(20_000),
  'memory:1',
  'r0',
  'Locals',
  'dropped',
  fixture('steps.bpf.c'),
];
const NUMBERS = [0, 1, 2, -1, 257, 1000, 2 ** 31, 2 ** 53, 1e308, 0.5, NaN];
/** Members that requests have. */
const MEMBERS = [
  ...['threadId', 'frameId', 'variablesReference', 'line', 'endLine', 'column', 'start', 'count', 'offset'],
  ...['expression', 'name', 'value', 'condition', 'hitCondition', 'logMessage', 'dataId', 'accessType'],
  ...['source', 'breakpoints', 'filters', 'filterOptions', 'memoryReference', 'instructionReference'],
  ...[
    'instructionCount',
    'instructionOffset',
    'granularity',
    'targetId',
    'kind',
    'step',
    'map',
    'key',
    'path',
  ],
];

function fuzzed(random: (below: number) => number, depth = 0): unknown {
  const pick = <T>(from: readonly T[]): T => from[random(from.length)]!;
  switch (random(depth > 3 ? 4 : 7)) {
    case 0:
      return pick(TEXTS);
    case 1:
      return pick(NUMBERS);
    case 2:
      return pick([null, true, false]);
    case 3:
      return random(300);
    case 4:
      return Array.from({ length: random(4) }, () => fuzzed(random, depth + 1));
    default:
      return Object.fromEntries(
        Array.from({ length: random(6) }, () => [pick(MEMBERS), fuzzed(random, depth + 1)]),
      );
  }
}

/** Arguments that a request's handler gets to see, more often than not. */
function plausible(random: (below: number) => number): object {
  const pick = <T>(from: readonly T[]): T => from[random(from.length)]!;
  const asked = { condition: pick(TEXTS), hitCondition: pick(TEXTS), logMessage: pick(TEXTS) };
  return {
    threadId: 1,
    frameId: 1 + random(3),
    variablesReference: random(40),
    name: pick(TEXTS),
    value: pick(TEXTS),
    expression: pick(TEXTS),
    condition: pick(TEXTS),
    line: random(90),
    source: { path: fixture('steps.bpf.c') },
    breakpoints: [
      {
        line: random(90),
        column: 1 + random(30),
        name: pick(TEXTS),
        dataId: pick(TEXTS),
        instructionReference: `0x${random(900).toString(16)}`,
        ...(random(2) ? asked : {}),
      },
    ],
    filters: [pick(TEXTS)],
    filterOptions: [{ filterId: pick(['dropped', 'lookupMissed', pick(TEXTS)]), condition: pick(TEXTS) }],
    memoryReference: `0x${random(2 ** 31).toString(16)}`,
    offset: random(64) - 32,
    instructionOffset: random(64) - 32,
    instructionCount: random(200),
    granularity: pick(['line', 'instruction', 'statement']),
    targetId: random(400),
    kind: pick(['into', 'out']),
    step: random(400),
    count: random(50),
    map: 'lengths',
    key: pick(TEXTS),
  };
}

async function bombard(dap: DapClient, seed: number): Promise<void> {
  const random = numbers(seed);
  const first = dap.nextSeq;
  const sent: Promise<unknown>[] = [];
  for (let count = 0; count < COUNT; count++) {
    const command = COMMANDS[random(COMMANDS.length)]!;
    const given = random(3) ? plausible(random) : fuzzed(random);
    // Starting what cannot be started is an answer as well; what could be started would be another state.
    const args = ['launch', 'attach'].includes(command) ? { program: '/nope.o' } : given;
    sent.push(dap.request(command, args).catch((error: Error) => error));
    // Some one after the other, some all at once.
    if (random(3)) await sent.at(-1);
  }
  for (const outcome of await Promise.all(sent)) {
    const said = outcome instanceof Error ? outcome.message : '';
    expect(said, `seed ${seed}`).not.toMatch(/no response|exited|Internal error/);
  }
  for (let seq = first; seq < dap.nextSeq; seq++) expect(dap.answers.get(seq), `request ${seq}`).toBe(1);
  expect(dap.process.exitCode).toBeNull();
}

describe('an adapter that is sent nonsense answers each request once', () => {
  it('before initialize', async () => {
    client = DapClient.start();
    await bombard(client, 1);
  });

  it('before a launch', async () => {
    client = await DapClient.initialized();
    await bombard(client, 2);
  });

  it.each([3, 4])('in a recorded run (seed %i)', async (seed) => {
    const program = objectOf('steps.bpf.c');
    client = await DapClient.started('launch', { ...target.configuration, program, packet: PACKET });
    await bombard(client, seed);
    // It is still a debugger.
    expect(await client.request('threads')).toMatchObject({ threads: [{ id: 1 }] });
    const { stackFrames } = await client.request<{ stackFrames: object[] }>('stackTrace', { threadId: 1 });
    expect(stackFrames.length).toBeGreaterThan(0);
  });

  it('before a run that is asked for', async () => {
    const program = objectOf('steps.bpf.c');
    const configuration = { ...target.configuration, program, packet: PACKET, stopOnEntry: true };
    client = await DapClient.started('launch', configuration);
    await bombard(client, 5);
  });

  it('after the end', async () => {
    client = await DapClient.started('launch', {
      ...target.configuration,
      program: objectOf('endings.bpf.c'),
    });
    await client.request('terminate');
    await bombard(client, 6);
  });
});
