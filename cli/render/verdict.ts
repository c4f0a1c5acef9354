import { harmless } from './columns';
import { paint } from './color';

/** What a line about a program's verdict is made of; a program of `verify --json` has this shape. */
export interface VerdictLine {
  name: string;
  section: string;
  /** In `SEC("?…")`. */
  optional?: boolean | undefined;
  verdict: 'accepted' | 'rejected' | 'error';
  stats?: { insns: number; states: number; stackDepth: number | number[]; microseconds: number } | undefined;
}

const words = {
  accepted: { mark: '✓', style: 'good' },
  rejected: { mark: '✗', style: 'error' },
  error: { mark: '!', style: 'warning' },
} as const;

/** `✓ count (xdp): accepted, 24 insns, 2 states, 8 bytes of stack, 45 µs`. */
export function renderVerdict(
  { name, section, optional, verdict, stats }: VerdictLine,
  color: boolean,
): string {
  const { mark, style } = words[verdict];
  const parts = [verdict === 'error' ? 'not verified' : verdict];
  if (stats) {
    const depth = typeof stats.stackDepth === 'number' ? stats.stackDepth : Math.max(0, ...stats.stackDepth);
    parts.push(count(stats.insns, 'insn'), count(stats.states, 'state'), `${count(depth, 'byte')} of stack`);
    if (stats.microseconds) parts.push(`${stats.microseconds} µs`);
  }
  if (optional) parts.push('loaded only on request');
  return `${paint(color)(style, mark)} ${harmless(name)} (${optional ? '?' : ''}${harmless(section)}): ${parts.join(', ')}`;
}

function count(number: number, noun: string): string {
  return `${number.toLocaleString('en-US')} ${noun}${number === 1 ? '' : 's'}`;
}
