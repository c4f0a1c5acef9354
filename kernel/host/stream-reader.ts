/** A reading thread of the addon: passes on what it reads, batch by batch, and says when it has come to the end. */
import type { Addon, AddonReader, RecordBatch } from '../addon/addon';

export class StreamReader {
  private readonly reader: AddonReader;
  private readonly flushes = new Map<number, () => void>();

  /**
   * @param open gives the addon its callback
   * @param pass resolves when there is room for more, so that a slow client costs no memory here
   */
  constructor(
    private readonly addon: Addon,
    open: (callback: (batch: RecordBatch) => void) => AddonReader,
    pass: (batch: RecordBatch) => Promise<void>,
  ) {
    this.reader = open((batch) => {
      const isEmpty = batch.lengths.length === 0 && batch.lost === 0;
      void (isEmpty ? Promise.resolve() : pass(batch)).finally(() => addon.readerAcknowledge(this.reader));
      this.finish((flush) => flush <= batch.flushed);
    });
  }

  /** Resolves when what was in the buffer has been passed on, or the reader was closed. */
  flush(): Promise<void> {
    return new Promise((resolve) => this.flushes.set(this.addon.readerFlush(this.reader), resolve));
  }

  async close(): Promise<void> {
    await this.addon.readerClose(null, this.reader);
    this.finish(() => true);
  }

  private finish(isOver: (flush: number) => boolean): void {
    for (const [flush, resolve] of this.flushes) {
      if (!isOver(flush)) continue;
      this.flushes.delete(flush);
      resolve();
    }
  }
}
