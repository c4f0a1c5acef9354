/** Keeps a flood of records from drowning the console: so many a second are shown, the others counted. */

const PER_SECOND = 500;

export class OutputLimit {
  private pending: string[] = [];
  private shown = 0;
  private skipped = 0;
  private timer: NodeJS.Timeout | undefined;
  private windowStart = 0;

  constructor(private readonly write: (lines: string[]) => void) {}

  /** `describe` is called only for what is shown, so that what is not costs nothing. */
  add(describe: () => string[]): void {
    const now = performance.now();
    if (now - this.windowStart > 1000) {
      this.windowStart = now;
      this.shown = 0;
    }
    if (this.shown < PER_SECOND) {
      this.shown++;
      this.pending.push(...describe());
    } else this.skipped++;
    this.timer ??= setTimeout(() => this.flush(), 50);
  }

  private flush(): void {
    this.timer = undefined;
    const lines = this.pending;
    this.pending = [];
    // While the flood lasts it is only counted; the count is told when it ebbs.
    if (this.skipped > 0 && performance.now() - this.windowStart < 1000)
      this.timer = setTimeout(() => this.flush(), 1000);
    else if (this.skipped > 0) lines.push(this.describeSkipped());
    if (lines.length > 0) this.write(lines);
  }

  /** Writes what is left. */
  close(): void {
    clearTimeout(this.timer);
    const lines = this.pending;
    this.pending = [];
    if (this.skipped > 0) lines.push(this.describeSkipped());
    if (lines.length > 0) this.write(lines);
  }

  private describeSkipped(): string {
    const count = this.skipped.toLocaleString('en');
    this.skipped = 0;
    return `… ${count} more were read and not shown (${PER_SECOND} a second are)`;
  }
}
