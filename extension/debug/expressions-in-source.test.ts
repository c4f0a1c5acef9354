import { describe, expect, it } from 'vitest';
import { tokenize } from '../../toolchain/c/tokens';
import { expressionAt, expressionsUntil } from './expressions-in-source';

/** The expression at the `|` in the text. */
function at(marked: string): string | undefined {
  const offset = marked.indexOf('|');
  const text = marked.replace('|', '');
  return expressionAt(text, tokenize(text), offset)?.text;
}

describe('the expression at a place in source', () => {
  it.each([
    ['x = ip->sa|ddr;', 'ip->saddr'],
    ['x = i|p->saddr;', 'ip'],
    ['x = a.b[i + 1].|c->d;', 'a.b[i + 1].c'],
    ['x = ((struct iphdr *)data)->tt|l;', '((struct iphdr *)data)->ttl'],
    ['x = table[i|ndex];', 'index'],
    ['x = a -> b . |c;', 'a -> b . c'],
    ['bpf_n|tohs(x)', undefined],
    ['ret|urn x;', undefined],
    ['struct ip|hdr *ip;', undefined],
    ['x = f(y)->z|;', undefined],
    ['/* i|p */', undefined],
    ['"i|p"', undefined],
    ['struct flow f = { .so|urce = 1 };', undefined],
    ['x = 1|0;', undefined],
    ['', undefined],
  ])('%s', (marked, expected) => {
    expect(at(marked)).toBe(expected);
  });

  it('lists those of a function up to a line', () => {
    const text = `int before(int a) { return a; }
#define X 1
SEC("xdp")
int program(struct xdp_md *ctx)
{
	struct iphdr *ip = start(ctx);
	__u32 key = ip->protocol;
	if (key > limit) // key
		return flows[key].packets + table[key];
	int later = 1;
}
`;
    const lines = (line: number) =>
      expressionsUntil(text, tokenize(text), line).map((one) => `${one.line} ${one.text}`);
    expect(lines(8)).toEqual([
      '3 ctx',
      '5 ip',
      '5 ctx',
      '6 key',
      '6 ip->protocol',
      '7 key',
      '7 limit',
      '8 key',
      '8 flows[key].packets',
      '8 table[key]',
    ]);
    expect(lines(0)).toEqual(['0 a']);
    expect(lines(10)).toContain('9 later');
    expect(lines(2)).toEqual([]);
  });
});
