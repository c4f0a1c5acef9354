/**
 * Preprocessor conditionals. Which branch is compiled is known to clang alone, so the syntax check reads a
 * conditional in the way that can only be right: every branch when each is whole in itself, otherwise one of them.
 */
import { Kind, type Tokens } from './tokens';

/** Which branch of a group that cannot be read whole is kept. */
export type Choice = 'first' | 'last' | 'none';

export interface Selection {
  /** Per token: 1 when it is read; directives are 0. */
  readonly active: Uint8Array;
  /** Source ranges that are not read, in order: `[start, end)`, the directives around them not included. */
  readonly skipped: [start: number, end: number][];
  /** Token ranges of groups that are not whole in every branch; a check inside or around them is uncertain. */
  readonly uncertain: [first: number, last: number][];
}

interface Branch {
  /** Index of the directive token that opens the branch. */
  directive: number;
  /** Token index after the branch's last token. */
  end: number;
  /** `#if 0`, `#ifdef __cplusplus`: never compiled. */
  dead: boolean;
}

/** Decides for every token whether it is read. Directives without a partner are left alone. */
export function selectBranches(text: string, tokens: Tokens, choice: Choice = 'first'): Selection {
  const active = new Uint8Array(tokens.count).fill(1);
  const skipped: [number, number][] = [];
  const uncertain: [number, number][] = [];
  const open: Branch[][] = [];
  for (let index = 0; index < tokens.count; index++) {
    if (tokens.kind[index] !== Kind.Directive) continue;
    active[index] = 0;
    const directive = parseDirective(text, tokens, index);
    if (directive.opens) {
      open.push([{ directive: index, end: tokens.count, dead: directive.dead }]);
    } else if (directive.name === 'endif') {
      const branches = open.pop();
      if (!branches) continue;
      branches.at(-1)!.end = index;
      close(branches, index);
    } else if (directive.name === 'else' || directive.name.startsWith('elif')) {
      const branches = open.at(-1);
      if (!branches) continue;
      branches.at(-1)!.end = index;
      branches.push({ directive: index, end: tokens.count, dead: false });
    }
  }
  return { active, skipped: skipped.sort((a, b) => a[0] - b[0]), uncertain };

  function close(branches: Branch[], endif: number): void {
    const alive = branches.filter((branch) => !branch.dead);
    for (const branch of branches) if (branch.dead) skip(branch);
    const before = lastActive(active, branches[0]!.directive);
    if (alive.every((branch) => isWhole(tokens, active, branch)) && fits(before)) {
      if (alive.length < 2 || alive.every((branch) => endsStatement(branch))) return;
    }
    uncertain.push([branches[0]!.directive, endif]);
    const kept = choice === 'first' ? alive[0] : choice === 'last' ? alive.at(-1) : undefined;
    for (const branch of alive) if (branch !== kept) skip(branch);
  }

  function skip(branch: Branch): void {
    if (branch.end <= branch.directive + 1) return;
    active.fill(0, branch.directive + 1, branch.end);
    skipped.push([tokens.end[branch.directive]!, tokens.start[branch.end] ?? text.length]);
  }

  function fits(before: number): boolean {
    if (before < 0) return true;
    const kind = tokens.kind[before];
    return (
      kind === Kind.Semicolon ||
      kind === Kind.OpenBrace ||
      kind === Kind.CloseBrace ||
      kind === Kind.Comma ||
      kind === Kind.Colon ||
      // A macro such as `SEC("…")` or `DEFINE_X(…)` that needs no semicolon.
      kind === Kind.CloseParen
    );
  }

  function endsStatement(branch: Branch): boolean {
    const last = lastActive(active, branch.end);
    if (last <= branch.directive) return true;
    const kind = tokens.kind[last];
    return kind === Kind.Semicolon || kind === Kind.CloseBrace || kind === Kind.Comma;
  }
}

interface Directive {
  name: string;
  opens: boolean;
  dead: boolean;
}

const deadCondition = /^(if\s+0\s*($|\/)|ifdef\s+__cplusplus\b|if\s+defined\s*\(?\s*__cplusplus)/;

function parseDirective(text: string, tokens: Tokens, index: number): Directive {
  const body = text
    .slice(tokens.start[index]! + 1, Math.min(tokens.end[index]!, tokens.start[index]! + 80))
    .trim();
  const name = /^\w+/.exec(body)?.[0] ?? '';
  const opens = name === 'if' || name === 'ifdef' || name === 'ifndef';
  return { name, opens, dead: opens && deadCondition.test(body) };
}

function lastActive(active: Uint8Array, before: number): number {
  let index = before - 1;
  while (index >= 0 && !active[index]) index--;
  return index;
}

/** Whether the branch closes every bracket it opens, and none that it did not. */
function isWhole(tokens: Tokens, active: Uint8Array, branch: Branch): boolean {
  let depth = 0;
  for (let index = branch.directive + 1; index < branch.end; index++) {
    if (!active[index]) continue;
    const kind = tokens.kind[index]!;
    if (kind === Kind.OpenBrace || kind === Kind.OpenParen || kind === Kind.OpenBracket) depth++;
    else if (kind === Kind.CloseBrace || kind === Kind.CloseParen || kind === Kind.CloseBracket) {
      if (--depth < 0) return false;
    }
  }
  return depth === 0;
}
