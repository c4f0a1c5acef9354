import { spawn } from 'node:child_process';
import { chmodSync, readFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { KernelClient } from '../client/client';
import { FrameDecoder, MAX_RESPONSE_BYTES, encodeFrame } from '../client/framing';
import { startLocal } from '../targets/local';
import type { RunningTarget } from '../targets/target';
import { PROTOCOL_VERSION } from '../protocol';
import { PATIENCE_MS } from '../../test/support/until';
import { dist, hostBundle, scratchDirectory } from './testing';

let target: RunningTarget;

beforeAll(async () => {
  const started = await startLocal({ distDirectory: dist, elevate: 'never', log: () => {} });
  if ('code' in started) throw new Error(started.message);
  target = started;
});
afterAll(() => target.dispose());

/** Writes bytes and collects what comes back until the host closes, or until `count` messages. */
function converse(write: Uint8Array[], count = Infinity): Promise<unknown[]> {
  const socket = net.connect(target.socketPath);
  const decoder = new FrameDecoder(MAX_RESPONSE_BYTES);
  const messages: unknown[] = [];
  for (const bytes of write) socket.write(bytes);
  return new Promise((resolve, reject) => {
    socket.on('data', (chunk) => {
      messages.push(...decoder.push(chunk));
      if (messages.length >= count) socket.destroy();
    });
    socket.on('close', () => resolve(messages));
    socket.on('error', reject);
    socket.setTimeout(PATIENCE_MS, () => reject(new Error('the host neither answered nor closed')));
  });
}

const hello = encodeFrame(
  { id: 1, method: 'hello', params: { protocol: PROTOCOL_VERSION, client: 'test' } },
  4096,
);

function frame(value: unknown): Uint8Array[] {
  return encodeFrame(value, 1 << 20);
}

function header(length: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(length);
  return bytes;
}

describe('rubbish is answered or the connection closed; the host goes on', () => {
  test.each<[string, Uint8Array[], string]>([
    ['a frame too large to be', [header(0xffff_ffff)], 'a frame of 4294967295 bytes was announced'],
    ['an empty frame', [header(0)], 'a frame of 0 bytes was announced'],
    ['bytes that are no MessagePack', [header(3), Buffer.from([0xc1, 0xc1, 0xc1])], 'not MessagePack'],
    ['a number', frame(7), 'a message was not {id, method, params}'],
    [
      'text of another protocol',
      [Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
      'a frame of 542393671 bytes',
    ],
  ])('%s', async (_name, bytes, message) => {
    const answers = await converse(bytes);
    expect(answers).toEqual([
      {
        id: -1,
        error: expect.objectContaining({ code: 'badRequest', message: expect.stringContaining(message) }),
      },
    ]);
  });

  test.each<[string, unknown, string]>([
    ['an unknown request', { id: 2, method: 'runShell', params: {} }, 'there is no request "runShell"'],
    [
      'a name of Object.prototype',
      { id: 2, method: 'constructor', params: {} },
      'there is no request "constructor"',
    ],
    ['wrong parameters', { id: 2, method: 'mapInfo', params: { map: 'x' } }, 'mapInfo: '],
    ['no parameters', { id: 2, method: 'mapInfo', params: null }, 'mapInfo: '],
    ['a handle of nobody', { id: 2, method: 'mapInfo', params: { map: 99 } }, 'this session has no map 99'],
  ])('%s', async (_name, request, message) => {
    const answers = await converse([...hello, ...frame(request)], 2);
    expect(answers).toContainEqual({
      id: 2,
      error: expect.objectContaining({ code: 'badRequest', message: expect.stringContaining(message) }),
    });
  });

  test('nothing is done before hello', async () => {
    const answers = await converse(frame({ id: 1, method: 'listMaps', params: {} }), 1);
    expect(answers).toMatchObject([{ id: 1, error: { message: 'the first request of a session is hello' } }]);
  });

  test('another version of the protocol is refused with what to do', async () => {
    const answers = await converse(
      frame({ id: 1, method: 'hello', params: { protocol: 999, client: 'old' } }),
      1,
    );
    expect(answers).toMatchObject([
      {
        error: {
          message: expect.stringContaining('old speaks protocol 999'),
          hint: expect.stringContaining('npm run build'),
        },
      },
    ]);
  });

  test('random bytes, many times', async () => {
    let seed = 1;
    const random = () => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) & 0xff;
    await Promise.all(
      Array.from({ length: 100 }, () => {
        const bytes = Buffer.from(Array.from({ length: 64 }, random));
        bytes.writeUInt32LE(60, 0);
        return converse([bytes]);
      }),
    );
    const client = await KernelClient.connect(target.socketPath, 'test');
    expect(client.hello.protocol).toBe(PROTOCOL_VERSION);
    client.dispose();
  });
});

test('room for a result of gigabytes is refused, not taken', async () => {
  const params = { program: 1, dataOutSize: 0xffff_ffff, contextOutSize: 0 };
  const answers = await converse([...hello, ...frame({ id: 2, method: 'testRun', params })], 2);
  expect(answers).toContainEqual({
    id: 2,
    error: expect.objectContaining({ code: 'badRequest', message: expect.stringContaining('dataOutSize') }),
  });
});

test('a reader that stops makes the host keep a bounded number of answers, and holds up nobody else', async () => {
  const own = await startLocal({ distDirectory: dist, elevate: 'never', log: () => {} });
  if ('code' in own) throw new Error(own.message);
  const pid = /pid (\d+)/.exec((await KernelClient.connect(own.socketPath, 'test')).hello.host)![1];
  const peak = () => Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024;
  const megabytes = 2;
  const bytes = megabytes * 2 ** 20;
  /** Makes an array, then asks for all of it so many times. */
  const session = async (times: number) => {
    const socket = net.connect(own.socketPath);
    const create = { id: 2, method: 'sharedArrayCreate', params: { name: 'prtslow', bytes } };
    for (const part of [...hello, ...frame(create)]) socket.write(part);
    const decoder = new FrameDecoder(MAX_RESPONSE_BYTES);
    const map = await new Promise<number>((resolve) => {
      socket.on('data', function listen(chunk) {
        for (const message of decoder.push(chunk) as Iterable<{ id: number; result?: { map: number } }>) {
          if (message.id !== 2) continue;
          socket.off('data', listen);
          resolve(message.result!.map);
        }
      });
    });
    const read = { method: 'sharedRead', params: { map, offset: 0, length: bytes } };
    for (let id = 3; id < times + 3; id++) for (const part of frame({ id, ...read })) socket.write(part);
    return socket;
  };
  const before = peak();
  const times = 300;
  const slow = await session(times);
  slow.pause();
  // Another session reads as much: it would come to its end after the first one's answers were made.
  let received = 0;
  const other = await session(times);
  await new Promise<void>((resolve) =>
    other.on('data', (chunk) => (received += chunk.length) > times * bytes && resolve()),
  );
  expect(peak() - before).toBeLessThan((times * megabytes) / 2);
  other.destroy();
  slow.destroy();
  await own.dispose();
});

test('a thousand sessions at once are served', async () => {
  const clients: KernelClient[] = [];
  // A Unix socket refuses to queue more than net.core.somaxconn, or Node's backlog of 511, that come in one moment.
  while (clients.length < 1000) {
    const connecting = Array.from({ length: 100 }, () => KernelClient.connect(target.socketPath, 'test'));
    clients.push(...(await Promise.all(connecting)));
  }
  const answers = await Promise.all(clients.map((client) => client.request('listNetworkNamespaces', {})));
  expect(answers).toHaveLength(1000);
  for (const client of clients) client.dispose();
});

test('a host that is killed ends what waits for it, at once and in words', async () => {
  const started = await startLocal({ distDirectory: dist, elevate: 'never', log: () => {} });
  if ('code' in started) throw new Error(started.message);
  const client = await KernelClient.connect(started.socketPath, 'test');
  const request = client.request('vmlinuxHeader', {});
  process.kill(Number(/pid (\d+)/.exec(client.hello.host)![1]), 'SIGKILL');
  await expect(request).rejects.toMatchObject({
    code: 'hostGone',
    message: expect.stringContaining('"vmlinuxHeader" got no answer'),
    hint: expect.stringContaining('started anew'),
  });
  expect(await started.gone).toContain('SIGKILL');
  await expect(client.request('listMaps', {})).rejects.toMatchObject({ code: 'hostGone' });
});

test('handles mean nothing in another session', async () => {
  const [one, two] = await Promise.all([
    KernelClient.connect(target.socketPath, 'one'),
    KernelClient.connect(target.socketPath, 'two'),
  ]);
  const { map } = await one.request('sharedArrayCreate', { name: 'prtmap', bytes: 8 });
  expect(await one.request('mapInfo', { map })).toMatchObject({ name: 'prtmap', valueSize: 8 });
  await expect(two.request('mapInfo', { map })).rejects.toMatchObject({ code: 'badRequest' });
  one.dispose();
  two.dispose();
});

test('cancelling before and after a request does no harm', async () => {
  const client = await KernelClient.connect(target.socketPath, 'test');
  await client.request('cancel', { request: 12345 });
  await expect(client.request('features', {}, { signal: AbortSignal.abort() })).rejects.toMatchObject({
    code: 'cancelled',
  });
  expect((await client.request('features', {})).programTypes['xdp']).toBe(true);
  client.dispose();
});

test('a process of another user is refused even where the directory lets it in', async () => {
  const directory = scratchDirectory();
  chmodSync(directory, 0o755);
  const socket = path.join(directory, 'open.sock');
  const host = spawn(process.execPath, [hostBundle, '--listen', socket, '--uid', String(process.getuid?.())]);
  await new Promise((resolve) => host.stdout.once('data', resolve));
  const nobody = 65534;
  const script = `const s = require('net').connect(${JSON.stringify(socket)});
    s.on('connect', () => s.write(Buffer.from(${JSON.stringify(Buffer.concat(hello).toString('base64'))}, 'base64')));
    s.on('error', () => {});
    s.once('data', () => { process.stdout.write('answered'); s.destroy(); });
    s.once('close', () => process.stdout.write(' closed'));`;
  const ask = async (uid: number) => {
    const child = spawn(process.execPath, ['-e', script], { uid, cwd: '/' });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => (text += String(chunk)));
    await new Promise((resolve) => child.on('close', resolve));
    return text;
  };
  expect(await ask(nobody)).toBe(' closed');
  expect(await ask(process.getuid?.() ?? 0)).toBe('answered closed');
  host.stdin.end();
  await new Promise((resolve) => host.on('exit', resolve));
});
