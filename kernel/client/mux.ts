/**
 * Several connections over one byte stream: the virtio-serial port between a VM's kernel host and the relay outside.
 *
 * Each packet starts with two little-endian u32: the channel's number, and a word whose two top bits say what it is
 * and whose lower 30 hold a byte count.
 *
 * | kind   | bits | count |
 * | data   | 00   | bytes that follow |
 * | open   | 01   | 0 |
 * | close  | 10   | 0; no more data from the sender, and none wanted |
 * | credit | 11   | bytes that the receiver consumed and the sender may send again |
 *
 * A sender has at most {@link WINDOW} bytes of a channel on their way, so a reader that stalls holds up its own
 * channel and no other.
 */
import { Duplex } from 'node:stream';
import type { Readable, Writable } from 'node:stream';

const WINDOW = 4 * 1024 * 1024;
/** Largest data packet: small enough for channels to take turns on a slow port. */
const PACKET = 256 * 1024;
const DATA = 0;
const OPEN = 1;
const CLOSE = 2;
const CREDIT = 3;

function header(channel: number, kind: number, count: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(channel, 0);
  bytes.writeUInt32LE(((kind << 30) | count) >>> 0, 4);
  return bytes;
}

class Channel extends Duplex {
  private window = WINDOW;
  private waiting: { chunk: Buffer; callback: () => void } | undefined;
  private consumed = 0;
  /** The other side closed: nothing that is written arrives any more. */
  private deaf = false;

  constructor(
    private readonly mux: ChannelMux,
    readonly number: number,
  ) {
    super({ allowHalfOpen: false, readableHighWaterMark: PACKET });
  }

  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    this.waiting = { chunk, callback };
    this.flush();
  }

  /** Sends what the window allows; the rest of a chunk waits for credit. */
  private flush(): void {
    if (this.deaf) {
      this.waiting?.callback();
      this.waiting = undefined;
    }
    while (this.waiting && this.window > 0) {
      const { chunk, callback } = this.waiting;
      const part = chunk.subarray(0, Math.min(this.window, PACKET));
      this.window -= part.length;
      const done = part.length === chunk.length;
      this.waiting = done ? undefined : { chunk: chunk.subarray(part.length), callback };
      this.mux.send(header(this.number, DATA, part.length), part, done ? callback : undefined);
    }
  }

  override _read(): void {
    if (this.consumed === 0) return;
    this.mux.send(header(this.number, CREDIT, this.consumed));
    this.consumed = 0;
  }

  override _final(callback: () => void): void {
    this.mux.closed(this);
    callback();
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.mux.closed(this);
    callback(error);
  }

  /** Data from the other side. Returns whether it kept to the window. */
  receive(chunk: Buffer): void {
    this.consumed += chunk.length;
    // push() answers whether more is wanted; if so, _read() is not called again and credit is due now.
    if (this.push(chunk)) this._read();
  }

  credit(count: number): void {
    this.window += count;
    this.flush();
  }

  remoteClosed(): void {
    this.deaf = true;
    this.flush();
    // What arrived before the close can still be read; the end of it ends and destroys the channel.
    this.push(null);
  }
}

/** One end of the stream. The end that opens channels uses {@link open}; the other gets them by `onChannel`. */
export class ChannelMux {
  private readonly channels = new Map<number, Channel>();
  private nextNumber = 1;
  private buffered: Buffer = Buffer.alloc(0);

  constructor(
    input: Readable,
    private readonly output: Writable,
    private readonly onChannel: (channel: Duplex) => void,
    /** The stream ended or broke, with the reason; every channel is closed. */
    private readonly onEnd: (reason: string) => void,
  ) {
    let ended = false;
    const end = (reason: string) => {
      if (ended) return;
      ended = true;
      for (const channel of [...this.channels.values()]) channel.remoteClosed();
      this.onEnd(reason);
    };
    input.on('data', (chunk: Buffer) => {
      try {
        this.receive(chunk);
      } catch (error) {
        end(error instanceof Error ? error.message : String(error));
      }
    });
    input.on('end', () => end('the stream ended'));
    input.on('error', (error) => end(error.message));
    output.on('error', (error) => end(error.message));
  }

  /** A new connection to the other side. */
  open(): Duplex {
    const channel = this.add(this.nextNumber++);
    this.send(header(channel.number, OPEN, 0));
    return channel;
  }

  private add(number: number): Channel {
    const channel = new Channel(this, number);
    this.channels.set(number, channel);
    return channel;
  }

  /** @internal */
  send(head: Buffer, body?: Buffer, callback?: () => void): void {
    if (!this.output.writable) {
      callback?.();
      return;
    }
    this.output.cork();
    if (body) {
      this.output.write(head);
      this.output.write(body, () => callback?.());
    } else {
      this.output.write(head, () => callback?.());
    }
    this.output.uncork();
  }

  /** @internal */
  closed(channel: Channel): void {
    if (this.channels.get(channel.number) !== channel) return;
    this.channels.delete(channel.number);
    this.send(header(channel.number, CLOSE, 0));
  }

  private receive(chunk: Buffer): void {
    this.buffered = this.buffered.length > 0 ? Buffer.concat([this.buffered, chunk]) : chunk;
    for (;;) {
      if (this.buffered.length < 8) return;
      const number = this.buffered.readUInt32LE(0);
      const word = this.buffered.readUInt32LE(4);
      const kind = word >>> 30;
      const count = word & 0x3fff_ffff;
      const size = kind === DATA ? count : 0;
      if (size > PACKET) throw new Error(`a packet of ${size} bytes is larger than the ${PACKET} agreed`);
      if (this.buffered.length < 8 + size) return;
      const body = this.buffered.subarray(8, 8 + size);
      this.buffered = this.buffered.subarray(8 + size);
      this.dispatch(number, kind, count, body);
    }
  }

  private dispatch(number: number, kind: number, count: number, body: Buffer): void {
    const channel = this.channels.get(number);
    if (kind === OPEN) {
      if (channel) throw new Error(`channel ${number} was opened twice`);
      this.onChannel(this.add(number));
    } else if (!channel) {
      // Data and credit may be on their way when this side closes; they are of no interest any more.
      return;
    } else if (kind === DATA) {
      channel.receive(body);
    } else if (kind === CREDIT) {
      channel.credit(count);
    } else {
      this.channels.delete(number);
      channel.remoteClosed();
    }
  }
}
