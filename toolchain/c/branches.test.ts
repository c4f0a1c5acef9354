/** The `else` of an `if`, wherever its braces stand; none where it is not certain. */
import { beforeAll, expect, test } from 'vitest';
import { elseLineOf } from './branches';
import { loadParser } from './parser';
import { readSource } from './source';

let parser: Awaited<ReturnType<typeof loadParser>>;
beforeAll(async () => {
  parser = await loadParser();
});

/** The line of the `else` for the `if` that is marked with `//?`, as text; undefined for none. */
function elseIn(body: string): string | undefined {
  const lines = `int f(int a, int b)\n{\n${body}\n}\n`.split('\n');
  const line = elseLineOf(
    readSource(parser, lines.join('\n')),
    lines.findIndex((one) => one.includes('//?')),
  );
  return line === undefined ? undefined : lines[line];
}

test.each([
  ['if (a) { //?\n\tb = 1;\n} else {\n\tb = 2;\n}', '} else {'],
  ['if (a) //?\n\tb = f((a), b);\nelse\n\tb = 2;', 'else'],
  ['if (a) //?\n\tfor (;;) if (b) return 1; else return 2;\nelse b = 3;', 'else b = 3;'],
  ['if (a) //?\n\tdo { b++; } while (b < 3);\nelse // no\n\tb = 2;', 'else // no'],
  ['if (a)\n{ //?\n}\nelse b = 1;', undefined],
  ['if (a) { //?\n} else if (b) {\n} else {\n}', '} else if (b) {'],
  ['if (a) {\n} else if (b) { //?\n}\nelse {\n}', 'else {'],
  ['if (a) return 1; //?\nif (b) return 2; else return 3;', undefined],
  ['if (a) if (b) return 1; else return 2; //?', undefined],
  ['if (a) { //?\n#if X\n} else {\n#endif\n}', undefined],
  ['if (a) { //?\n', undefined],
  ['if (a //?\n', undefined],
])('%j', (body, expected) => {
  expect(elseIn(body)).toBe(expected);
});
