/** Values of registers along a path, in the words of the log. */
import type { FailingPath, Step } from './path';

export interface RegisterChange {
  /** `R1`, `fp-8`. */
  name: string;
  /** As the kernel prints it; absent where the log does not tell. */
  before?: string;
  after?: string;
}

/** Registers of a stretch that are listed; those it used last. */
const MAX_REGISTERS = 12;

/**
 * The registers that the steps from position `first` to `last` name, with what the log says of them before and after.
 * Only straight code is believed: what a call, a jump or another function changed is printed elsewhere or not at all.
 * Kernels before 5.17 print states only at branches: then there is nothing to tell.
 */
export function registersAround(path: FailingPath, first: number, last: number): RegisterChange[] {
  const names: string[] = [];
  for (let at = last; at >= first && names.length < MAX_REGISTERS && !isTurn(path, at, last); at--) {
    const { state, text } = path.steps[at] as Step;
    const used = [...text.matchAll(/\b[rw](\d+)\b/g)].map(([, number]) => `R${number}`);
    for (const name of [...used, ...valuesIn(state).keys()])
      if (name !== 'R10' && !names.includes(name)) names.push(name);
  }
  const before = lastWords(path, first - 1, first, names);
  const after = lastWords(path, last, first, names);
  return names
    .map((name): RegisterChange => {
      const [was, is] = [before.get(name), after.get(name)];
      return { name, ...(was !== undefined && { before: was }), ...(is !== undefined && { after: is }) };
    })
    .filter((change) => change.before !== undefined || change.after !== undefined)
    .sort((a, b) => order(a.name) - order(b.name));
}

/** Whether a step is of another function than `other`, or its printed state is not the one that the path goes on with. */
function isTurn(path: FailingPath, at: number, other: number): boolean {
  const [step, neighbour] = [path.steps[at], path.steps[other]];
  return !step || !neighbour || step.frame !== neighbour.frame || /^(if |may_goto|exit)/.test(step.text);
}

/** What was printed last of each register up to the step at position `from`, as far back as the code is straight. */
function lastWords(path: FailingPath, from: number, near: number, names: string[]): Map<string, string> {
  const known = new Map<string, string>();
  const wanted = new Set(names);
  for (let at = from; at >= 0 && wanted.size > 0 && !isTurn(path, at, near); at--) {
    const { state, text } = path.steps[at] as Step;
    for (const [name, value] of valuesIn(state)) if (wanted.delete(name)) known.set(name, value);
    // A call's own line says what it returns; all else that it changed is not printed.
    if (text.startsWith('call ')) break;
    const written = /^[rw](\d+) /.exec(text)?.[1];
    if (written) wanted.delete(`R${written}`);
  }
  return known;
}

/** `R1_w=map_ptr(map=m,ks=4) fp-8=????0000` → by name. A value in brackets may have spaces. */
function valuesIn(state: string): Map<string, string> {
  const values = new Map<string, string>();
  const pattern = /(?:^|\s)(R\d+|fp-?\d+)(?:_[a-zA-Z]+)?=((?:[^\s()]|\((?:[^()]|\([^()]*\))*\))*)/g;
  for (const [, name, value] of state.matchAll(pattern)) values.set(name as string, value as string);
  return values;
}

/** Registers by number, then stack slots from the frame pointer down. */
function order(name: string): number {
  const number = Number(/-?\d+/.exec(name)?.[0]);
  return name.startsWith('R') ? number : 100 - number;
}
