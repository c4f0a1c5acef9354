/**
 * What a user sees of a session, as text to be compared with a committed one: stops by the markers of their lines,
 * frames, chosen values. Addresses, times and step numbers are not in it, so that it says the same on every kernel.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'vitest';
import { markerOf } from './steps';
import type { Steps, Stopped } from './steps';

const DIRECTORY = path.resolve(import.meta.dirname, 'transcripts');

/** With what is said of where it leads, which is the kernel's choice. */
const ADDRESS = /0x[0-9a-f]{9,}.*/;

export class Transcript {
  private readonly lines: string[] = [];

  /** @param shown expressions whose values are written at each stop, where they have one */
  constructor(
    private readonly steps: Steps,
    private readonly shown: readonly string[],
  ) {}

  /** A move and where it led. */
  async move(command: string, args: object = {}): Promise<Stopped> {
    const { kind } = args as { kind?: string };
    const stop = await this.steps.move(command, args);
    this.lines.push('', `> ${command}${kind === undefined ? '' : ` ${kind}`}`);
    await this.see(stop);
    return stop;
  }

  /** The same until the run ends in that direction. */
  async toTheEnd(command: string): Promise<void> {
    for (let count = 0; count < 60; count++) {
      const { reason } = await this.move(command);
      if (reason === 'entry' || reason === 'pause') return;
    }
    throw new Error(`60 × ${command} came to no end`);
  }

  async see({ reason, description }: Partial<Stopped>): Promise<void> {
    const stack = await this.steps.stack();
    const frames = stack.map(({ name, line }) => `${name} ${markerOf(this.steps.name, line)}`);
    const told = description?.replaceAll(/\bline (\d+)/g, (_, line) =>
      markerOf(this.steps.name, Number(line)),
    );
    const news = description && !/^step \d/.test(description) ? `: ${told}` : '';
    this.lines.push(`${reason}${news}`, `  ${frames.join(' < ')}`);
    for (const expression of this.shown) {
      const value = await this.steps.evaluate(expression).catch(() => undefined);
      if (value !== undefined) this.lines.push(`  ${expression} = ${value.replace(ADDRESS, 'ADDRESS')}`);
    }
  }

  /**
   * Compares with the committed transcript of that name. Where it differs, what was seen lies beside it as `.actual`;
   * BPF_STUDIO_TRANSCRIPTS=write takes it over, to be read before it is committed.
   */
  expectToBe(name: string): void {
    const file = path.join(DIRECTORY, `${name}.txt`);
    const actual = `${this.lines.join('\n').trim()}\n`;
    if (process.env['BPF_STUDIO_TRANSCRIPTS'] === 'write') writeFileSync(file, actual);
    const committed = readFileSync(file, 'utf8');
    if (actual !== committed) writeFileSync(`${file}.actual`, actual);
    expect(actual, `see ${file}.actual`).toBe(committed);
  }
}
