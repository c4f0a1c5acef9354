/** What the table says beside its verdicts, for the terminal and the editor alike. */
import type { Missing } from '../toolchain/requirements/availability';
import type { Cell, ObjectRow } from './matrix';

/**
 * `helper bpf_loop: not in 5.10.0-32-amd64; first seen in 6.1.0-50-amd64 among the kernels asked; used by a, b`.
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
  const parts = [`${word} ${name}: not in ${missingIn.join(', ')}${since}; used by ${programs.join(', ')}`];
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

/** Without these a program cannot be loaded, whatever its code asks for before it goes on. */
const decisive = ['mapType', 'programType', 'structOps', 'attachTarget'];

/**
 * What one kernel lacks that can be why it did not take a program, in a word each: `bpf_loop`,
 * `task_struct.__state`. What another program uses that this kernel took all the same is no reason; and when the
 * object failed as a whole, only its maps are.
 */
export function missingFor(row: ObjectRow, program: string, release: string): string[] {
  const cell = row.cells.find(({ kernel, problem }) => kernel.release === release && !problem);
  if (!cell) return [];
  return row.missing
    .filter(({ requirement, missingIn, programs }) => {
      if (!missingIn.includes(release) || !programs.includes(program)) return false;
      if (cell.error) return requirement.kind === 'mapType';
      return !programs.some((name) => verdictOf(cell, name)?.verdict === 'accepted');
    })
    .sort((a, b) => rank(a) - rank(b))
    .map(({ name }) => name.replace(/^(?:struct|union|enum) /, '').replace(/ \(map .*\)$/, ''));
}

function rank({ requirement }: Missing): number {
  return decisive.includes(requirement.kind) ? 0 : 1;
}
