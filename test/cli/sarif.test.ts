/**
 * `verify --sarif` on several sources, held to SARIF 2.1.0: which properties each object may and must have
 * (the specification's chapter 3), and that what refers to something else in the log finds it there.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dist } from '../support/bpf-object';
import { startCommand } from './command-line';

const asRoot = process.geteuid?.() === 0;
const directory = mkdtempSync(path.join(os.tmpdir(), 'bpf-studio-sarif-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const head = `#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "Dual MIT/GPL";
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 8); __type(key, __u32); __type(value, __u64); } counts SEC(".maps");
`;
const sources = {
  'null.bpf.c': `${head}
SEC("xdp") int one(struct xdp_md *ctx)
{
	__u32 key = 1;
	__u64 *count = bpf_map_lookup_elem(&counts, &key);
	*count += 1;
	return XDP_PASS;
}
`,
  'a b%.bpf.c': `${head}
SEC("kprobe/vfs_reed") int hinted(void *ctx) { return 0; }
SEC("xdp") int two(struct xdp_md *ctx) { return *(int *)(long)ctx->data; }
`,
  'broken.bpf.c': `${head}\nint x = undeclared;\n`,
  'good.bpf.c': `${head}\nSEC("xdp") int good(struct xdp_md *ctx) { return XDP_PASS; }\n`,
};

type Json = Record<string, unknown>;
type Shape = Record<string, (value: unknown, at: string) => void>;

const text = (value: unknown, at: string) => expect(value, at).toEqual(expect.any(String));
const whole = (least: number) => (value: unknown, at: string) => {
  expect(Number.isInteger(value), at).toBe(true);
  expect(value as number, at).toBeGreaterThanOrEqual(least);
};
const oneOf =
  (...values: unknown[]) =>
  (value: unknown, at: string) =>
    expect(values, at).toContain(value);
const list = (of: (value: unknown, at: string) => void) => (value: unknown, at: string) => {
  expect(Array.isArray(value), at).toBe(true);
  for (const [index, one] of (value as unknown[]).entries()) of(one, `${at}[${index}]`);
};
/** An object with these properties and no others. */
const object =
  (required: Shape, optional: Shape = {}) =>
  (value: unknown, at: string) => {
    const known = { ...required, ...optional };
    expect(
      Object.keys(value as Json).filter((name) => !(name in known)),
      at,
    ).toEqual([]);
    expect(
      Object.keys(required).filter((name) => !(name in (value as Json))),
      at,
    ).toEqual([]);
    for (const [name, one] of Object.entries(value as Json)) known[name]!(one, `${at}.${name}`);
  };
const anything = () => {};

