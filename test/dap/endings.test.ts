/** How programs end badly, what their context has to do with that, where to go in a run, and what is known there. */
import { afterEach, describe, expect, it } from 'vitest';
import type { DebugProtocol } from '@vscode/debugprotocol';
import { DapClient, fixture, markedLine } from './client';
import { Steps } from './steps';
import type { Scenario, Stopped } from './steps';
import { sharedTarget } from './target';

const target = sharedTarget();
let client: DapClient | undefined;
afterEach(async () => {
  await client?.close();
  client = undefined;
});

async function launch(
  name: string,
  given: object,
  { breakpoints, before }: Pick<Scenario, 'breakpoints' | 'before'> = {},
): Promise<Steps> {
  const configuration = { ...target.configuration, program: fixture(name), ...given };
  const steps = await Steps.launch({
    name,
    configuration,
    ...(breakpoints ? { breakpoints } : {}),
    ...(before ? { before } : {}),
  });
  client = steps.dap;
  return steps;
}

const firstStop = async ({ dap }: Steps) => (await dap.event('stopped')) as unknown as Stopped;
const bytes = (count: number) => '00 '.repeat(count).trim();
const filters = (...filterOptions: { filterId: string; condition?: string }[]) => ({
  before: (dap: DapClient) => dap.request('setExceptionBreakpoints', { filters: [], filterOptions }),
});

describe('a program that is aborted', () => {
  it('stops where it returns XDP_ABORTED', async () => {
    const steps = await launch('expressions.bpf.c', { packet: bytes(20) }, filters({ filterId: 'aborted' }));
    expect(await firstStop(steps)).toMatchObject({
      reason: 'exception',
      description: 'Aborted: returns XDP_ABORTED (0)',
    });
    expect(await steps.dap.request('exceptionInfo', { threadId: 1 })).toMatchObject({
      exceptionId: 'Program Aborted',
    });
    expect(await steps.evaluate('$r0')).toBe('0');
  });

  it('stops where it calls bpf_throw', async () => {
    const steps = await launch(
      'endings_tc.bpf.c',
      { packet: bytes(60), context: { mark: 7 } },
      filters({ filterId: 'aborted' }),
    );
    expect(await firstStop(steps)).toMatchObject({
      reason: 'exception',
      description: 'The program threw an exception',
    });
    expect(await steps.marker()).toBe('#THROW');
  });

  it('does not stop when it ends well', async () => {
    const steps = await launch(
      'endings_tc.bpf.c',
      { packet: bytes(60) },
      filters({ filterId: 'aborted' }, { filterId: 'dropped' }),
    );
    expect(await firstStop(steps)).toMatchObject({ reason: 'pause', description: /Run finished/ });
  });
});

describe('conditions on exceptions', () => {
  it.each([
    ['skb->mark == 8', 'exception'],
    ['skb->mark == 9', 'pause'],
  ])('%s: %s', async (condition, reason) => {
    const steps = await launch(
      'endings_tc.bpf.c',
      { packet: bytes(60), context: { mark: 8 } },
      filters({ filterId: 'dropped', condition }),
    );
    expect((await firstStop(steps)).reason).toBe(reason);
  });

  it('that are no C are said so', async () => {
    await launch('endings_tc.bpf.c', { packet: bytes(60) }, { breakpoints: ['#VERDICT'] });
    const answer = await client!.request<{ breakpoints: DebugProtocol.Breakpoint[] }>(
      'setExceptionBreakpoints',
      {
        filters: [],
        filterOptions: [{ filterId: 'dropped', condition: 'skb->' }],
      },
    );
    expect(answer.breakpoints).toMatchObject([
      { verified: false, message: expect.stringMatching(/not a C expression/) },
    ]);
  });
});

describe('a field of the context', () => {
  it('is set, and the run done again ends as it says', async () => {
    const steps = await launch('endings_tc.bpf.c', { packet: bytes(60) }, { breakpoints: ['#VERDICT'] });
    const { variablesReference } = (await steps.dap.variables(await steps.dap.scope('Context')))[0]!;
    const rows = await steps.dap.variables(variablesReference);
    expect(rows.find(({ name }) => name === 'mark')!.value).toBe('0');
    const set = (name: string, value: string) =>
      steps.dap.request('setVariable', { variablesReference, name, value });
    await expect(set('mark', 'red')).rejects.toThrow(/"red" is not a number\. Write one such as 7/);
    await expect(set('mark', '7.5')).rejects.toThrow(/"7\.5" is not a number/);
    await expect(set('len', '7')).rejects.toThrow(/a test run takes mark, priority/);
    const seen = steps.dap.events.length;
    await set('mark', '8');
    expect(await steps.dap.event('stopped', undefined, seen)).toMatchObject({
      description: 'Run again with ctx->mark changed',
    });
    expect(await steps.marker()).toBe('#VERDICT');
    expect(await steps.evaluate('skb->mark')).toBe('8');
    expect(await steps.move('continue')).toMatchObject({ description: /TC_ACT_SHOT/ });
  });
});

