/** A byte stream as a session's connection: frames in, frames out, the session's end with the stream's. */
import type { Duplex } from 'node:stream';
import { FrameDecoder, MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES, encodeFrame } from '../client/framing';
import { failure } from './errors';
import { handlers } from './handlers';
import type { Host } from './session';
import { Session } from './session';

/** Serves one session on a stream; resolves when the stream is closed and everything of the session released. */
export function serve(host: Host, stream: Duplex): Promise<void> {
  /** Resolves when the peer has taken what was written, for all who wait for that. */
  let drained: Promise<void> | undefined;
  const drain = () =>
    new Promise<void>((resolve) => {
      const done = () => {
        stream.off('drain', done);
        stream.off('close', done);
        drained = undefined;
        resolve();
      };
      stream.on('drain', done);
      stream.on('close', done);
    });
  const send = (message: unknown): Promise<void> => {
    if (!stream.writable) return Promise.resolve();
    let flowing = true;
    stream.cork();
    for (const part of encodeFrame(message, MAX_RESPONSE_BYTES)) flowing = stream.write(part);
    stream.uncork();
    return flowing ? Promise.resolve() : (drained ??= drain());
  };
  const session = new Session(host, { send, close: () => stream.end() }, handlers);
  const decoder = new FrameDecoder(MAX_REQUEST_BYTES);
  let broken = false;
  stream.on('data', (chunk: Buffer) => {
    if (broken) return;
    try {
      for (const frame of decoder.push(chunk)) session.receive(frame);
    } catch (error) {
      broken = true;
      const message = `the connection is closed: ${error instanceof Error ? error.message : error}`;
      void send({ id: -1, error: failure('badRequest', 'connection', message).error }).then(() =>
        stream.end(),
      );
    }
  });
  return new Promise((resolve) => {
    let ended = false;
    const end = () => {
      if (ended) return;
      ended = true;
      stream.destroy();
      session.end().then(resolve, (error) => {
        console.error(`kernel host: a session did not end cleanly: ${error}`);
        resolve();
      });
    };
    stream.on('end', end);
    stream.on('close', end);
    // 'close' follows; without a listener an error would end the process.
    stream.on('error', () => {});
  });
}