const uri = (value: unknown, at: string) => {
  // RFC 3986 allows no blank, and a percent sign only before two digits.
  expect(value as string, at).toMatch(/^(?:[\w.~:/?#[\]@!$&'()*+,;=-]|%[\dA-Fa-f]{2})+$/);
};
const message = object({ text }, { markdown: text });
const region = object({
  startLine: whole(1),
  startColumn: whole(1),
  endLine: whole(1),
  endColumn: whole(1),
});
const artifactLocation = object({ uri }, { uriBaseId: text });
const physicalLocation = object({ artifactLocation }, { region });
const location = object(
  { physicalLocation },
  { id: whole(0), message, logicalLocations: list(object({ name: text, kind: text })) },
);
const level = oneOf('none', 'note', 'warning', 'error');
const rule = object({ id: text, shortDescription: message }, { fullDescription: message, help: message });
const fix = object({
  description: message,
  artifactChanges: list(
    object({
      artifactLocation,
      replacements: list(object({ deletedRegion: region, insertedContent: object({ text }) })),
    }),
  ),
});
const result = object(
  { ruleId: text, ruleIndex: whole(0), level, message, locations: list(location) },
  {
    relatedLocations: list(location),
    codeFlows: list(
      object({
        threadFlows: list(object({ locations: list(object({ location, executionOrder: whole(0) })) })),
      }),
    ),
    fixes: list(fix),
    properties: anything,
  },
);
const run = object({
  tool: object({ driver: object({ name: text, semanticVersion: text, rules: list(rule) }) }),
  originalUriBaseIds: object({ ROOT: object({ uri }) }),
  columnKind: oneOf('utf16CodeUnits', 'unicodeCodePoints'),
  invocations: list(
    object(
      { executionSuccessful: oneOf(true, false) },
      {
        toolExecutionNotifications: list(
          object({ message }, { descriptor: object({ id: text }), level, locations: list(location) }),
        ),
      },
    ),
  ),
  results: list(result),
});
const log = object({ $schema: uri, version: oneOf('2.1.0'), runs: list(run) });

interface Region {
  startLine: number;
  startColumn: number;
  endLine: number;
  endColumn: number;
}
interface Result {
  ruleId: string;
  ruleIndex: number;
  level: string;
  locations: { physicalLocation: { artifactLocation: { uri: string }; region: Region } }[];
  fixes?: {
    artifactChanges: {
      artifactLocation: { uri: string; uriBaseId: string };
      replacements: { deletedRegion: Region; insertedContent: { text: string } }[];
    }[];
  }[];
}

describe.skipIf(!asRoot)('verify --sarif of several sources (needs root)', () => {
  let written: {
    runs: [
      {
        results: Result[];
        tool: { driver: { rules: Json[] } };
        originalUriBaseIds: { ROOT: { uri: string } };
        invocations: Json[];
      },
    ];
  };
  const run = (...args: string[]) =>
    startCommand([process.execPath, path.join(dist, 'cli.js'), 'verify', ...args], {
      cwd: directory,
      env: { ...process.env, NO_COLOR: '1' },
    }).finished;

  beforeAll(async () => {
    for (const [name, content] of Object.entries(sources)) writeFileSync(path.join(directory, name), content);
    const { stdout, status } = await run('--sarif', '--fixes', ...Object.keys(sources), 'missing.bpf.c');
    expect(status).toBe(2);
    written = JSON.parse(stdout) as typeof written;
  });

  it('has the properties that SARIF 2.1.0 names, and those that it demands', () => {
    log(written, 'log');
  });

  it('has each finding once, at its file', () => {
    const found = written.runs[0].results.map(({ ruleId, level, locations }) => [
      decodeURIComponent(locations[0]!.physicalLocation.artifactLocation.uri),
      ruleId,
      level,
    ]);
    expect(found).toEqual([
      ['null.bpf.c', 'bpf/null-deref', 'error'],
      ['a b%.bpf.c', 'bpf/attach-point', 'note'],
      ['a b%.bpf.c', 'bpf/packet-bounds', 'error'],
      ['broken.bpf.c', 'clang/error', 'error'],
    ]);
    expect(written.runs[0].invocations).toMatchObject([
      {
        executionSuccessful: false,
        toolExecutionNotifications: [
          { message: { text: expect.stringContaining('missing.bpf.c') as string } },
        ],
      },
    ]);
  });

  it('carries the documentation along, and no address that only this machine has', () => {
    const [{ results, tool }] = written.runs;
    for (const { ruleId, ruleIndex } of results) {
      const own = tool.driver.rules[ruleIndex] as { id: string; help?: { text: string; markdown: string } };
      expect(own.id).toBe(ruleId);
      if (!ruleId.startsWith('bpf/')) continue;
      expect(own.help!.text.length).toBeGreaterThan(40);
      expect(own.help!.markdown).toMatch(new RegExp(`^# ${ruleId}: [^]*\`\`\`c\\n`));
    }
    expect(JSON.stringify(tool)).not.toMatch(/file:\/\//);
  });

  it('has fixes whose replacements, applied, are accepted by the kernel', async () => {
    const [{ results, originalUriBaseIds }] = written.runs;
    const [fixed] = results.find(({ ruleId }) => ruleId === 'bpf/null-deref')!.fixes!;
    const { artifactLocation, replacements } = fixed!.artifactChanges[0]!;
    const file = fileURLToPath(new URL(artifactLocation.uri, originalUriBaseIds.ROOT.uri));
    expect(file).toBe(path.join(directory, 'null.bpf.c'));
    const old = readFileSync(file, 'utf8');
    const starts = [0, ...[...old.matchAll(/\n/g)].map(({ index }) => index + 1)];
    const changed = replacements.reduceRight((done, { deletedRegion: at, insertedContent }) => {
      const [from, to] = [
        starts[at.startLine - 1]! + at.startColumn - 1,
        starts[at.endLine - 1]! + at.endColumn - 1,
      ];
      return done.slice(0, from) + insertedContent.text + done.slice(to);
    }, old);
    writeFileSync(path.join(directory, 'changed.bpf.c'), changed);
    expect((await run('changed.bpf.c')).status).toBe(0);
  });

  it('--github and --json of the same sources name the same findings', async () => {
    const names = Object.keys(sources);
    const github = (await run('--github', ...names)).stdout.trimEnd().split('\n');
    expect(github.map((line) => /title=([\w/-]+)::/.exec(line)?.[1])).toEqual([
      'bpf/null-deref',
      'bpf/attach-point',
      'bpf/packet-bounds',
      'clang/error',
    ]);
    const json = (await run('--json', ...names)).json() as unknown as {
      file: string;
      programs: { diagnostics: { code: string }[] }[];
      diagnostics: { code: string }[];
    }[];
    expect(json.map(({ file }) => file)).toEqual(names);
    const codes = json.flatMap(({ programs, diagnostics }) =>
      [...diagnostics, ...programs.flatMap((program) => program.diagnostics)].map(({ code }) => code),
    );
    expect(codes).toEqual(['bpf/null-deref', 'bpf/attach-point', 'bpf/packet-bounds', 'clang/error']);
  });
});
