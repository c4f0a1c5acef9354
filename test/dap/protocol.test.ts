/** Messages out of order, twice, with nonsense in them; ends in every state. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { DapClient, fixture, objectOf } from './client';
import { sharedTarget } from './target';

const target = sharedTarget();
let client: DapClient | undefined;
afterEach(async () => {
  await client?.close();
  client = undefined;
});

const reason = (dap: DapClient, command: string, args?: unknown) =>
  dap.request(command, args).then(
    () => 'answered',
    (error: Error) => error.message,
  );
const launched = async () => {
  client = await DapClient.started('launch', { ...target.configuration, program: objectOf('endings.bpf.c') });
  return client;
};

describe('order', () => {
  it('nothing is answered before initialize, which comes once', async () => {
    client = DapClient.start();
    expect(await reason(client, 'launch', {})).toMatch(/launch came before initialize/);
    expect(await reason(client, 'threads')).toMatch(/threads came before initialize/);
    await client.request('initialize', { adapterID: 'bpf' });
    expect(await reason(client, 'initialize', {})).toMatch(/initialize came a second time/);
    expect(await reason(client, 'variables', { variablesReference: 1 })).toMatch(/nothing has been launched/);
    expect(await reason(client, 'continue', { threadId: 1 })).toMatch(/nothing has been launched/);
    expect(await reason(client, 'restart')).toMatch(/nothing has been launched/);
    expect(await client.request('threads')).toEqual({ threads: [] });
  });

  it('a session is started once, and only asked what it is', async () => {
    const dap = await launched();
    expect(await reason(dap, 'launch', {})).toMatch(/launched or attached already/);
    expect(await reason(dap, 'attach', { program: 'x' })).toMatch(/launched or attached already/);
    expect(await reason(dap, 'stackTrace', { threadId: 77 })).toMatch(/no thread 77/);
    expect(await reason(dap, 'scopes', { frameId: 77 })).toMatch(/no frame 77/);
    expect(await reason(dap, 'variables', { variablesReference: 77 })).toMatch(/no variablesReference 77/);
  });

  it('a launch that failed can be tried again', async () => {
    client = await DapClient.initialized();
    expect(await reason(client, 'launch', { ...target.configuration, program: '/nope.bpf.c' })).toMatch(
      /no such file/,
    );
    await client.request('configurationDone');
    await client.request('launch', { ...target.configuration, program: objectOf('endings.bpf.c') });
    await client.event('stopped');
  });
});

describe('nonsense', () => {
  let dap: DapClient;
  beforeAll(async () => {
    dap = await DapClient.started('launch', { ...target.configuration, program: objectOf('xdp_ttl.bpf.c') });
  });
  afterAll(() => dap.close());

  it.each([
    ['frobnicate', {}, /has no request "frobnicate"/],
    ['__proto__', {}, /has no request/],
    ['variables', {}, /variables: variablesReference: /],
    ['variables', { variablesReference: 'one' }, /variables: variablesReference: /],
    ['variables', { variablesReference: 1, start: -1 }, /variables: start: /],
    ['variables', null, /variables: /],
    ['setVariable', { variablesReference: 1, name: 5, value: '1' }, /setVariable: name: /],
    ['evaluate', { expression: 7 }, /evaluate: expression: /],
    ['evaluate', { expression: '' }, /There is no expression/],
    ['stackTrace', [], /stackTrace: /],
    ['readMemory', { memoryReference: 'x', count: 4 }, /no variablesReference/],
    ['next', { threadId: 'one' }, /next: threadId: /],
    ['stepBack', { threadId: 77 }, /no thread 77/],
    ['stepIn', { threadId: 1, granularity: 'year' }, /stepIn: granularity: /],
    ['goto', { threadId: 1, targetId: 1e9 }, /no step 1000000000/],
    ['disassemble', { memoryReference: 'main', instructionCount: 1 }, /disassemble: memoryReference: /],
    ['bpf/setMapEntry', { map: 'nope', key: '1', value: '1' }, /There is no map "nope"/],
    ['bpf/deleteMapEntry', { map: 'counts', key: '' }, /does not fit counts/],
  ])('%s %j', async (command, args, expected) => {
    expect(await reason(dap, command, args)).toMatch(expected);
    // The session goes on as if nothing had been said.
    expect(await dap.request('threads')).toMatchObject({ threads: [{ id: 1 }] });
  });

  it('breakpoints where there is no code are honestly not verified', async () => {
    const set = (path: string, line: number) =>
      dap.request<{ breakpoints: unknown[] }>('setBreakpoints', {
        source: { path },
        breakpoints: [{ line }],
      });
    const nowhere = { verified: false, message: expect.stringContaining('no code on this line') };
    expect((await set(fixture('xdp_ttl.bpf.c'), 9999)).breakpoints).toMatchObject([nowhere]);
    expect((await set('/nope.c', 3)).breakpoints).toMatchObject([nowhere]);
  });

  it('bytes that are no DAP are survived', async () => {
    client = await DapClient.initialized();
    const { stdin } = client.process;
    stdin!.write('Content-Length: 9\r\n\r\nnot json!');
    stdin!.write('Content-Length: 4\r\n\r\nnull');
    stdin!.write('Content-Length: 2\r\n\r\n{}');
    stdin!.write('Content-Length: 30\r\n\r\n{"type":"request","command":5}');
    expect(await client.request('threads')).toEqual({ threads: [] });
  });
});

describe('ends', () => {
  /** Loaded programs named like the fixture's; who lists programs at the same time holds each for a moment. */
  const loaded = () =>
    (JSON.parse(target.place.run('bpftool', '-j', 'prog', 'list')) as { name?: string }[]).filter(
      ({ name }) => name === 'bpfs_endings',
    );

  it.each(['disconnect', 'terminate'])('%s before initialize, and when initialized', async (command) => {
    for (const start of [async () => DapClient.start(), () => DapClient.initialized()]) {
      const dap = await start();
      expect(await reason(dap, command)).toBe('answered');
      await dap.close();
    }
  });

  it('disconnect during the launch stops it and leaves nothing', async () => {
    const dap = await DapClient.initialized();
    const launch = reason(dap, 'launch', { ...target.configuration, program: fixture('endings.bpf.c') });
    await dap.event('bpf/sessionState');
    await dap.close();
    expect(await launch).toMatch(/Cancelled/);
    await expect.poll(loaded).toEqual([]);
  });

  it('a launch is cancelled by its request id', async () => {
    client = await DapClient.initialized();
    const requestId = client.nextSeq;
    const launch = reason(client, 'launch', { ...target.configuration, program: fixture('endings.bpf.c') });
    await client.event('bpf/sessionState');
    await client.request('cancel', { requestId });
    expect(await launch).toMatch(/Cancelled/);
    await expect.poll(loaded).toEqual([]);
  });

  it('a run of hours is ended by terminate, during the launch and after a continue', async () => {
    const endless = { ...target.configuration, program: objectOf('endings.bpf.c'), repeat: 4_000_000_000 };
    const launching = await DapClient.initialized();
    const launch = reason(launching, 'launch', endless);
    await launching.event('bpf/sessionState', ({ phase }) => phase === 'running');
    await launching.close();
    expect(await launch).toMatch(/Cancelled/);
    client = await DapClient.started('launch', { ...endless, stopOnEntry: true });
    await client.request('continue', { threadId: 1 });
    await client.event('bpf/sessionState', ({ phase }) => phase === 'running');
    await client.request('terminate');
    await expect.poll(loaded).toEqual([]);
  });

  it('terminate while stopped unloads at once; what comes later is told so', async () => {
    const dap = await launched();
    expect(loaded()).not.toEqual([]);
    await dap.request('terminate');
    await dap.event('terminated');
    await expect.poll(loaded).toEqual([]);
    expect(await reason(dap, 'threads')).toMatch(/the session has ended/);
    expect(await reason(dap, 'terminate')).toBe('answered');
  });

  it('a client that closes the pipe or is killed leaves nothing', async () => {
    const polite = await launched();
    polite.process.stdin!.end();
    await polite.exited;
    const killed = await launched();
    killed.process.kill('SIGKILL');
    await killed.exited;
    await expect.poll(loaded).toEqual([]);
    client = undefined;
  });
});
