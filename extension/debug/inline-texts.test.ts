import { expect, it } from 'vitest';
import { tokenize } from '../../toolchain/c/tokens';
import { expressionsUntil } from './expressions-in-source';
import { inlineTexts } from './inline-texts';

const SOURCE = `int f(struct iphdr *ip, int n)
{
	int sum = n + ip->ttl;
	sum += n + n;
	return ip->ttl + sum;
}
`;

it('values stand once on a line, pointers once, and nothing below the present line', () => {
  const found = expressionsUntil(SOURCE, tokenize(SOURCE), 3);
  const said: Record<string, string> = { ip: '→ packet+14', n: '= 3', sum: '= 67', 'ip->ttl': '= 64' };
  const texts = inlineTexts(
    found,
    found.map(({ text }) => said[text] ?? null),
  );
  expect(texts.map(({ at, text }) => `${at.line}: ${text}`)).toEqual([
    '0: ip → packet+14',
    '0: n = 3',
    '2: sum = 67',
    '2: n = 3',
    '2: ip->ttl = 64',
    '3: sum = 67',
    '3: n = 3',
  ]);
});

it('a pointer stands behind the last line that names it', () => {
  const source = 'int f(char *data)\n{\n\tchar *end = data + 4;\n\treturn data + 1 > end;\n}\n';
  const found = expressionsUntil(source, tokenize(source), 3);
  const texts = inlineTexts(
    found,
    found.map(({ text }) => (text === 'data' ? '→ packet+0' : '→ packet+4')),
  );
  expect(texts.map(({ at, text }) => `${at.line}: ${text}`)).toEqual([
    '3: data → packet+0',
    '3: end → packet+4',
  ]);
});
