import { now, type Phase, type Tell } from './messages';

const KEPT_LINES = 200;
const SHOWN_LINES = 6;

/** What `vm-init` says when it gets so far, and the phase that begins then. */
const phases: [RegExp, Phase][] = [
  [/^bpf-studio: loading modules/, 'init'],
  [/^bpf-studio: mounting/, 'mounting'],
  [/^bpf-studio: starting the kernel host/, 'host'],
];

const PANIC = /Kernel panic/;
/** How x86's arch/x86/kernel/{traps,dumpstack}.c and mm/fault.c begin to tell of a fault, and where it was. */
const FAULT = /\b(BUG: |kernel BUG at |Oops: |general protection fault|divide error|PANIC: )/;
const PLACE = /\bRIP: /;

/** Keeps the end of what a guest's console and QEMU itself wrote, to explain how the VM ended. */
export class Console {
  private readonly lines: string[] = [];
  private qemuLines: string[] = [];
  private unfinished = '';
  private reached: Phase | undefined;

  constructor(private readonly tell: Tell) {}

  /** Nothing was ever printed: not a single instruction may have run. */
  get isSilent(): boolean {
    return this.lines.length === 0 && this.unfinished === '';
  }

  /** The kernel panicked before its first process ran, so before anything of ours did. */
  get panickedAtBoot(): boolean {
    return this.reached === undefined && this.lines.some((line) => PANIC.test(line));
  }

  guestWrote(chunk: Buffer): void {
    const parts = (this.unfinished + chunk.toString('utf8').replaceAll('\r', '')).split('\n');
    this.unfinished = parts.pop() ?? '';
    for (const line of parts.filter((text) => text.trim() !== '')) this.addLine(line);
  }

  qemuWrote(chunk: Buffer): void {
    for (const line of chunk.toString('utf8').split('\n').filter(Boolean)) {
      this.qemuLines = [...this.qemuLines, line].slice(-SHOWN_LINES);
      this.tell({ event: 'log', line: `qemu: ${line}` });
    }
  }

  private addLine(line: string): void {
    this.lines.push(line);
    if (this.lines.length > KEPT_LINES) this.lines.shift();
    this.tell({ event: 'log', line: `vm: ${line}` });
    const phase = phases.find(([pattern]) => pattern.test(line));
    if (!phase) return;
    this.reached = phase[1];
    this.tell({ event: 'phase', name: phase[1], ms: now() });
  }

  /** Why the VM ended, without a full stop. */
  reasonOfEnd(status: number | null, signal: NodeJS.Signals | null): string {
    if (signal !== null) return `QEMU was killed by ${signal}`;
    if (status !== 0)
      return `QEMU ended with status ${status}: ${this.qemuLines.join(' ') || 'it did not say why'}`;
    const bare = (line: string | undefined): string | undefined =>
      line?.replace(/^\[[\s\d.]+\]\s*|^bpf-studio: /, '');
    const find = (pattern: RegExp): string | undefined =>
      bare(this.lines.findLast((line) => pattern.test(line)));
    const panic = find(PANIC);
    // The first fault and its place say why; later ones often follow from it.
    const why = [FAULT, PLACE].map((pattern) => bare(this.lines.find((line) => pattern.test(line))));
    if (panic) return `the VM's kernel panicked (${[panic, ...why].filter(Boolean).join('; ')})`;
    const step = find(/boot step failed|no \/boot\.plan/);
    if (step) return `its first process gave up (${step})`;
    const host = find(/the kernel host ended|cannot run/);
    if (host) return `the kernel host in the VM ended (${host})`;
    return 'the VM switched itself off';
  }

  /** The last lines of the console, to be appended to a message; empty when there are none. */
  lastLines(): string {
    const last = [...this.lines, this.unfinished].filter(Boolean).slice(-SHOWN_LINES);
    return last.length === 0
      ? ' Its console stayed empty.'
      : `\nIts console ended with:\n  ${last.join('\n  ')}`;
  }
}