describe('where to', () => {
  it('calls of a line are listed and stepped into by name; sources of the run are listed', async () => {
    const steps = await launch('steps.bpf.c', { packet: bytes(60) }, { breakpoints: ['#ENTER'] });
    const [frame] = await steps.stack();
    const { targets } = await steps.dap.request<{ targets: { id: number; label: string }[] }>(
      'stepInTargets',
      {
        frameId: frame!.id,
      },
    );
    expect(targets.map(({ label }) => label)).toEqual(['weigh']);
    expect(await steps.move('stepIn', { targetId: targets[0]!.id })).toMatchObject({
      description: 'Stepped into weigh',
    });
    expect((await steps.stack())[0]!.name).toBe('weigh');
    await expect(steps.dap.request('stepIn', { threadId: 1, targetId: 1e6 })).rejects.toThrow(/target/);
    const { sources } = await steps.dap.request<{ sources: DebugProtocol.Source[] }>('loadedSources');
    expect(sources.map(({ path }) => path)).toContain(fixture('steps.bpf.c'));
  });
});

describe('a long search', () => {
  it.each([
    [
      'cancelled by what its progress says',
      (dap: DapClient, progressId: string) => dap.request('cancel', { progressId }),
    ],
    ['paused', (dap: DapClient) => dap.request('pause', { threadId: 1 })],
  ])('shows how far it is, and is %s', async (_, giveUp) => {
    const dap = await DapClient.start();
    client = dap;
    await dap.request('initialize', { adapterID: 'bpf', supportsProgressReporting: true });
    const launched = dap.request('launch', {
      ...target.configuration,
      program: fixture('long.bpf.c'),
      packet: bytes(60),
    });
    const breakAt = (marker: string, condition?: string) =>
      dap.request('setBreakpoints', {
        source: { path: fixture('long.bpf.c') },
        breakpoints: [
          { line: markedLine('long.bpf.c', marker), ...(condition === undefined ? {} : { condition }) },
        ],
      });
    await breakAt('#FIRST');
    await dap.request('configurationDone');
    await launched;
    await dap.event('stopped');
    await breakAt('#ROUND', 'index == 12345678');
    const stack = () => dap.request<DebugProtocol.StackTraceResponse['body']>('stackTrace', { threadId: 1 });
    const before = await stack();
    const seen = dap.events.length;
    await dap.request('continue', { threadId: 1 });
    const { progressId, title } = await dap.event('progressStart', undefined, seen);
    expect(title).toBe('Looking for the next stop');
    const { percentage } = await dap.event('progressUpdate', (body) => body.progressId === progressId, seen);
    expect(percentage).toBeLessThan(100);
    await giveUp(dap, String(progressId));
    expect(await dap.event('stopped', undefined, seen)).toMatchObject({
      reason: 'pause',
      description: 'Paused: the search was given up, and the run is where it was',
    });
    await dap.event('progressEnd', (body) => body.progressId === progressId, seen);
    expect(await stack()).toEqual(before);
  });
});

describe('a variable of an inlined function', () => {
  it('has not the value that it had where the function is inlined elsewhere', async () => {
    const steps = await launch(
      'endings_tc.bpf.c',
      { packet: bytes(60) },
      { breakpoints: ['#SUM', '#RANDOM'] },
    );
    const seen: string[] = [];
    do {
      const [inner, outer] = await steps.stack();
      if (inner!.name !== 'sum' || (await steps.marker()) !== '#RANDOM') continue;
      const called = outer!.line === markedLine('endings_tc.bpf.c', '#ONE') ? 'one' : 'other';
      seen.push(`${called}: ${(await steps.dap.row('Locals', 'length')).value}`);
    } while ((await steps.move('continue')).reason === 'breakpoint');
    expect(seen).toEqual(['one: optimised out', 'other: optimised out']);
  });
});
