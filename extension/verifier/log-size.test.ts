import { expect, test } from 'vitest';
import { fitLog } from './log-size';

const lines = Array.from({ length: 1000 }, (_, number) => `${number}: (b7) r0 = ${number}`);
const links = lines.map((_, line) => ({ line, path: '/x.c', sourceLine: line, sourceCharacter: 0 }));

test('a log that fits is left alone', () => {
  const log = { text: lines.join('\n'), links };
  expect(fitLog(log)).toEqual(log);
});

test('of a longer one the beginning and the end stay, each link at its line, and the gap is told', () => {
  const fitted = fitLog({ text: lines.join('\n'), links }, 5000);
  const shown = fitted.text.split('\n');
  expect(fitted.text.length).toBeLessThan(5200);
  expect([shown[0], shown.at(-1)]).toEqual([lines[0], lines.at(-1)]);
  const gap = shown.findIndex((line) => line.startsWith('; '));
  const missing = Number(/^; (\d+) lines/.exec(shown[gap]!)![1]);
  expect(missing + shown.length - 1).toBe(lines.length);
  for (const { line, sourceLine } of fitted.links) expect(shown[line]).toBe(lines[sourceLine]);
  expect(fitted.links).toHaveLength(shown.length - 1);
});
