/** Coverage of a recorded run: what a person would count by stepping through it. */
import { afterEach, describe, expect, it } from 'vitest';
import type { CoverageResponse, LineCoverage } from '../../debug-adapter/protocol';
import { DapClient, fixture, markedLine } from './client';
import { sharedTarget } from './target';

const target = sharedTarget();

let client: DapClient | undefined;
afterEach(async () => {
  await client?.close();
  client = undefined;
});

const program = fixture('steps.bpf.c');
const packet = Array.from({ length: 60 }, (_, index) => (index + 1).toString(16).padStart(2, '0')).join(' ');

async function launched(given: object = {}): Promise<DapClient> {
  client = await DapClient.started('launch', { ...target.configuration, program, packet, ...given });
  return client;
}

/** Lines of the fixture by marker. */
async function coverage(dap: DapClient): Promise<(marker: string) => LineCoverage | undefined> {
  const { files } = await dap.request<CoverageResponse>('bpf/coverage');
  const own = files.find(({ path }) => path === program);
  return (marker) => own?.lines.find(({ line }) => line === markedLine('steps.bpf.c', marker));
}

/** Where a line's branches went: line → times. */
function ways(line: LineCoverage | undefined): Map<number | undefined, number> {
  return new Map(line?.branches.flatMap(({ sides }) => sides.map((side) => [side.line, side.times])));
}

describe('coverage of a run', () => {
  it('counts each line as often as a breakpoint on it is hit, in loops, callbacks and inlined functions', async () => {
    const at = await coverage(await launched());
    expect(at('#ROUND')!.hits).toBe(4);
    expect(at('#CALLBACK')!.hits).toBe(3);
    expect(at('#INLINED')!.hits).toBe(1);
    expect(at('#BUCKET')!.hits).toBe(1);
    expect(at('#UPDATE')!.hits).toBe(1);
    expect(at('#VERDICT')!.hits).toBe(1);
    // The map was empty.
    expect(at('#COUNT')!.hits).toBe(0);
  });

  it('tells where branches went, and where never', async () => {
    const at = await coverage(await launched());
    const line = (marker: string) => markedLine('steps.bpf.c', marker);
    const { files } = await client!.request<CoverageResponse>('bpf/coverage');
    const condition = files
      .flatMap(({ lines }) => lines)
      .find(({ line: number }) => number === line('#LOOKUP') + 2)!;
    expect(ways(condition).get(line('#COUNT'))).toBe(0);
    expect([...ways(condition).values()]).toContain(1);
    expect(at('#COUNT')!.hits).toBe(0);
  });

  it('leaves the run where it is, and counts the next one anew', async () => {
    const dap = await launched();
    const before = await dap.request<{ stackFrames: { name: string }[] }>('stackTrace', { threadId: 1 });
    await coverage(dap);
    expect(await dap.request('stackTrace', { threadId: 1 })).toEqual(before);
    const seen = dap.events.length;
    await dap.request('continue', { threadId: 1 });
    await dap.event('stopped', undefined, seen);
    const at = await coverage(dap);
    expect(at('#COUNT')!.hits).toBe(1);
    expect(at('#UPDATE')!.hits).toBe(0);
  });

  it('of many runs in one there is none to look at, and it says so', async () => {
    const dap = await launched({ repeat: 3 });
    await expect(dap.request('bpf/coverage')).rejects.toThrow(/Coverage needs a recorded run/);
  });
});
