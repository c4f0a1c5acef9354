import { expect, test } from 'vitest';
import { wrap } from './wrap';

test.each([
  ['', []],
  ['one two', ['one two']],
  ['one two three', ['one two', 'three']],
  ['a word-that-is-too-long here', ['a', 'word-that-is-too-long', 'here']],
  ['first line\n\n  second', ['first', 'line', 'second']],
])('%j in lines of 8', (text, lines) => expect(wrap(text, 8)).toEqual(lines));
