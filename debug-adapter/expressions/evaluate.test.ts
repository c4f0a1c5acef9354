/** Expressions over numbers, compared with what the compiler makes of the same text. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { decode } from '../../toolchain/btf/value';
import { succeed } from '../../toolchain/problem';
import { clangAtHand } from '../../test/support/clang';
import { valueText } from './condition';
import { parseExpression } from './parse';
import type { Scope, Variable } from './scope';
import { generator, INTEGER_TYPES, interesting, randomExpression } from './testing';
import { TypeSpace } from './types';

const clang = await clangAtHand();

class Numbers {
  readonly types = new TypeSpace(true, undefined, undefined);
  readonly variables = new Map<string, Variable>();

  set(name: string, typeName: string, value: bigint): void {
    const type = this.types.named('name', typeName)!;
    const size = this.types.sizeOf(type);
    const bytes = Uint8Array.from({ length: size }, (_, at) => Number((value >> BigInt(8 * at)) & 0xffn));
    const typed = { value: decode(this.types, type, bytes, { name }), known: new Uint8Array(size).fill(1) };
    this.variables.set(name, { type, read: () => succeed(typed) });
  }

  get scope(): Scope {
    const unknown = (length: number) => ({ bytes: new Uint8Array(length), known: new Uint8Array(length) });
    return {
      types: this.types,
      variable: (name) => this.variables.get(name),
      register: () => undefined,
      memory: (_, length) => unknown(length),
      map: () => undefined,
      lookup: () => succeed(null),
      names: () => [...this.variables.keys()],
    };
  }

  async value(text: string): Promise<string> {
    const parsed = await parseExpression(text);
    if (!parsed.ok) return parsed.problem.message;
    return valueText(parsed.value, this.scope).replace(/^<(.*)>$/, '$1');
  }
}

describe('expressions', () => {
  it.each([
    ['1 + 2 * 3', '7'],
    ["'A'", '65'],
    ["'\\xff'", '-1'],
    ['0x10 | 010', '24'],
    ['-1 < 1u', '0'],
    ['(unsigned char)300', '44'],
    ['(__u16)-1', '65535'],
    ['sizeof(int[3][4])', '48'],
    ['sizeof(char *[3])', '24'],
    ['sizeof(1 ? (char)1 : 2L)', '8'],
    ['bpf_htons(80)', '20480'],
    ['bpf_ntohl(0x0100000a)', '167772161'],
    ['be64_to_cpu(1)', '72057594037927936'],
    ['ipv4("10.0.0.7") == bpf_htonl(0x0a000007)', '1'],
    ['mac("02:00:00:00:00:01") == mac("02:00:00:00:00:01")', '1'],
    ['(u32)-1 + (u8)~0', '254'],
    ['(u32)(1)', '1'],
    ['"abc" == "abc"', '1'],
    ['1 / 0', '`1 / 0` has no value in C: it divides by zero.'],
    ['1 << 32', '`1 << 32` has no value in C: it shifts 32 bits by 32.'],
    ['0 && 1 / 0', '0'],
    ['nope + 1', 'There is no variable, map or enumerator "nope" here.'],
    ['1 +', /^"1 \+" is not a C expression. It ends too early/],
    ['1); int y = (2', /is not a C expression/],
    ['1; 2', /is not a C expression/],
    ['x = 1', /would change a value, and an expression only reads/],
    ['f(1)', /f cannot be called: nothing is run/],
    ['', 'There is no expression.'],
    ['(struct nope *)1', 'The program has no type struct nope *.'],
    ['*5', '`5` is no pointer.'],
    ['*(int *)0', '`(int *)0` is NULL.'],
    ['*(int *)16', 'not known at this step'],
  ])('%s is %s', async (text, expected) => {
    const numbers = new Numbers();
    const value = await numbers.value(text);
    if (typeof expected === 'string') expect(value).toBe(expected);
    else expect(value).toMatch(expected);
  });

  it('agree with the compiler on random operands of all types', async () => {
    const random = generator(Number(process.env.BPF_STUDIO_SEED ?? 1));
    const count = Number(process.env.BPF_STUDIO_EXPRESSIONS ?? 1000);
    const numbers = new Numbers();
    const declarations: string[] = [];
    const names = Array.from({ length: 60 }, (_, at) => `v${at}`);
    for (const [at, name] of names.entries()) {
      const type = INTEGER_TYPES[at % INTEGER_TYPES.length] as string;
      const value = type === '_Bool' ? BigInt(random(2)) : interesting(random);
      numbers.set(name, type, value);
      declarations.push(`volatile ${type} ${name} = (${type})${BigInt.asUintN(64, value)}ULL;`);
    }
    const texts = Array.from({ length: count }, () => randomExpression(random, { depth: 4, names }));
    const directory = mkdtempSync(path.join(os.tmpdir(), 'bpfs-expressions-'));
    const program = path.join(directory, 'program');
    // What C leaves undefined cannot be compared, so the compiler's sanitizer says what is.
    writeFileSync(
      `${program}.c`,
      `#include <stdio.h>\n#include <setjmp.h>\n#include <signal.h>\n${declarations.join('\n')}
static sigjmp_buf out;
/* The smallest number by -1 is what the processor traps on, and BPF's does not. */
static void trapped(int signal) { siglongjmp(out, signal == SIGFPE ? 2 : 1); }
#define SHOW(e) switch (sigsetjmp(out, 1)) { case 1: printf("undefined\\n"); break; case 2: printf("overflow\\n"); break; default: { \\
  __typeof__((e) + 0) r = (e); printf(((__typeof__(r))-1 < 0) ? "%lld %zu\\n" : "%llu %zu\\n", (long long)r, sizeof(e)); } }
${texts.map((text, at) => `static void f${at}(void) { SHOW(${text}) }`).join('\n')}
int main(void) { signal(SIGILL, trapped); signal(SIGTRAP, trapped); signal(SIGFPE, trapped);
${texts.map((_, at) => `f${at}();`).join('\n')} }`,
    );
    const traps = [
      '-fsanitize=shift,integer-divide-by-zero',
      '-fsanitize-trap=all',
      '-fno-sanitize=shift-base',
      '-fwrapv',
    ];
    execFileSync(clang, ['-O0', '-w', '-fsigned-char', ...traps, `${program}.c`, '-o', program]);
    const lines = execFileSync(program, { encoding: 'utf8', maxBuffer: 1 << 28 })
      .trim()
      .split('\n');
    let defined = 0;
    for (const [at, text] of texts.entries()) {
      const value = await numbers.value(`(${text}) + 0`);
      if (lines[at] === 'overflow') continue;
      if (lines[at] === 'undefined') {
        expect(value, text).toMatch(/has no value in C/);
        continue;
      }
      defined++;
      expect(`${value} ${await numbers.value(`sizeof(${text})`)}`, text).toBe(lines[at]);
    }
    // Most of them must say something.
    expect(defined).toBeGreaterThan(count / 3);
  });
});
