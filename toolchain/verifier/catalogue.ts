/**
 * The catalogue of explanations. Ids are stable: they are the codes of diagnostics, and what documentation is
 * filed under. Patterns are on the kernel's own words, of Linux 5.10 to 7.3 and libbpf, never on names of the
 * program's variables or functions.
 */
import { callEntries } from './catalogue/calls';
import { flowEntries } from './catalogue/flow';
import { kernelEntries } from './catalogue/kernel';
import type { Entry, Rule } from './catalogue/kinds';
import { loadingEntries } from './catalogue/loading';
import { memoryEntries } from './catalogue/memory';
import { objectEntries } from './catalogue/objects';
import { pointerEntries } from './catalogue/pointers';

/** The honest fallback: the kernel's own words, and where it was. */
export const otherEntry: Entry = {
  id: 'bpf/other',
  title: 'Rejected by the verifier',
  wants: 'BPF Studio has no explanation of its own for this message.',
  help: 'Read the verifier log from the end backward: the last instruction printed is the one it refused.',
  rules: [],
};

/** The program was accepted by nobody and refused by nobody: the log says nothing that can be read. */
export const unreadableEntry: Entry = {
  id: 'bpf/no-reason',
  title: 'Rejected without a reason',
  wants: 'The kernel refused the program, and neither its log nor libbpf says why.',
  help: 'Load it again with the whole log ("BPF: Show Verifier Log"); on an empty log look into dmesg.',
  scope: 'program',
  rules: [],
};

/** In the order in which rules are tried: what is said most precisely stands first. */
export const catalogue: readonly Entry[] = [
  ...kernelEntries,
  ...memoryEntries,
  ...pointerEntries,
  ...flowEntries,
  ...callEntries,
  ...objectEntries,
  ...loadingEntries,
];

export function entryById(id: string): Entry | undefined {
  return [...catalogue, otherEntry, unreadableEntry].find((entry) => entry.id === id);
}

export interface Classified {
  entry: Entry;
  rule?: Rule;
  /** The line that decided, and the rule's match on it. */
  line: string;
  match?: RegExpExecArray;
}

/**
 * The class of what the kernel or libbpf said. The first line that any rule matches decides: the verifier says
 * first what is wrong and then adds details.
 */
export function classifyMessage(
  lines: readonly string[],
  saidBy: 'verifier' | 'libbpf' = 'verifier',
): Classified | undefined {
  const entries = saidBy === 'verifier' ? catalogue : [...loadingEntries, ...catalogue];
  for (const whole of lines) {
    // Patterns need no more of a line, and a line of megabytes is no message.
    const line = whole.slice(0, 1000);
    for (const entry of entries) {
      for (const rule of entry.rules) {
        const match = rule.pattern.exec(line);
        if (match) return { entry, rule, line, match };
      }
    }
  }
  const line = lines.find((text) => text.trim() !== '');
  return line === undefined ? undefined : { entry: otherEntry, line };
}
