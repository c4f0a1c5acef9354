/**
 * Frames on a byte stream: a little-endian u32 byte count and one MessagePack value. Both ends of every connection
 * use this file.
 */
import { Decoder, Encoder } from '@msgpack/msgpack';

/** Largest frame a host accepts: an object file of 64 MiB and the request around it. */
export const MAX_REQUEST_BYTES = 96 * 1024 * 1024;
/** Largest frame a client accepts: a verifier log of a million lines and more. */
export const MAX_RESPONSE_BYTES = 1024 * 1024 * 1024;

const options = { useBigInt64: true, ignoreUndefined: true, maxDepth: 64 };
const encoder = new Encoder(options);
/** Messages with more bytes than this get an encoder whose buffer is large enough from the start. */
const LARGE_BYTES = 32 * 1024;

/** The bytes of one frame, to be written one after the other. Throws a RangeError when they are more than `maxBytes`. */
export function encodeFrame(value: unknown, maxBytes: number): Uint8Array[] {
  const bulk = bulkBytes(value, 0);
  // A buffer that grows by doubling would copy a page of map entries several times over.
  const body =
    bulk > LARGE_BYTES
      ? new Encoder({ ...options, initialBufferSize: bulk + LARGE_BYTES }).encodeSharedRef(value)
      : encoder.encode(value);
  if (body.byteLength > maxBytes) {
    throw new RangeError(`the message takes ${body.byteLength} bytes, more than the ${maxBytes} of a frame`);
  }
  const header = Buffer.alloc(4);
  header.writeUInt32LE(body.byteLength);
  return [header, body];
}

/** Bytes of the byte arrays and long strings near the top of a message. */
function bulkBytes(value: unknown, depth: number): number {
  if (value instanceof Uint8Array) return value.byteLength;
  if (typeof value === 'string') return value.length;
  if (typeof value !== 'object' || value === null || Array.isArray(value) || depth > 3) return 0;
  return Object.values(value).reduce<number>((sum, field) => sum + bulkBytes(field, depth + 1), 0);
}

/** Why a peer's bytes could not be understood; the connection is of no further use. */
export class FramingError extends Error {}

/** Cuts a stream into frames. A frame's bytes are copied once, whatever the size of the chunks they arrive in. */
export class FrameDecoder {
  private readonly decoder = new Decoder({ useBigInt64: true });
  private readonly header = Buffer.alloc(4);
  private headerFilled = 0;
  private body: Uint8Array | undefined;
  private bodyFilled = 0;

  constructor(private readonly maxBytes: number) {}

  /** The values completed by `chunk`. Throws a {@link FramingError} on a frame too large or not MessagePack. */
  *push(chunk: Uint8Array): Generator<unknown> {
    let at = 0;
    while (at < chunk.length) {
      if (!this.body) {
        const take = Math.min(4 - this.headerFilled, chunk.length - at);
        this.header.set(chunk.subarray(at, at + take), this.headerFilled);
        this.headerFilled += take;
        at += take;
        if (this.headerFilled < 4) return;
        const length = this.header.readUInt32LE();
        if (length === 0 || length > this.maxBytes) {
          throw new FramingError(
            `a frame of ${length} bytes was announced; 1 to ${this.maxBytes} are allowed`,
          );
        }
        // A large frame's memory is asked for as its bytes arrive, so that announcing one costs a peer its bytes.
        this.body = new Uint8Array(Math.min(length, 1 << 20));
        this.bodyFilled = 0;
      }
      const length = this.header.readUInt32LE();
      const take = Math.min(length - this.bodyFilled, chunk.length - at);
      this.reserve(this.bodyFilled + take, length);
      this.body.set(chunk.subarray(at, at + take), this.bodyFilled);
      this.bodyFilled += take;
      at += take;
      if (this.bodyFilled === length) {
        const body = this.body.subarray(0, length);
        this.body = undefined;
        this.headerFilled = 0;
        yield this.decode(body);
      }
    }
  }

  private reserve(needed: number, length: number): void {
    if (!this.body || this.body.length >= needed) return;
    const larger = new Uint8Array(Math.min(length, Math.max(needed, this.body.length * 4)));
    larger.set(this.body.subarray(0, this.bodyFilled));
    this.body = larger;
  }

  private decode(body: Uint8Array): unknown {
    try {
      return this.decoder.decode(body);
    } catch (error) {
      throw new FramingError(`a frame is not MessagePack: ${error instanceof Error ? error.message : error}`);
    }
  }
}
