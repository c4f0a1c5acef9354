/** clang as it is on this machine, and what is said when it is not there or not fit. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readBpfObject } from '../elf/object';
import { splitShellWords } from './compile-commands';
import { compile, type CompileResult } from './compile';
import { parseDiagnostics } from './diagnostics';
import { findClang, type Clang } from './discover';
import { chooseFlags } from './flags';
import { precompiledVmlinux } from './pch';
import { run } from './run';

let scratch: string;
let clang: Clang;
const log: string[] = [];

beforeAll(async () => {
  scratch = mkdtempSync(path.join(os.tmpdir(), 'bpf-studio-clang-'));
  const found = await findClang('');
  if (!('clang' in found)) throw new Error(`${found.problem.message} ${found.problem.hint}`);
  clang = found.clang;
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const args = ['-O2', '-g', '-target', 'bpf', '-mcpu=v3', '-Wall'];
const build = (
  name: string,
  text: string,
  more: string[] = [],
  signal?: AbortSignal,
): Promise<CompileResult> =>
  compile({
    clang,
    path: path.join(scratch, name),
    text,
    args: [...args, ...more],
    cache: path.join(scratch, 'cache'),
    log: (line) => log.push(line),
    ...(signal && { signal }),
  });

function script(name: string, body: string): string {
  const file = path.join(scratch, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, `#!/bin/sh\n${body}\n`);
  chmodSync(file, 0o755);
  return file;
}

describe('finding clang', () => {
  it('takes the newest of the names on PATH', async () => {
    const old = path.dirname(script('old/clang', 'echo "clang version 15.0.1"'));
    const newer = path.dirname(script('newer/clang-17', 'echo "Debian clang version 17.0.6 (3)"'));
    expect(await findClang('', `${old}:${newer}`)).toMatchObject({
      clang: { major: 17, path: path.join(newer, 'clang-17') },
    });
  });
  it('says what to install when there is none', async () => {
    expect(await findClang('', '/nonexistent')).toMatchObject({
      problem: { code: 'noClang', hint: expect.stringContaining('apt-get install clang') },
    });
  });
  it('says which version it found when that is too old, and when it is no clang', async () => {
    expect(await findClang(script('c9', 'echo "clang version 9.0.1"'))).toMatchObject({
      problem: { code: 'clangTooOld', message: expect.stringMatching(/version 9/) },
    });
    expect(await findClang(script('bad', 'exit 3'))).toMatchObject({ problem: { code: 'clangBroken' } });
    expect(await findClang('/nonexistent/clang')).toMatchObject({
      problem: { message: expect.stringContaining('/nonexistent/clang') },
    });
  });
});

describe('flags', () => {
  const choose = (file: string, more = {}) =>
    chooseFlags({
      path: file,
      args: null,
      extraArgs: ['-DEXTRA'],
      cache: scratch,
      machine: 'x86_64',
      ...more,
    });
  it('come from the setting first, then from compile_commands.json, then from what usually works', () => {
    const project = path.join(scratch, 'project');
    mkdirSync(path.join(project, 'src'), { recursive: true });
    mkdirSync(path.join(project, 'include'));
    writeFileSync(path.join(project, 'include/vmlinux.h'), '');
    const file = path.join(project, 'src/p.bpf.c');
    expect(choose(file, { args: ['-O1'] }).args).toEqual(['-O1', '-DEXTRA']);
    const defaults = choose(file);
    expect(defaults).toMatchObject({ origin: 'defaults', hasVmlinux: true });
    expect(defaults.args.join(' ')).toContain(`-I ${project}/include`);
    expect(defaults.args).toContain('-D__TARGET_ARCH_x86');
    const database = path.join(project, 'compile_commands.json');
    writeFileSync(
      database,
      JSON.stringify([
        {
          directory: project,
          file: 'src/p.bpf.c',
          command: `clang -O2 -g -target bpf -Iinclude '-DNAME="a b"' -MMD -MF dep -c src/p.bpf.c -o out.o`,
        },
      ]),
    );
    expect(choose(file)).toEqual({
      args: ['-O2', '-g', '-target', 'bpf', `-I${project}/include`, '-DNAME="a b"', '-DEXTRA'],
      origin: database,
      hasVmlinux: true,
    });
    writeFileSync(database, '{');
    expect(choose(file)).toMatchObject({
      origin: 'defaults',
      problem: expect.stringContaining('compile_commands.json cannot be read'),
    });
  });
  it('split as a shell splits', () => {
    expect(splitShellWords(`a  'b c' "d \\"e\\"" f\\ g ''`)).toEqual(['a', 'b c', 'd "e"', 'f g', '']);
  });
});

describe('compiling a buffer', () => {
  const source =
    '#include "part.h"\n__attribute__((section("xdp"))) int prog(void *ctx)\n{\n\treturn part(ctx) +\n\t       *(volatile int *)ctx;\n}\n';
  it('resolves quoted includes beside the file, and names the file in BTF with the buffer’s lines and columns', async () => {
    writeFileSync(
      path.join(scratch, 'part.h'),
      'static inline int part(void *ctx) { return *(volatile int *)ctx; }\n',
    );
    writeFileSync(path.join(scratch, 'saved.bpf.c'), '// something else on disk\n'.repeat(10));
    for (const name of ['saved.bpf.c', 'unsaved.bpf.c']) {
      const result = await build(name, source);
      if (result.outcome !== 'compiled') throw new Error(JSON.stringify(result));
      const object = readBpfObject(result.object);
      if (!object.ok || !object.value.btf || !object.value.ext) throw new Error('no BTF');
      const { btf, ext } = object.value;
      const places = [...ext.lines.values()]
        .flat()
        .map((line) => [
          path.basename(btf.string(line.fileOffset)),
          line.line,
          line.column,
          btf.string(line.textOffset),
        ]);
      const lines = source.split('\n');
      expect(places).toContainEqual([name, 5, lines[4]!.indexOf('*') + 1, lines[4]]);
      for (const [file, line, , text] of places)
        if (file === name) expect(text).toBe(lines[Number(line) - 1]);
    }
  });
  it('gives the very object that clang gives for the saved file', async () => {
    const file = path.join(scratch, 'same.bpf.c');
    const source =
      '__attribute__((section("xdp"))) int prog(int *ctx)\n{\n\treturn ctx[0] +\n\t       ctx[1];\n}\n';
    writeFileSync(file, source);
    const result = await build('same.bpf.c', source);
    if (result.outcome !== 'compiled') throw new Error(JSON.stringify(result));
    const direct = await run(clang.path, [...args, '-c', file, '-o', '-'], {
      cwd: scratch,
      timeoutMilliseconds: 30_000,
      maxOutputBytes: 1 << 24,
    });
    if (direct.ended !== 'exit') throw new Error(direct.ended);
    for (const section of ['.BTF', '.BTF.ext', 'xdp']) {
      expect(sectionOf(result.object, section), section).toEqual(sectionOf(direct.stdout, section));
    }
  });
  it('counts columns in UTF-16, carries the option as code and notes as related places', async () => {
    const text = 'int f(int a);\nchar *s = "é𝄞"; int f(long a);\nint g(void) { int ä = 1; return 0; }\n';
    const result = await build('utf.bpf.c', text);
    if (result.outcome !== 'errors') throw new Error(result.outcome);
    const [conflict] = result.diagnostics;
    expect(conflict).toMatchObject({
      severity: 1,
      range: { start: { line: 1, character: 'char *s = "é𝄞"; int '.length } },
    });
    expect(conflict!.related).toMatchObject([
      { range: { start: { line: 0, character: 4 } }, message: 'previous declaration is here' },
    ]);
    const unused = result.diagnostics.find(({ code }) => code === 'clang/-Wunused-variable');
    expect(unused!.range).toEqual({ start: { line: 2, character: 18 }, end: { line: 2, character: 19 } });
  });
  it('stops clang when cancelled', async () => {
    const marker = path.join(scratch, 'pid');
    const slow: Clang = {
      path: script('slow', `echo $$ > ${marker}; exec sleep 60`),
      major: 19,
      version: '',
    };
    const abort = new AbortController();
    const work = compile({
      clang: slow,
      path: path.join(scratch, 'x.bpf.c'),
      text: 'int x;',
      args: [],
      cache: scratch,
      log: () => undefined,
      signal: abort.signal,
    });
    while (!existsSync(marker) || readFileSync(marker, 'utf8') === '')
      await new Promise((resolve) => setTimeout(resolve, 5));
    abort.abort();
    expect(await work).toEqual({ outcome: 'cancelled' });
    expect(existsSync(`/proc/${readFileSync(marker, 'utf8').trim()}`)).toBe(false);
  });
  it('refuses what is no source, and says why clang failed when it is not the source', async () => {
    expect(await build('b.bpf.c', '\x7fELF\0')).toMatchObject({ outcome: 'problem', code: 'binaryFile' });
    expect(await build('l.bpf.c', ' '.repeat(64 << 20))).toMatchObject({
      outcome: 'problem',
      code: 'sourceTooLarge',
    });
    expect(await build('f.bpf.c', 'int x;', ['-target', 'nonsense'])).toMatchObject({
      outcome: 'problem',
      code: 'clangFailed',
      message: expect.stringContaining('nonsense'),
    });
  });
});

it('reads what the BPF backend prints', () => {
  const printed = [
    '/s/a.bpf.c:4:2: error: 0x563c8ce92da0: i64 = GlobalAddress<ptr @big> 0, /s/a.bpf.c:4:2 too many arguments',
    '/s/a.bpf.c:3:5: error: Looks like the BPF stack limit is exceeded. Please move large on stack variables into BPF per-cpu array map.',
    '/s/a.bpf.c:3:5: note: could not determine the original source location for /s/a.bpf.c:5:7',
    "error: /s/a.bpf.c:6:3: in function prog i32 (ptr): A call to built-in function 'memset' is not supported.",
    'fatal error: error in backend: Cannot select: 0x563c8ce953c0: i32,ch = vaarg 0x563c8ce92a90, /s/a.bpf.c:7:4',
    'clang-19: error: clang frontend command failed with exit code 70 (use -v to see invocation)',
  ].join('\n');
  const found = parseDiagnostics(printed, '/s/a.bpf.c', 'a\n'.repeat(9));
  // Where LLVM gave up at last is left out: what it complained of before says more.
  expect(found.map(({ range, code, message }) => [range.start.line + 1, code, message])).toEqual([
    [4, 'bpf/function-signature', expect.stringContaining('at most 5 arguments')],
    [5, 'bpf/stack-size', expect.stringContaining('512 bytes')],
    [6, 'bpf/builtin-call', expect.stringContaining('memset()')],
  ]);
  expect(found.map(({ data }) => data?.kernelMessage)).toEqual([
    'too many arguments in the call of big',
    expect.stringContaining('stack limit is exceeded'),
    "in function prog: A call to built-in function 'memset' is not supported.",
  ]);
  expect(found.every(({ data }) => data?.help)).toBe(true);
  const alone = parseDiagnostics(printed.split('\n').slice(4).join('\n'), '/s/a.bpf.c', 'a\n'.repeat(9));
  expect(alone.map(({ range, code }) => [range.start.line + 1, code])).toEqual([[7, 'bpf/unsupported-code']]);
});

it('says once of each function that its stack is too small', () => {
  const words =
    'error: Looks like the BPF stack limit is exceeded. Please move large on stack variables into BPF per-cpu array map.';
  const text = 'int one(void)\n{\n  a;\n  b;\n}\nint two(void)\n{\n  c;\n}\n';
  const printed = [4, 3, 3, 8].map((line) => `/s/a.bpf.c:${line}:3: ${words}`).join('\n');
  const found = parseDiagnostics(printed, '/s/a.bpf.c', text);
  expect(found.map(({ range, code }) => [range.start.line + 1, code])).toEqual([
    [4, 'bpf/stack-size'],
    [8, 'bpf/stack-size'],
  ]);
});

describe('the precompiled vmlinux.h', () => {
  it('changes nothing in the object, is made anew when the header changes, and is not used after other includes', async () => {
    const header = path.join(scratch, 'vmlinux.h');
    writeFileSync(
      header,
      '#ifndef V\n#define V\n#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)\ntypedef unsigned int __u32;\nstruct task_struct { int pid; __u32 flags; };\n#pragma clang attribute pop\n#endif\n',
    );
    const text =
      '#include "vmlinux.h"\n__attribute__((section("raw_tp"))) int p(struct task_struct **ctx)\n{\n\treturn ctx[0]->pid + ctx[0]->flags;\n}\n';
    writeFileSync(path.join(scratch, 'p.bpf.c'), text);
    const request = {
      clang,
      args,
      text,
      sourceDirectory: scratch,
      cache: path.join(scratch, 'cache'),
      log: (line: string) => log.push(line),
    };
    const [file, again] = await Promise.all([precompiledVmlinux(request), precompiledVmlinux(request)]);
    expect(again).toBe(file);
    expect(readdirSync(path.dirname(file!)).filter((name) => name.endsWith('.part'))).toEqual([]);
    const withIt = await build('p.bpf.c', text);

    const plain = await run(clang.path, [...args, '-c', path.join(scratch, 'p.bpf.c'), '-o', '-'], {
      cwd: scratch,
      timeoutMilliseconds: 30_000,
      maxOutputBytes: 1 << 24,
    });
    if (withIt.outcome !== 'compiled' || plain.ended !== 'exit') throw new Error('not compiled');
    for (const section of ['.BTF', '.BTF.ext', 'raw_tp']) {
      expect(sectionOf(withIt.object, section), section).toEqual(sectionOf(plain.stdout, section));
    }
    utimesSync(header, new Date(), new Date(Date.now() + 5_000));
    expect(await precompiledVmlinux(request)).not.toBe(file);
    expect(await precompiledVmlinux({ ...request, text: `#define X\n${text}` })).toBeUndefined();
    expect(await precompiledVmlinux({ ...request, text: `#include <a.h>\n${text}` })).toBeUndefined();
  });
  it('is done without when it is damaged', async () => {
    const directory = path.join(scratch, 'cache/pch');
    const text = '#include "vmlinux.h"\nint f(struct task_struct *t) { return t->pid; }\n';
    await build('q.bpf.c', text);
    for (const name of readdirSync(directory)) writeFileSync(path.join(directory, name), 'rubbish');
    expect(await build('q.bpf.c', text)).toMatchObject({ outcome: 'compiled' });
    expect(log.at(-1)).toMatch(/precompiled header was refused/);
  });
});

function sectionOf(object: Uint8Array, name: string): Uint8Array | undefined {
  const read = readBpfObject(new Uint8Array(object));
  return read.ok ? read.value.elf.sections.find((section) => section.name === name)?.data : undefined;
}
