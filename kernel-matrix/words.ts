/** What the table says beside its verdicts, for the terminal and the editor alike. */
import type { Missing } from '../toolchain/requirements/availability';
import type { Cell, ObjectRow } from './matrix';

/**
 * `helper bpf_loop: not in 5.10.0-32-amd64; first seen in 6.1.0-50-amd64 among the kernels asked; needed by a, b`.
 * Never more than the BTFs of the kernels asked tell.
 */
export function missingText(missing: Missing, row: ObjectRow): string {
  const asked = row.cells.filter(({ problem }) => !problem).map(({ kernel }) => kernel.release);
  const { word, name, missingIn, firstSeenIn, programs } = missing;
  const since =
    firstSeenIn !== undefined && isSince(missing, asked)
      ? `; first seen in ${firstSeenIn} among the kernels asked`
      : firstSeenIn !== undefined
        ? `; ${asked.filter((release) => !missingIn.includes(release)).join(', ')} has it`
        : asked.length > 1
          ? '; no kernel asked has it'
          : '';
  const parts = [`${word} ${name}: not in ${missingIn.join(', ')}${since}; needed by ${programs.join(', ')}`];
  if (isGuarded(missing, row)) parts.push(acceptedBecause(missing));
  return parts.join(' — ');
}

/** Why a program can be accepted by a kernel that lacks what it needs. */
function acceptedBecause({ requirement }: Missing): string {
  return requirement.kind === 'attachType'
    ? 'it loads all the same, and cannot be attached there as its section says'
    : 'accepted all the same: that code is not reached there, or a module has it';
}

/** Whether all that lack it are older than all that have it; otherwise it is no question of "since". */
function isSince({ missingIn, firstSeenIn }: Missing, asked: string[]): boolean {
  const first = asked.indexOf(firstSeenIn ?? '');
  return missingIn.every((release) => asked.indexOf(release) < first);
}

/** Whether every program that needs it was accepted on every kernel that lacks it. */
export function isGuarded({ missingIn, programs }: Missing, { cells }: ObjectRow): boolean {
  return cells
    .filter(({ kernel }) => missingIn.includes(kernel.release))
    .every((cell) => programs.every((name) => verdictOf(cell, name)?.verdict === 'accepted'));
}

export function verdictOf(cell: Cell, program: string): Cell['programs'][number] | undefined {
  return cell.programs.find(({ name }) => name === program);
}

/** Every program that any kernel spoke of, in the order of the file. */
export function programsOf({ cells }: ObjectRow): { name: string; section: string }[] {
  const seen = new Map<string, { name: string; section: string }>();
  for (const { programs } of cells) {
    for (const { name, section } of programs) if (!seen.has(name)) seen.set(name, { name, section });
  }
  return [...seen.values()];
}

/** What one kernel lacks for one program, in a word each: `bpf_loop`, `task_struct.__state`. */
export function missingFor(row: ObjectRow, program: string, release: string): string[] {
  return row.missing
    .filter((one) => one.missingIn.includes(release) && one.programs.includes(program))
    .map(({ name }) => name.replace(/^(?:struct|union|enum) /, '').replace(/ \(map .*\)$/, ''));
}
