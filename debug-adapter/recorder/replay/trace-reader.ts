/** What a run recorded, read one record after the other. */
import { TRACE_HEADER } from '../instrument/emit';

export class TraceReader {
  /** Bytes from the trace's beginning. */
  at = TRACE_HEADER;
  private readonly end: number;
  private readonly view: DataView;

  /** @param bytes the trace map's value */
  constructor(bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.end = Math.min(TRACE_HEADER + Number(this.view.getBigUint64(0, true)), bytes.byteLength);
  }

  /** Number of the next record; 0 at the trace's end. */
  get upcoming(): number {
    return this.at + 8 <= this.end ? this.view.getUint32(this.at, true) : 0;
  }

  /** Bytes that have not been read. */
  get rest(): number {
    return this.end - this.at;
  }

  /** Goes on to the next 8 bytes; their halves are then at {@link low} and {@link high}. */
  skip(): void {
    this.at += 8;
  }
  get low(): number {
    return this.view.getInt32(this.at, true);
  }
  get high(): number {
    return this.view.getInt32(this.at + 4, true);
  }
}
