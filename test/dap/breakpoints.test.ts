/** Breakpoints that ask before they stop, on whatever can be stopped at, forward and backward. */
import { afterEach, describe, expect, it } from 'vitest';
import type { DebugProtocol } from '@vscode/debugprotocol';
import type { DapClient } from './client';
import { fixture, markedLine } from './client';
import { Steps } from './steps';
import type { Scenario, Wanted } from './steps';
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

async function launch(breakpoints: Wanted[], before?: Scenario['before']): Promise<Steps> {
  const configuration = { ...target.configuration, program: fixture(name), packet };
  const steps = await Steps.launch({ name, breakpoints, ...(before ? { before } : {}), configuration });
  client = steps.dap;
  return steps;
}

const changed = (dap: DapClient) =>
  dap.events
    .filter(({ event }) => event === 'breakpoint')
    .map(({ body }) => (body as { breakpoint: DebugProtocol.Breakpoint }).breakpoint);

describe('conditions', () => {
  it('stop where they hold, in either direction', async () => {
    const steps = await launch([{ at: '#ROUND', condition: 'i == 2' }]);
    expect(await steps.marker()).toBe('#ROUND');
    expect(await steps.evaluate('i')).toBe('2');
    expect(await steps.move('continue')).toMatchObject({ reason: 'pause' });
    expect(await steps.visits('reverseContinue')).toEqual(['#ROUND']);
  });

  it('that cannot be evaluated stop, and say why', async () => {
    const steps = await launch([{ at: '#VERDICT', condition: '*(int *)0 == 1' }]);
    expect(await steps.marker()).toBe('#VERDICT');
    const { description } = (await steps.dap.event('stopped')) as { description: string };
    expect(description).toMatch(/condition \*\(int \*\)0 == 1 cannot be evaluated: /);
  });

  it('that are no C leave the breakpoint unverified with what is wrong', async () => {
    const steps = await launch([]);
    const [bad] = await steps.setBreakpoints([{ at: '#VERDICT', condition: 'weight >' }]);
    expect(bad).toMatchObject({ verified: false, message: expect.stringMatching(/not a C expression/) });
  });
});

describe('hit counts', () => {
  it.each([
    ['2', [1]],
    ['>= 3', [2, 3]],
    ['< 3', [0, 1]],
    ['% 2', [1, 3]],
  ])('%s', async (hitCondition, rounds) => {
    const steps = await launch([{ at: '#ROUND', hitCondition }]);
    const seen = [await steps.evaluate('i')];
    while ((await steps.move('continue')).reason === 'breakpoint') seen.push(await steps.evaluate('i'));
    expect(seen).toEqual(rounds.map(String));
    // A round has the same number whichever way it is come to.
    const back = [];
    while ((await steps.move('reverseContinue')).reason === 'breakpoint')
      back.push(await steps.evaluate('i'));
    expect(back).toEqual(seen.toReversed());
  });

  it('count only where the condition holds', async () => {
    const steps = await launch([{ at: '#ROUND', condition: 'i != 1', hitCondition: '2' }]);
    expect(await steps.evaluate('i')).toBe('2');
    expect(await steps.visits('continue')).toEqual([]);
  });

  it('that are none leave the breakpoint unverified', async () => {
    const steps = await launch([]);
    const [bad] = await steps.setBreakpoints([{ at: '#ROUND', hitCondition: 'often' }]);
    expect(bad).toMatchObject({
      verified: false,
      message: expect.stringMatching(/"often" is not a hit count/),
    });
  });
});

describe('log points', () => {
  it('print and do not stop', async () => {
    const steps = await launch([{ at: '#ROUND', logMessage: 'round {i}: {from[i]}', condition: 'i > 0' }]);
    expect((await steps.stack())[0]!.name).toBe('steps() = XDP_PASS (2)');
    const printed = steps.dap.events.filter(
      ({ event, body }) => event === 'output' && (body as { line?: number }).line === line('#ROUND'),
    );
    expect(printed.map(({ body }) => (body as { output: string }).output).join('')).toBe(
      'round 1: 2\nround 2: 3\nround 3: 4\n',
    );
  });
});

