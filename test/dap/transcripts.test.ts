/** Sessions as their user sees them, compared with committed transcripts: every kind of code, forward and back. */
import { afterEach, describe, it } from 'vitest';
import type { DapClient } from './client';
import { fixture } from './client';
import { Steps } from './steps';
import type { Wanted } from './steps';
import { sharedTarget } from './target';
import { Transcript } from './transcript';

const target = sharedTarget();
let client: DapClient | undefined;
afterEach(async () => {
  await client?.close();
  client = undefined;
});

const packet = Array.from({ length: 60 }, (_, index) => (index + 1).toString(16).padStart(2, '0')).join(' ');

async function session(
  name: string,
  {
    breakpoints = [],
    shown = [],
    ...more
  }: { breakpoints?: Wanted[]; shown?: string[]; entry?: string } & {
    before?: (dap: DapClient) => Promise<unknown>;
  },
): Promise<Transcript> {
  const { before, ...configuration } = more;
  const steps = await Steps.launch({
    name,
    breakpoints,
    ...(before ? { before } : {}),
    configuration: { ...target.configuration, program: fixture(name), packet, ...configuration },
  });
  client = steps.dap;
  const transcript = new Transcript(steps, shown);
  await transcript.see((await client.event('stopped')) as object);
  return transcript;
}

describe('XDP', () => {
  it('by line from the beginning to the end and back', async () => {
    const seen = await session('steps.bpf.c', { breakpoints: ['#FIRST'], shown: ['runs', 'key', 'weight'] });
    await seen.toTheEnd('next');
    await seen.toTheEnd('stepBack');
    seen.expectToBe('xdp-over');
  });

  it('into inlined functions, callbacks, calls and loops, and back into them', async () => {
    const seen = await session('steps.bpf.c', {
      breakpoints: ['#FIRST'],
      shown: ['sum->value', 'sum->rounds', 'i', 'weight'],
    });
    await seen.toTheEnd('stepIn');
    for (let count = 0; count < 28; count++) await seen.move('bpf/stepBack', { kind: 'into' });
    await seen.move('bpf/stepBack', { kind: 'out' });
    seen.expectToBe('xdp-into');
  });

  it('stops in loops, calls, callbacks and inlined functions, in both directions', async () => {
    const seen = await session('steps.bpf.c', {
      breakpoints: ['#INLINED', '#CALLBACK', '#WEIGH', '#ROUND', '#VERDICT'],
      shown: ['index', 'i', 'lengths[48]', 'packet[0]'],
    });
    await seen.toTheEnd('continue');
    await seen.toTheEnd('reverseContinue');
    seen.expectToBe('xdp-breakpoints');
  });
});

describe('what a run writes', () => {
  /** Data breakpoints on expressions, set at the first stop. */
  const watching = async (name: string, at: string, ...expressions: string[]) => {
    const seen = await session(name, { breakpoints: [at], shown: expressions });
    const dap = client!;
    const { stackFrames } = await dap.request<{ stackFrames: { id: number }[] }>('stackTrace', {
      threadId: 1,
    });
    const breakpoints = [];
    for (const expression of expressions) {
      const { dataId } = await dap.request<{ dataId: string }>('dataBreakpointInfo', {
        name: expression,
        frameId: stackFrames[0]!.id,
      });
      breakpoints.push({ dataId, accessType: 'write' });
    }
    await dap.request('setBreakpoints', { source: { path: fixture(name) }, breakpoints: [] });
    await dap.request('setDataBreakpoints', { breakpoints });
    return seen;
  };

  it('to locals, globals, map entries and the packet, forward and back', async () => {
    const seen = await watching('steps.bpf.c', '#FIRST', 'runs', 'sum.rounds', 'lengths[48]', 'packet[0]');
    await seen.toTheEnd('continue');
    await seen.toTheEnd('reverseContinue');
    seen.expectToBe('data');
  });
});

describe('tc', () => {
  it('stops at what goes wrong, and at what is done to maps', async () => {
    const filterOptions = ['helperError', 'lookupMissed', 'dropped', 'aborted', 'tailCallFailed'].map(
      (filterId) => ({ filterId }),
    );
    const seen = await session('outcomes.bpf.c', {
      entry: 'outcomes',
      breakpoints: ['#TALLY', '#SEEN'],
      before: (dap) => dap.request('setExceptionBreakpoints', { filters: [], filterOptions }),
      shown: ['key', 'failed', '*key', '*value', 'total', 'limits[2]', 'seen[2]'],
    });
    await seen.toTheEnd('continue');
    await seen.toTheEnd('reverseContinue');
    seen.expectToBe('tc-outcomes');
  });

  it('runs until a tail call', async () => {
    const seen = await session('outcomes.bpf.c', {
      entry: 'hands_over',
      breakpoints: ['#BEFORE'],
      shown: ['total'],
    });
    await seen.toTheEnd('next');
    await seen.toTheEnd('stepBack');
    seen.expectToBe('tc-tail-call');
  });
});
