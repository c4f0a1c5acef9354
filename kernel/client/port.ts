import { close, open, read, write } from 'node:fs';
import net from 'node:net';
import { Duplex } from 'node:stream';

const READ_BYTES = 256 * 1024;
/** A port answers reads with "end" until the device has told the guest's driver that its outside is connected. */
const CONNECT_MS = 5_000;
const RETRY_MS = 2;

/**
 * A virtio-serial port (`/dev/virtio-ports/NAME`) as a byte stream that ends when the outside disconnects; or, for
 * `fd:NUMBER`, an inherited socket, as the VM's first process passes one for the port that the protocol runs over.
 * The port itself is a character device that Node's sockets do not accept, so it is read and written in libuv's thread
 * pool: one of its threads waits in read(2) as long as the stream lives.
 */
export function openPort(path: string): Promise<Duplex> {
  const inherited = /^fd:(\d+)$/.exec(path)?.[1];
  if (inherited !== undefined) return Promise.resolve(new net.Socket({ fd: Number(inherited) }));
  return new Promise((resolve, reject) => {
    open(path, 'r+', (error, fd) => (error ? reject(error) : resolve(portStream(fd))));
  });
}

function portStream(fd: number): Duplex {
  const opened = Date.now();
  let connected = false;
  let busy = false;
  const buffer = Buffer.allocUnsafe(READ_BYTES);

  const readSome = (): void => {
    busy = true;
    read(fd, buffer, 0, buffer.length, null, (error, count) => {
      busy = false;
      if (stream.destroyed) return;
      if (error?.code === 'EAGAIN' || error?.code === 'EINTR') return readSome();
      if (error) return void stream.destroy(error);
      if (count > 0) {
        connected = true;
        // The buffer is used again for the next read, so what is passed on has to be a copy.
        if (stream.push(Buffer.from(buffer.subarray(0, count)))) readSome();
      } else if (!connected && Date.now() - opened < CONNECT_MS) {
        setTimeout(readSome, RETRY_MS);
      } else stream.push(null);
    });
  };
  const writeAll = (rest: Buffer, done: (error?: Error | null) => void): void => {
    write(fd, rest, 0, rest.length, null, (error, count) => {
      if (error?.code === 'EAGAIN' || error?.code === 'EINTR') return writeAll(rest, done);
      if (error || count === rest.length) return done(error);
      writeAll(rest.subarray(count), done);
    });
  };

  const stream = new Duplex({
    allowHalfOpen: false,
    read() {
      if (!busy) readSome();
    },
    write: (chunk: Buffer, _encoding, done) => writeAll(chunk, done),
    writev: (chunks, done) => writeAll(Buffer.concat(chunks.map(({ chunk }) => chunk as Buffer)), done),
    destroy(error, done) {
      close(fd, (closeError) => done(error ?? closeError));
    },
  });
  return stream;
}
