/** The notation in which values are typed: C initialisers and JSON, which differ little. */
import { fail, succeed } from '../problem';
import type { Outcome } from '../problem';

export type Literal =
  /** Anything that is no string and no list: a number, a name, an address, `A | B`. */
  | { kind: 'word'; text: string }
  /** Between double quotes, escapes untouched. */
  | { kind: 'string'; text: string }
  | { kind: 'list'; items: { name?: string; value: Literal }[] };

const MAX_DEPTH = 32;

/** What a displayed value has behind it: the raw bytes of an address, a remark in parentheses. */
function skipNote(state: State) {
  const note = /^(?:\[[0-9a-f ]+\]|\{[0-9a-f ]+\}|\([^()]*\))$/.exec(state.text.slice(state.at));
  if (note) state.at = state.text.length;
}

/**
 * Parses `42`, `"text"`, `{ 1, 2 }`, `[1, 2]`, `{ .a = 1, [3] = 2 }`, `{ "a": 1 }`. A note that stands behind a
 * displayed value (`20480 (host order 80)`) is ignored, because editors offer the displayed text for editing.
 */
export function parseLiteral(text: string): Outcome<Literal> {
  const state = { text, at: 0 };
  const literal = parse(state, 0);
  skipSpace(state);
  if (literal && literal.kind !== 'list') skipNote(state);
  if (literal && state.at === text.length) return succeed(literal);
  const rest = text.slice(state.at, state.at + 20);
  return fail(
    'value/syntax',
    rest ? `The value cannot be read from "${rest}" on.` : 'The value ends too early.',
    'Write a number, a name, "text", or { .member = value, … }.',
  );
}

interface State {
  text: string;
  at: number;
}

function parse(state: State, depth: number): Literal | undefined {
  skipSpace(state);
  const open = state.text[state.at];
  if (depth > MAX_DEPTH || open === undefined) return undefined;
  if (open === '{' || open === '[') return parseList(state, open === '{' ? '}' : ']', depth);
  if (open === '"') return parseString(state);
  const word = /^(?:'(?:\\.|[^'\\])+'|[^,{}[\]"'=])+/.exec(state.text.slice(state.at))?.[0];
  if (word === undefined) return undefined;
  state.at += word.length;
  return {
    kind: 'word',
    text: word
      .trim()
      .replace(/(?<=[\w'.:])\s+\([^()]*\)$/, '')
      .replace(/^(\d+) '.'$/, '$1'),
  };
}

function parseString(state: State): Literal | undefined {
  const match = /^"((?:[^"\\]|\\.)*)"/s.exec(state.text.slice(state.at));
  if (!match) return undefined;
  state.at += match[0].length;
  return { kind: 'string', text: match[1] as string };
}

function parseList(state: State, close: string, depth: number): Literal | undefined {
  const items: { name?: string; value: Literal }[] = [];
  state.at++;
  for (;;) {
    skipSpace(state);
    if (state.text[state.at] === close) {
      state.at++;
      return { kind: 'list', items };
    }
    const rest = state.text.slice(state.at);
    // A bare name before a colon may begin an IPv6 address as well; in one no space follows the colon.
    const designator =
      /^(?:\.?([A-Za-z_]\w*(?:\.\w+)*)\s*=|"([^"\\]+)"\s*:|([A-Za-z_]\w*)\s*:(?=\s)|\[(\d+)\]\s*=)/.exec(
        rest,
      );
    if (designator) state.at += designator[0].length;
    const value = parse(state, depth + 1);
    if (!value) return undefined;
    const name = designator?.slice(1).find((group) => group !== undefined);
    items.push(name === undefined ? { value } : { name, value });
    skipSpace(state);
    if (state.text[state.at] === ',') state.at++;
    else if (state.text[state.at] !== close) return undefined;
  }
}

function skipSpace(state: State) {
  while (/\s/.test(state.text[state.at] ?? '')) state.at++;
}
