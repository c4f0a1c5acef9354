/** The kernel's monotonic clock as time of day. It may be that of another machine, so that it is known by what it reads. */
export class WallClock {
  /** Milliseconds between 1970 and the kernel's start; the smallest that was seen, which waited least to be read. */
  private offset = Infinity;

  /** A time that was just taken. */
  see(nanoseconds: bigint): void {
    this.offset = Math.min(this.offset, Date.now() - Number(nanoseconds) / 1e6);
  }

  milliseconds(nanoseconds: bigint): number {
    if (this.offset === Infinity) this.see(nanoseconds);
    return this.offset + Number(nanoseconds) / 1e6;
  }
}
