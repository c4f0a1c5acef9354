/** What the editor shows of programs that fail before the verifier, and of attach points: dist/language-server.js. */
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Diagnostic } from 'vscode-languageserver-types';
import { applyAction } from '../fixes/fixture';
import { Client } from './client';
import { describeAsRoot } from '../support/root';

let scratch: string;
let client: Client;

beforeAll(async () => {
  scratch = mkdtempSync(path.join(os.tmpdir(), 'bpf-studio-lsp-load-'));
  client = await Client.start();
});
afterAll(async () => {
  await client.stop();
  rmSync(scratch, { recursive: true, force: true });
});

const license = '\nchar LICENSE[] SEC("license") = "Dual MIT/GPL";\n';
const head = '#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n\n';

function program(section: string, body = 'return 0;'): string {
  return `${head}SEC("${section}")\nint program(void *ctx)\n{\n\t${body}\n}\n${license}`;
}

/** What is underlined. */
function covered(text: string, { range: { start, end } }: Diagnostic): string {
  expect(end.line).toBe(start.line);
  return text.split('\n')[start.line]!.slice(start.character, end.character);
}

describeAsRoot('the editor', () => {
  it('underlines the string in SEC() and proposes what was meant', async () => {
    const text = program('tracpoint/syscalls/sys_enter_write');
    const uri = await client.open(path.join(scratch, 'section.bpf.c'), text);
    await client.finished(uri);
    const [found, ...others] = client.diagnostics(uri);
    expect(others).toEqual([]);
    expect(covered(text, found!)).toBe('tracpoint/syscalls/sys_enter_write');
    expect(found).toMatchObject({ code: 'bpf/section', severity: 1 });
    expect(found!.message).toContain('SEC("tracepoint/syscalls/sys_enter_write")');
    await client.close(uri);
  });

  it('shows a program that is accepted as accepted before it hints at an attach point that is not there', async () => {
    const text = program('tp/syscalls/sys_enter_wrte');
    const uri = await client.open(path.join(scratch, 'hint.bpf.c'), text);
    const status = await client.finished(uri);
    expect(status.programs[0]!.verdict).toBe('accepted');
    await client.until('the hint', () => client.diagnostics(uri).length > 0);
    const [hint, ...others] = client.diagnostics(uri);
    expect(others).toEqual([]);
    // Severity 4: a hint. The verdict is the kernel's, this is not.
    expect(hint).toMatchObject({ code: 'bpf/attach-point', severity: 4, source: 'bpf-studio' });
    expect(covered(text, hint!)).toBe('syscalls/sys_enter_wrte');
    expect(hint!.message).toContain('`syscalls/sys_enter_write`');

    const mended = text.replace('_wrte', '_write');
    await client.change(uri, mended);
    await client.finished(uri);
    await client.until('no hint', () => client.diagnostics(uri).length === 0);
    await client.close(uri);
  });

  it('keeps a hint at its place while other lines are typed', async () => {
    const text = program('kprobe/vfs_reed');
    const uri = await client.open(path.join(scratch, 'stays.bpf.c'), text);
    await client.finished(uri);
    await client.until('the hint', () => client.diagnostics(uri).length > 0);
    const before = client.diagnostics(uri)[0]!;
    expect(covered(text, before)).toBe('vfs_reed');
    expect(before.message).toContain('`vfs_read`');
    await client.change(uri, '// one more line\n', {
      start: { line: 0, character: 0 },
      end: { line: 0, character: 0 },
    });
    const after = `// one more line\n${text}`;
    await client.until('the moved hint', () => {
      const [hint, ...others] = client.diagnostics(uri);
      return others.length === 0 && hint?.range.start.line === before.range.start.line + 1;
    });
    await client.finished(uri);
    expect(covered(after, client.diagnostics(uri)[0]!)).toBe('vfs_reed');
    await client.close(uri);
  });

  it.each([
    ['kprobe/vfs_reed', 'kprobe/vfs_read'],
    ['kprobe/vfs_reed+0x4', 'kprobe/vfs_read+0x4'],
    ['tp/syscalls/sys_enter_wrte', 'tp/syscalls/sys_enter_write'],
  ])('mends SEC("%s") by a name that the kernel lists', async (section, mended) => {
    const text = program(section);
    const uri = await client.open(path.join(scratch, 'mend.bpf.c'), text);
    await client.finished(uri);
    await client.until('the hint', () => client.diagnostics(uri).length > 0);
    const [first] = await client.fixes(uri, client.diagnostics(uri)[0]!);
    expect(first!.title).toBe(`Change the section to \`SEC("${mended}")\``);
    const fixed = applyAction(text, first!);
    expect(fixed).toBe(text.replace(section, mended));
    // Nothing is left to hint at.
    await client.change(uri, fixed);
    expect((await client.finished(uri)).programs[0]!.verdict).toBe('accepted');
    await client.until('no hint', () => client.diagnostics(uri).length === 0);
    await client.close(uri);
  });

  it('offers nothing for a function that no kernel function is called like', async () => {
    const uri = await client.open(path.join(scratch, 'none.bpf.c'), program('kprobe/qqqqqqqqqqqqqqqq'));
    await client.finished(uri);
    await client.until('the hint', () => client.diagnostics(uri).length > 0);
    expect(await client.fixes(uri, client.diagnostics(uri)[0]!)).toEqual([]);
    await client.close(uri);
  });

  it('says nothing of attach points that are there', async () => {
    const text = program('kprobe/vfs_read') + program('tp/syscalls/sys_enter_write').slice(head.length);
    const uri = await client.open(
      path.join(scratch, 'there.bpf.c'),
      text.replace(license, '').replace('int program', 'int first'),
    );
    const status = await client.finished(uri);
    expect(status.programs.map(({ verdict }) => verdict)).toEqual(['accepted', 'accepted']);
    // The lists are asked for in turn: when a later question has its answer, this one had.
    const later = await client.open(path.join(scratch, 'later.bpf.c'), program('kprobe/vfs_reed'));
    await client.until('the later hint', () => client.diagnostics(later).length > 0);
    await client.close(later);
    expect(client.diagnostics(uri)).toEqual([]);
    await client.close(uri);
  });

  it('places what keeps the whole object from loading, once, at the member that is wrong', async () => {
    const text = `${head}struct {\n\t__uint(type, BPF_MAP_TYPE_RINGBUF);\n\t__uint(max_entries, 0);\n} events SEC(".maps");\n
SEC("xdp")\nint one(struct xdp_md *ctx)\n{\n\tbpf_ringbuf_output(&events, &ctx->data, 0, 0);\n\treturn XDP_PASS;\n}
SEC("xdp")\nint two(struct xdp_md *ctx)\n{\n\treturn XDP_PASS;\n}\n${license}`;
    const uri = await client.open(path.join(scratch, 'map.bpf.c'), text);
    await client.finished(uri);
    const [found, ...others] = client.diagnostics(uri);
    expect(others).toEqual([]);
    expect(found!.code).toBe('bpf/map-create');
    expect(covered(text, found!)).toBe('0');
    expect(text.split('\n')[found!.range.start.line]).toContain('max_entries');
    expect(found!.message).toContain('power of two');
    await client.close(uri);
  });

  it('shows what libbpf cannot even open as a finding in the source', async () => {
    const text = `${head}struct {\n\t__uint(kind, BPF_MAP_TYPE_ARRAY);\n\t__uint(max_entries, 1);\n} counts SEC(".maps");\n${program('xdp', 'return bpf_map_lookup_elem(&counts, &ctx) != 0;').slice(head.length)}`;
    const uri = await client.open(path.join(scratch, 'open.bpf.c'), text);
    const status = await client.finished(uri);
    expect(status.problem).toBeUndefined();
    const [found, ...others] = client.diagnostics(uri);
    expect(others).toEqual([]);
    expect(found!.code).toBe('bpf/map-definition');
    expect(covered(text, found!)).toBe('__uint(kind, BPF_MAP_TYPE_ARRAY)');
    await client.close(uri);
  });

  it('names the same classes at the same places when everything is called otherwise', async () => {
    const text = `${head}struct {\n\t__uint(type, BPF_MAP_TYPE_ARRAY);\n\t__uint(max_entries, 1);\n\t__type(key, __u64);\n\t__type(value, __u64);\n} AAAA SEC(".maps");\n${program('xdp', 'return bpf_map_lookup_elem(&AAAA, &ctx) != 0;').slice(head.length)}`;
    const essence: unknown[] = [];
    for (const name of ['AAAA', 'map1', 'keys', 'type']) {
      const renamed = text.replaceAll('AAAA', name).replaceAll('program', `p_${name}`);
      const uri = await client.open(path.join(scratch, `rename-${name}.bpf.c`), renamed);
      await client.finished(uri);
      essence.push(client.diagnostics(uri).map(({ code, range }) => [code, range]));
      await client.close(uri);
    }
    expect(essence[0]).toHaveLength(1);
    for (const other of essence) expect(other).toEqual(essence[0]);
  });
});