describe('functions', () => {
  const functions =
    (...names: string[]) =>
    (dap: DapClient) =>
      dap.request('setFunctionBreakpoints', { breakpoints: names.map((one) => ({ name: one })) });

  it('with code of their own are stopped in at their beginning', async () => {
    const steps = await launch([], functions('weigh'));
    expect((await steps.stack()).map((frame) => frame.name)).toEqual(['weigh', 'steps']);
    expect(await steps.visits('continue')).toEqual([]);
    expect(await steps.visits('reverseContinue')).toHaveLength(1);
  });

  it('that are called back are stopped in each time', async () => {
    const steps = await launch([], functions('add'));
    expect((await steps.stack())[0]!.name).toBe('add');
    expect(await steps.visits('continue')).toHaveLength(2);
    expect(await steps.visits('reverseContinue')).toHaveLength(3);
  });

  it('that are inlined are stopped in where the run comes into them', async () => {
    const steps = await launch([], functions('bucket'));
    expect((await steps.stack()).map((frame) => frame.name)).toEqual(['bucket', 'steps']);
    expect(await steps.visits('continue')).toEqual([]);
  });

  it('of the kernel are stopped at where they are called, with or without bpf_', async () => {
    const steps = await launch([], functions('bpf_map_update_elem', 'loop'));
    expect(await steps.marker()).toBe('#UPDATE');
    expect(await steps.visits('continue')).toEqual(['#LOOP']);
  });

  it('that do not exist are said so, and which there are', async () => {
    const steps = await launch([], functions('frobnicate'));
    const [found] = changed(steps.dap).slice(-1);
    expect(found).toMatchObject({ verified: false });
    expect(found!.message).toMatch(/no function "frobnicate".*: steps, .*weigh.*bucket.*bpf_loop/);
  });
});

describe('instructions', () => {
  it('are stopped at, with conditions', async () => {
    const steps = await launch(['#ROUND']);
    const reference = (await steps.stack())[0]!.instructionPointerReference!;
    await steps.setBreakpoints([]);
    const set = (more: object) =>
      steps.dap.request('setInstructionBreakpoints', {
        breakpoints: [{ instructionReference: reference, ...more }],
      });
    expect(await set({})).toMatchObject({
      breakpoints: [{ verified: true, instructionReference: reference }],
    });
    expect(await steps.visits('continue')).toHaveLength(3);
    await set({ condition: 'i == 1' });
    expect(await steps.visits('reverseContinue')).toHaveLength(1);
    expect(await set({ offset: 8000 })).toMatchObject({ breakpoints: [{ verified: false }] });
  });
});

describe('columns', () => {
  it('of a line can be stopped at one by one', async () => {
    const steps = await launch([]);
    const { breakpoints } = await steps.dap.request<{ breakpoints: { line: number; column: number }[] }>(
      'breakpointLocations',
      { source: { path: fixture(name) }, line: line('#ROUND') },
    );
    expect(breakpoints.length).toBeGreaterThan(1);
    const column = breakpoints.at(-1)!.column;
    const [placed] = await steps.setBreakpoints([{ at: '#ROUND', column }]);
    expect(placed).toMatchObject({ verified: true, line: line('#ROUND'), column });
    expect((await steps.move('reverseContinue')).reason).toBe('breakpoint');
    expect((await steps.stack())[0]).toMatchObject({ line: line('#ROUND'), column });
  });
});

describe('exceptions', () => {
  const filters = (dap: DapClient, ...options: { filterId: string; condition?: string }[]) =>
    dap.request('setExceptionBreakpoints', { filters: [], filterOptions: options });

  it('stop behind a lookup that missed', async () => {
    const steps = await launch([], (dap) => filters(dap, { filterId: 'lookupMissed' }));
    const stop = (await steps.dap.event('stopped')) as { reason: string; description: string };
    expect(stop).toMatchObject({ reason: 'exception', description: 'bpf_map_lookup_elem found no entry' });
    expect(await steps.dap.request('exceptionInfo', { threadId: 1 })).toMatchObject({
      exceptionId: 'Map Lookup Missed',
      description: 'bpf_map_lookup_elem found no entry',
    });
    expect(await steps.visits('continue')).toEqual([]);
  });
});

describe('steps', () => {
  it('stop at breakpoints on their way', async () => {
    const steps = await launch(['#ENTER', '#ROUND']);
    expect(await steps.marker()).toBe('#ENTER');
    expect(await steps.move('next')).toMatchObject({ reason: 'breakpoint' });
    expect(await steps.marker()).toBe('#ROUND');
    expect(await steps.move('stepOut')).toMatchObject({ reason: 'breakpoint' });
    await steps.setBreakpoints(['#ENTER']);
    expect(await steps.move('stepOut')).toMatchObject({ reason: 'step' });
  });

  it('go to the next and the last time that a line runs, and to the beginning of a call', async () => {
    const steps = await launch(['#ROUND']);
    const first = await steps.evaluate('i');
    const { targets } = await steps.dap.request<{ targets: { id: number; label: string }[] }>('gotoTargets', {
      source: { path: fixture(name) },
      line: line('#ROUND'),
    });
    expect(targets.map(({ label }) => label)).toEqual(['the next time this line runs']);
    expect(await steps.move('goto', { targetId: targets[0]!.id })).toMatchObject({ reason: 'goto' });
    expect([first, await steps.evaluate('i')]).toEqual(['0', '1']);
    await steps.move('restartFrame', { frameId: (await steps.stack())[0]!.id });
    expect((await steps.stack())[0]!.name).toBe('weigh');
    expect(await steps.evaluate('weight')).toMatch(/optimised out|^0/);
    await steps.move('bpf/stepBack', { kind: 'out' });
    expect(await steps.marker()).toBe('#ENTER');
  });
});
