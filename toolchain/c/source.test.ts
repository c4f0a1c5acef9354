import { beforeAll, describe, expect, it } from 'vitest';
import type { Parser } from 'web-tree-sitter';
import { loadParser } from './parser';
import { isBpfSource, positionAt, readSource, type SourceFile } from './source';

let parser: Parser;
beforeAll(async () => {
  parser = await loadParser();
});

/** Messages and one-based lines of the syntax errors. */
function errors(text: string): string[] {
  const source = readSource(parser, text);
  return source.findings.map(({ start, message }) => `${positionAt(source, start).line + 1}: ${message}`);
}

describe('what clang accepts has no syntax error', () => {
  const accepted: Record<string, string> = {
    'a program and a map': `
      struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 1 << 10); __type(key, struct key);
        __array(values, int (void *)); __uint(map_flags, BPF_F_NO_PREALLOC); } m SEC(".maps") = { .values = { [0] = &f } };
      SEC("?xdp.frags") int f(struct xdp_md *ctx) { return XDP_PASS; }
      char LICENSE[] SEC("license") = "GPL";`,
    'wrapped signatures': `
      SEC("fentry/x") int BPF_PROG(on_x, struct sk_buff *skb, int a) { return 0; }
      SEC("kprobe/y") int BPF_KPROBE(on_y) { return 0; }
      SEC("kprobe/z") int BPF_KRETPROBE(on_z, long ret) { return 0; }
      SEC("usdt") int BPF_USDT(on_u, void *p, unsigned long n) { return 0; }`,
    'attributes before, between and after': `
      static __always_inline __attribute__((unused)) int f(struct c *p __arg_ctx, const char *s __arg_nonnull) { return 0; }
      static __noinline struct x *g(void) __attribute__((pure)) { return 0; }
      extern unsigned long CONFIG_HZ __kconfig __weak;
      extern struct task_struct *bpf_task_acquire(struct task_struct *p) __ksym __weak;
      struct __attribute__((packed)) a { int x; struct task_struct __kptr *t; } __aligned(8);
      struct b { u64 :64; char: 4; int y __attribute__((aligned(4))); } __attribute__((preserve_access_index));
      volatile const __u32 limit __hidden = 7;`,
    'inline assembly': `
      int f(void) { asm volatile("r0 = *(u8 *)(r1 + %[o]);" : : [o]"i"(offsetof(struct s, a.b[2])) : "r0", "memory");
        register int x asm("r1"); __asm__ goto("if r0 == 0 goto %l[out]" :::: out); out: return x; }
      __attribute__((naked)) int g(void) { asm volatile("exit;" ::: __clobber_all); }`,
    'loops and statements from macros': `
      int f(void) { int i; struct t *p; bpf_for(i, 0, 10) { if (i) continue; } bpf_for_each(task, p, NULL, 0) count(p);
        bpf_repeat(5) { break; } list_for_each_entry(p, &head, node) { use(p); } UNROLL for (i = 0; i < 3; i++) f();
        READ_ENTRIES(p) i = 2; return 0; }`,
    'macros with types, members, operators and statements': `
      int f(void) { struct x *p = container_of(q, struct x, member); bpf_core_cast(p, struct y);
        if (bpf_core_field_exists(struct z, a.b)) return BPF_CORE_READ(p, a, b.c); CHECK(a, ==, b); GUARD(return 0);
        return bpf_core_enum_value(enum e, E_ONE) + va_arg(l, int) + bpf_core_type_size(struct w); }`,
    'GNU C': `
      int f(int n) { void *to = &&end; typeof(n) m = n; __auto_type k = ({ int z = n; z + 1; }); static int t[] = { [0 ... 3] = 1 };
        switch (n) { case 1 ... 5: return n ?: m; default: goto *to; } end: return (struct p){ .x = 1 }.x; }
      _Static_assert(sizeof(int) == 4, "int"); typedef __u32 four __attribute__((vector_size(16)));`,
    'branches that split a function': `
      #ifdef OLD
      int f(int a) {
      #else
      int f(void) {
      #endif
        if (x
      #if A
          && y
      #endif
        ) { return 1; }
      #if 0
        it's not even C (
      #else
        return 2;
      #endif
      }`,
    'declarations written by macros': `
      DEFINE_COUNTER(a, b)
      static DEFINE_MAP(x, int);
      __success __retval(0)
      __msg("it's")
      int f(void) { return 0; }
      private(LOCK) struct bpf_spin_lock lock;
      FUNC_INLINE long
      g(void) { return 0; }
      statfunc u32 h(void) { return 1; }
      HOOK(enter) { return 0; }`,
    'a byte order mark, carriage returns and no last line break':
      '\uFEFFint f(void)\r\n{\r\n\treturn 0;\r\n}',
  };
  it.each(Object.entries(accepted))('%s', (_, text) => {
    expect(errors(text.replace(/^ {6}(?=#)/gm, ''))).toEqual([]);
  });
});

describe('what clang refuses shows at its line', () => {
  const program = (body: string): string =>
    `int x;\n\nSEC("xdp")\nint f(struct xdp_md *ctx)\n{\n${body}\n}\n\nint y;\n`;
  it.each([
    ['a missing semicolon', program('\tint a = 1;\n\ta = 2\n\treturn a;'), "7: expected ';'"],
    ['… before a declaration', program('\tint a = 1\n\tint b = a;\n\treturn b;'), "6: expected ';'"],
    [
      '… after a map member',
      'struct {\n\t__uint(type, BPF_MAP_TYPE_HASH)\n\t__uint(max_entries, 1);\n} m SEC(".maps");\n',
      "2: expected ';'",
    ],
    [
      '… after a struct',
      'struct a {\n\tint x;\n}\n\nstatic int f(void)\n{\n\treturn 0;\n}\n',
      "3: expected ';'",
    ],
    [
      '… after a variable',
      'int a = 5\n\nSEC("xdp")\nint f(void *ctx)\n{\n\treturn 0;\n}\n',
      "1: expected ';'",
    ],
    ['a missing parenthesis', program('\tif (ctx->data\n\t\treturn 1;\n\treturn g(ctx;'), "6: expected ')'"],
    [
      '… of a condition with a block',
      program('\tif (g(ctx) {\n\t\treturn 1;\n\t}\n\treturn 0;'),
      "6: expected ')'",
    ],
    ['a missing closing brace', program('\tif (ctx) {\n\t\tg();\n\n\treturn 0;'), "7: expected '}'"],
    [
      'a missing opening brace',
      program('\tif (ctx)\n\t\tg();\n\t\th();\n\t}\n\treturn 0;'),
      "6: expected '{'",
    ],
    ['a stray word', program('\tint a = 1;\n\ta = 2 3;\n\treturn a;'), "7: unexpected '3'"],
    ['a stray character', program('\tint a = 1; @\n\treturn a;'), "6: unexpected '@'"],
    ['a string that does not end', program('\tg("abc);\n\treturn 0;'), '6: this string is not closed'],
    ['a comment that does not end', 'int x;\n/* what follows\nint y;\n', '2: this comment is not closed'],
  ])('%s', (_, text, expected) => {
    expect(errors(text)[0]).toBe(expected);
  });

  it('and nothing else: the declarations around it stay clean', () => {
    expect(errors(program('\tif (ctx) {\n\t\tg();\n\n\treturn 0;') + program('\treturn 1;'))).toEqual([
      "7: expected '}'",
    ]);
  });
});

describe('the outline', () => {
  it('has programs, maps, functions, types, variables and the license with their places', () => {
    const text = [
      '#include <vmlinux.h>',
      '#include "local.h"',
      'struct event { int pid; };',
      'struct {\n\t__uint(type, BPF_MAP_TYPE_RINGBUF);\n\t__uint(max_entries, 256 * 1024);\n} events SEC(".maps");',
      'struct bpf_map_def SEC("maps") old = { .type = BPF_MAP_TYPE_ARRAY };',
      'const volatile int limit = 3;',
      'static int helper(int a);',
      'static __always_inline int helper(int a) { return a; }',
      'SEC("tp/sched/sched_switch")\nint plain(void *ctx) { return 0; }',
      'SEC("fentry/tcp_close")\nint BPF_PROG(wrapped, struct sock *sk) { return 0; }',
      'char _license[] SEC("license") = "Dual MIT/GPL";',
    ].join('\n');
    const source = readSource(parser, text);
    const at = ({ start, end }: { start: number; end: number }): string => text.slice(start, end);
    expect(
      source.programs.map(({ name, nameSpan, section, sectionSpan, wrapper }) => [
        name,
        at(nameSpan),
        section,
        at(sectionSpan),
        wrapper,
      ]),
    ).toEqual([
      ['plain', 'plain', 'tp/sched/sched_switch', 'tp/sched/sched_switch', undefined],
      ['wrapped', 'wrapped', 'fentry/tcp_close', 'fentry/tcp_close', 'BPF_PROG'],
    ]);
    expect(
      source.maps.map(({ name, members }) => [
        name,
        members.map((member) => `${member.name}=${member.value}`),
      ]),
    ).toEqual([
      ['events', ['type=BPF_MAP_TYPE_RINGBUF', 'max_entries=256 * 1024']],
      ['old', []],
    ]);
    expect(source.functions.map(({ name }) => name)).toEqual(['helper']);
    expect(source.types.map(({ name }) => name)).toEqual(['event']);
    expect(source.variables.map(({ name }) => name)).toEqual(['limit', '_license']);
    expect(source.includes.map(({ path, angled }) => [path, angled])).toEqual([
      ['vmlinux.h', true],
      ['local.h', false],
    ]);
    expect(source.license).toBe('Dual MIT/GPL');
  });

  it('survives an error inside a program', () => {
    const source = readSource(
      parser,
      'SEC("xdp")\nint broken(void *ctx)\n{\n\tif (x {\n\n}\n\nSEC("tc")\nint next(void *ctx) { return 0; }\n',
    );
    expect(source.programs.map(({ name }) => name)).toEqual(['broken', 'next']);
  });
});

it('BPF sources are told by name or includes', () => {
  expect(isBpfSource('', '/a/b.bpf.c')).toBe(true);
  expect(isBpfSource('int x;\n  # include <bpf/bpf_helpers.h>\n', 'a.c')).toBe(true);
  expect(isBpfSource('#include "vmlinux.h"', 'a.c')).toBe(true);
  expect(isBpfSource('// #include "my_vmlinux.h"\n#include <stdio.h>', 'a.c')).toBe(false);
});

it('reading after an edit is the same as reading anew, for random edits', () => {
  let seed = 20240607;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
    return seed % below;
  };
  const start = `#define LIMIT 3\nstruct { __uint(type, BPF_MAP_TYPE_ARRAY); __type(key, int); } m SEC(".maps");\n#ifdef A\nint a(void) { return 1; }\n#else\nint a(void) { return LIMIT; }\n#endif\n\nSEC("xdp")\nint f(struct xdp_md *ctx)\n{\n\tif (a()) {\n\t\treturn 2; /* note */\n\t}\n\treturn 0;\n}\nchar L[] SEC("license") = "GPL";\n`;
  const pieces = [
    '{',
    '}',
    '(',
    ')',
    ';',
    '"',
    '/*',
    '*/',
    '#if 0\n',
    '#endif\n',
    'int x = 1;\n',
    'SEC("tc")\n',
    ' ',
    '\n',
    'foo',
    '\\',
    '#define BAR(x) {\n',
    '\uD83D',
  ];
  const known = (source: SourceFile): unknown => {
    const { findings, programs, maps, functions, variables, types, includes, license } = source;
    return { findings, programs, maps, functions, variables, types, includes, license };
  };
  let text = start;
  let source = readSource(parser, text);
  for (let count = 0; count < 600; count++) {
    const at = random(text.length + 1);
    const removed = random(3) === 0 ? random(12) : 0;
    const added = random(3) === 0 ? '' : pieces[random(pieces.length)]!;
    text = text.slice(0, at) + added + text.slice(at + removed);
    if (count % 40 === 39) text = start;
    source = readSource(parser, text, source);
    expect(known(source), JSON.stringify(text)).toEqual(known(readSource(parser, text)));
  }
});
