/** Going through a recorded run, forward and backward: what a debugger's user sees at each place. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { DebugProtocol } from '@vscode/debugprotocol';
import { DapClient, fixture, markedLine } from './client';
import { Steps } from './steps';
import { sharedTarget } from './target';

const target = sharedTarget();

let client: DapClient | undefined;
afterEach(async () => {
  await client?.close();
  client = undefined;
});

const program = fixture('steps.bpf.c');
const line = (marker: string) => markedLine('steps.bpf.c', marker);
/** 60 bytes: 1, 2, 3, 4, … */
const packet = Array.from({ length: 60 }, (_, index) => (index + 1).toString(16).padStart(2, '0')).join(' ');

async function launch(breakpoints: string[], configuration: object = {}): Promise<Steps> {
  const steps = await Steps.launch({
    name: 'steps.bpf.c',
    breakpoints,
    configuration: { ...target.configuration, program, packet, ...configuration },
  });
  client = steps.dap;
  return steps;
}

describe('a recorded run', () => {
  it('stops at breakpoints and is gone through by line, forward and back', async () => {
    const steps = await launch(['#LOOKUP']);
    expect(await steps.line()).toBe(line('#LOOKUP'));
    await steps.move('next');
    const after = await steps.line();
    expect(after).toBeGreaterThan(line('#LOOKUP'));
    await steps.move('stepBack');
    expect(await steps.line()).toBe(line('#LOOKUP'));
    expect(await steps.move('reverseContinue')).toMatchObject({ reason: 'entry' });
    expect(await steps.line()).toBeLessThan(line('#LOOKUP'));
    expect(await steps.move('continue')).toMatchObject({ reason: 'breakpoint' });
    expect(await steps.line()).toBe(line('#LOOKUP'));
    expect(await steps.move('continue')).toMatchObject({ reason: 'pause' });
    expect((await steps.stack())[0]!.name).toBe('steps() = XDP_PASS (2)');
    // Back from the end, over the same ground.
    expect(await steps.move('reverseContinue')).toMatchObject({ reason: 'breakpoint' });
    expect(await steps.line()).toBe(line('#LOOKUP'));
  });

  it('steps into functions and callbacks, over them and out of them', async () => {
    const steps = await launch(['#ENTER', '#LOOP']);
    expect(await steps.line()).toBe(line('#LOOP'));
    const visited = [];
    for (let count = 0; count < 12 && (await steps.stack()).length === 1; count++) await steps.move('stepIn');
    for (let count = 0; count < 2; count++) {
      visited.push(await steps.line());
      await steps.move('stepIn');
    }
    expect(visited).toContain(line('#CALLBACK'));
    expect((await steps.stack()).map(({ name }) => name)).toEqual(['add', 'steps']);
    expect((await steps.stack())[1]!.line).toBe(line('#LOOP'));
    await steps.move('continue');
    expect(await steps.line()).toBe(line('#ENTER'));
    await steps.move('stepIn');
    expect((await steps.stack()).map(({ name }) => name)).toEqual(['weigh', 'steps']);
    await steps.move('stepOut');
    expect((await steps.stack()).map(({ name }) => name)).toEqual(['steps']);
    await steps.move('stepBack');
    expect((await steps.stack()).map(({ name }) => name)).toEqual(['steps']);
  });

  it('stops in every round of a loop, and in inlined functions, which are frames', async () => {
    const steps = await launch(['#ROUND', '#INLINED']);
    expect(await steps.line()).toBe(line('#INLINED'));
    expect((await steps.stack()).map(({ name, line: at }) => [name, at])).toEqual([
      ['bucket', line('#INLINED')],
      ['steps', line('#BUCKET')],
    ]);
    let rounds = 0;
    for (; rounds < 20; rounds++) {
      const { reason } = await steps.move('continue');
      if (reason !== 'breakpoint') break;
      expect(await steps.line()).toBe(line('#ROUND'));
    }
    expect(rounds).toBe(4);
  });

  it('shows maps and globals as they were at each step', async () => {
    const steps = await launch(['#FIRST', '#LOOP']);
    const { dap } = steps;
    expect((await dap.row('Globals', 'runs')).value).toBe('0');
    expect((await dap.row('Maps', 'lengths')).value).toMatch(/^hash, 0 entries/);
    await steps.move('continue');
    expect((await dap.row('Globals', 'runs')).value).toBe('1');
    expect((await dap.row('Maps', 'lengths', '[48]')).value).toBe('1');
    await steps.move('reverseContinue');
    expect((await dap.row('Globals', 'runs')).value).toBe('0');
    expect((await dap.row('Maps', 'lengths')).value).toMatch(/^hash, 0 entries/);
  });

  it('shows locals, registers, the stack, the packet and the calls made', async () => {
    const steps = await launch(['#WRITE', '#VERDICT']);
    const { dap } = steps;
    expect(await dap.tree('Locals', 'sum')).toEqual(['value = 3', 'rounds = 3']);
    expect(await steps.evaluate('sum.rounds')).toBe('3');
    const registers = await dap.variables(await dap.scope('Registers'));
    expect(registers).toHaveLength(11);
    expect(registers[10]!.value).toMatch(/^0x[0-9a-f]{16}$/);
    expect((await dap.row('Packet', 'bytes', '0000')).value).toMatch(/^01 02 03 04/);
    const calls = await dap.variables(await dap.scope('Calls'));
    expect(calls.map(({ name }) => name)).toEqual([
      '1 bpf_map_lookup_elem',
      '2 bpf_map_update_elem',
      '3 bpf_loop',
    ]);
    expect(calls[0]!.value).toMatch(new RegExp(`= 0x0, line ${line('#LOOKUP')}$`));
    await steps.move('continue');
    expect(await steps.line()).toBe(line('#VERDICT'));
    // The sum of both fields, 6, was written to the packet's first byte.
    expect((await dap.row('Packet', 'bytes', '0000')).value).toMatch(/^06 02 03 04/);
    // 6·1 + 2·2 + 3·3 + 4·4
    expect(await steps.evaluate('weight')).toMatch(/^35\b/);
  });

  it('steps by instruction and shows them', async () => {
    const steps = await launch(['#LOOKUP']);
    const reference = async () => (await steps.stack())[0]!.instructionPointerReference!;
    const before = await reference();
    await steps.move('stepIn', { granularity: 'instruction' });
    expect(Number(await reference())).not.toBe(Number(before));
    await steps.move('stepBack', { granularity: 'instruction' });
    expect(await reference()).toBe(before);
    const { instructions } = await steps.dap.request<DebugProtocol.DisassembleResponse['body'] & object>(
      'disassemble',
      { memoryReference: '0x0', instructionCount: 400 },
    );
    const text = instructions.map(({ instruction }) => instruction);
    expect(text).toContain('call bpf_map_lookup_elem#1');
    expect(text).toContain('exit');
    expect(instructions.find(({ line: at }) => at === line('#LOOKUP'))).toBeDefined();
  });

  it('runs again from its end, and is another run then', async () => {
    const steps = await launch(['#COUNT']);
    expect((await steps.stack())[0]!.name).toBe('steps() = XDP_PASS (2)');
    expect(await steps.move('continue')).toMatchObject({ reason: 'breakpoint' });
    expect(await steps.line()).toBe(line('#COUNT'));
    expect((await steps.dap.row('Maps', 'lengths', '[48]')).value).toBe('1');
  });

  it('stops before the run when asked to, and steps into it', async () => {
    const steps = await launch([], { stopOnEntry: true });
    expect((await steps.dap.row('Globals', 'runs')).value).toBe('0');
    expect((await steps.dap.row('Maps', 'lengths')).value).toMatch(/^hash, 0 entries/);
    await steps.move('next');
    expect(steps.dap.console).toContain('steps returned XDP_PASS (2)');
    // A step goes to the next line, and what was on display before the run is not taken for what is there after it.
    expect(await steps.line()).toBeGreaterThan(line('int steps('));
    expect(await steps.line()).toBeLessThan(line('#LOOKUP'));
    expect(await steps.move('continue')).toMatchObject({ reason: 'pause' });
    expect((await steps.dap.row('Maps', 'lengths')).value).toMatch(/^hash, 1 entry/);
    expect((await steps.dap.row('Globals', 'runs')).value).toBe('1');
  });

  it('has its packet at the first step, before the program has asked where that is', async () => {
    const steps = await launch([]);
    await steps.move('reverseContinue');
    expect((await steps.dap.row('Packet', 'ethernet', 'destination')).value).toBe('01:02:03:04:05:06');
    expect((await steps.dap.row('Packet', 'bytes')).value).toBe('60 bytes');
    // It can be watched from there.
    const [first] = await steps.dap.variables((await steps.dap.row('Packet', 'bytes')).variablesReference);
    const { dataId } = await steps.dap.request<{ dataId: string }>('dataBreakpointInfo', {
      variablesReference: (await steps.dap.row('Packet', 'bytes')).variablesReference,
      name: first!.name,
    });
    await steps.dap.request('setDataBreakpoints', { breakpoints: [{ dataId, accessType: 'write' }] });
    expect(await steps.move('continue')).toMatchObject({ reason: 'data breakpoint' });
    expect((await steps.dap.row('Packet', 'bytes')).value).toMatch(/^60 bytes at 0x/);
    await steps.move('stepBack');
    expect(await steps.line()).toBe(line('#WRITE'));
  });

  it('is saved to a file, and gone through from it without a kernel', async () => {
    const steps = await launch(['#LOOP']);
    const file = path.join(mkdtempSync(path.join(os.tmpdir(), 'bpfs-recording-')), 'run.bpfrec');
    await steps.dap.request('bpf/saveRecording', { path: file });
    const seen = await steps.dap.tree('Locals', 'sum');
    await steps.dap.close();

    // No host is named and none may be started: this target does not exist.
    const again = await launch(['#LOOP'], { recording: file, hostSocket: '/nope.sock' });
    expect(await again.line()).toBe(line('#LOOP'));
    expect(await again.dap.tree('Locals', 'sum')).toEqual(seen);
    expect((await again.dap.row('Maps', 'lengths', '[48]')).value).toBe('1');
    await again.move('reverseContinue');
    expect((await again.dap.row('Maps', 'lengths')).value).toMatch(/^hash, 0 entries/);
    expect(await again.move('continue')).toMatchObject({ reason: 'breakpoint' });
    await again.move('continue');
    expect((await again.stack())[0]!.name).toBe('steps() = XDP_PASS (2)');
  });

  it('shows the source as it was recorded where the file is another one by now, or not there', async () => {
    const directory = mkdtempSync(path.join(os.tmpdir(), 'bpfs-recording-'));
    const moved = path.join(directory, 'steps.bpf.c');
    const text = readFileSync(program, 'utf8');
    const recorded = path.join(directory, 'run.bpfrec');
    writeFileSync(moved, text);
    const first = await launch([], { program: moved });
    await first.dap.request('bpf/saveRecording', { path: recorded });
    const sourceOf = async (steps: Steps) => {
      await steps.move('reverseContinue');
      return (await steps.stack())[0]!.source!;
    };
    expect(await sourceOf(first)).toEqual({ name: 'steps.bpf.c', path: moved });
    await first.dap.close();

    const here = await launch([], { recording: recorded });
    expect(await sourceOf(here)).toEqual({ name: 'steps.bpf.c', path: moved });
    await here.dap.close();

    for (const change of [() => writeFileSync(moved, `\n${text}`), () => rmSync(moved)]) {
      change();
      const steps = await launch([], { recording: recorded });
      const source = await sourceOf(steps);
      expect(source).toMatchObject({ path: moved, sourceReference: expect.any(Number) });
      const { sourceReference } = source;
      expect(await steps.dap.request('source', { source, sourceReference })).toMatchObject({ content: text });
      await expect(steps.dap.request('source', { sourceReference: 99 })).rejects.toThrow(/no source 99/);
      await steps.dap.close();
    }
  });

  it.each([
    ['no such file', undefined, /there is no such file/],
    ['another kind of file', Buffer.from('ELF and nothing else'), /not a recording/],
    ['a newer format', Buffer.from('bpf-studio recording 9\n...'), /format 9/],
    ['a damaged one', Buffer.from('bpf-studio recording 1\nrubbish'), /damaged/],
  ])('%s is refused in words', async (_, content, expected) => {
    client = await DapClient.initialized();
    const file = path.join(mkdtempSync(path.join(os.tmpdir(), 'bpfs-recording-')), 'run.bpfrec');
    if (content) writeFileSync(file, content);
    const refused = await client.request('launch', { recording: file }).then(
      () => 'launched',
      (error: Error) => error.message,
    );
    expect(refused).toMatch(expected);
  });
});
