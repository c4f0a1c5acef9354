/** The manifest says the same as the code: commands, settings, debug attributes, menus, files and translated strings. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { attachArguments, launchArguments } from '../debug-adapter/arguments';
import { specExamples } from '../debug-adapter/runner/attach-spec';
import { attachSpec } from '../kernel/protocol';
import { EditorCommands, LOG_SCHEME } from '../language-server/protocol';
import { layersJsonSchema } from '../toolchain/packet/schema';

type Json = Record<string, unknown>;

const root = path.resolve(__dirname, '..');
const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
  main: string;
  icon: string;
  activationEvents: string[];
  capabilities: { untrustedWorkspaces: { restrictedConfigurations: string[] } };
  contributes: {
    commands: { command: string; category: string }[];
    menus: Record<string, { command: string }[]>;
    configuration: { properties: Record<string, { default: unknown; scope: string; enum?: string[] }> };
    languages: { id: string; configuration?: string }[];
    grammars: { path: string }[];
    debuggers: [
      {
        type: string;
        configurationAttributes: Record<'launch' | 'attach', { properties: Record<string, Json> }>;
      },
    ];
    walkthroughs: {
      steps: { description: string; media: { markdown: string }; completionEvents: string[] }[];
    }[];
    viewsWelcome: { contents: string }[];
  };
};
const { contributes } = manifest;
const nls = JSON.parse(readFileSync(path.join(root, 'package.nls.json'), 'utf8')) as Record<string, string>;
const sources = readdirSync(__dirname, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
  .map((file) => readFileSync(path.join(__dirname, file), 'utf8'))
  .join('\n');

/** Commands that buttons of the extension's own start, and nobody types. */
const INTERNAL = ['bpf.cancelKernelStart'];

function registeredCommands(): string[] {
  const ids = [
    ...sources.matchAll(/\b(?:registerCommand|command)\(\s*(?:'(bpf\.\w+)'|EditorCommands\.(\w+))/g),
  ];
  return ids.map(([, id, name]) => id ?? EditorCommands[name as keyof typeof EditorCommands]);
}

describe('commands', () => {
  const contributed = contributes.commands.map(({ command }) => command);

  test('every command that is contributed is registered, and the other way round', () => {
    const registered = registeredCommands().filter((id) => !INTERNAL.includes(id));
    expect([...new Set(registered)].sort()).toEqual([...contributed].sort());
  });

  test('every command that menus, walkthrough, welcome views and the server mention exists', () => {
    const texts = [
      ...contributes.walkthroughs.flatMap(({ steps }) =>
        steps.map(({ description }) => translate(description)),
      ),
      ...contributes.viewsWelcome.map(({ contents }) => translate(contents)),
    ].join('\n');
    const mentioned = [
      ...Object.values(contributes.menus).flatMap((items) => items.map(({ command }) => command)),
      ...[...texts.matchAll(/\(command:(bpf\.\w+)\)/g)].map(([, id]) => id!),
      ...contributes.walkthroughs
        .flatMap(({ steps }) => steps.flatMap(({ completionEvents }) => completionEvents))
        .flatMap((event) => /^onCommand:(bpf\..*)/.exec(event)?.[1] ?? []),
      ...Object.values(EditorCommands),
      ...[...sources.matchAll(/command: '(bpf\.\w+)'/g)].map(([, id]) => id!),
    ];
    expect(mentioned.filter((id) => !contributed.includes(id) && !INTERNAL.includes(id))).toEqual([]);
  });

  test('the palette shows them under one category', () => {
    expect(new Set(contributes.commands.map(({ category }) => category))).toEqual(new Set(['BPF']));
  });
});

describe('settings', () => {
  const properties = contributes.configuration.properties;

  test('the code reads what is contributed, with the same defaults', () => {
    const text = readFileSync(path.join(__dirname, 'settings.ts'), 'utf8');
    const read = [...text.matchAll(/\.get(?:<[^>]*>)?\('([\w.]+)', ([^)]+)\)/g)].map(([, key, fallback]) => [
      `bpf.${key}`,
      JSON.parse(fallback!.replaceAll("'", '"')) as unknown,
    ]);
    const contributed = Object.entries(properties)
      // vscode-languageclient reads this one itself.
      .filter(([key]) => key !== 'bpf.trace.server')
      .map(([key, { default: value }]) => [key, value]);
    expect(Object.fromEntries(contributed)).toEqual(Object.fromEntries(read));
  });

  test('what starts programs or names files cannot be set by an untrusted workspace', () => {
    const restricted = manifest.capabilities.untrustedWorkspaces.restrictedConfigurations;
    const machine = Object.entries(properties).filter(([, { scope }]) => scope === 'machine-overridable');
    expect([...restricted].sort()).toEqual(machine.map(([key]) => key).sort());
  });
});

describe('debug configurations', () => {
  const [{ configurationAttributes }] = contributes.debuggers;
  /** Put in by the extension and by VS Code; nobody writes them. */
  const notWritten = ['hostSocket', 'unlisted', 'noDebug'];

  test.each([
    ['launch', launchArguments],
    ['attach', attachArguments],
  ] as const)('%s has the attributes that the adapter takes', (request, schema) => {
    const taken = Object.keys((schema as unknown as z.ZodObject).shape).filter(
      (name) => !notWritten.includes(name),
    );
    expect(Object.keys(configurationAttributes[request].properties).sort()).toEqual(taken.sort());
  });

  test('a packet has the layers and fields that toolchain/packet takes', () => {
    const { oneOf } = configurationAttributes.launch.properties.packet as { oneOf: Json[] };
    expect(oneOf.find((choice) => choice.type === 'array')).toEqual(
      JSON.parse(JSON.stringify(layersJsonSchema())),
    );
  });

  test('an attach spec has the hooks and fields that the kernel host takes', () => {
    const ours = (
      configurationAttributes.attach.properties.attach as unknown as {
        items: { properties: { spec: { oneOf: Variant[] } } };
      }
    ).items.properties.spec.oneOf;
    const theirs = z.toJSONSchema(attachSpec, { unrepresentable: 'any', io: 'input' }).oneOf as Variant[];
    expect(ours.map(shape)).toEqual(theirs.map(shape));
  });

  test('completion offers the examples of attach specs that error messages give', () => {
    const { attach } = configurationAttributes.attach.properties as unknown as {
      attach: { items: { properties: { spec: { defaultSnippets: { label: string; body: Json }[] } } } };
    };
    const offered = attach.items.properties.spec.defaultSnippets.map(({ label, body }) => [label, body]);
    expect(Object.fromEntries(offered)).toEqual(specExamples);
  });
});

interface Variant {
  properties: Record<string, { const?: string; enum?: string[] }>;
  required?: string[];
}

function shape({ properties, required }: Variant) {
  const fields = Object.entries(properties).map(([name, field]) => [
    name,
    field.const ?? field.enum ?? 'any',
  ]);
  return { fields: Object.fromEntries(fields) as Json, required: [...(required ?? [])].sort() };
}

describe('files and words', () => {
  test('every file that the manifest names exists', () => {
    const named = [
      manifest.icon,
      ...contributes.grammars.map((grammar) => grammar.path),
      ...contributes.languages.flatMap(({ configuration }) => configuration ?? []),
      ...contributes.walkthroughs.flatMap(({ steps }) => steps.map(({ media }) => media.markdown)),
    ];
    expect(named.filter((file) => !existsSync(path.join(root, file)))).toEqual([]);
  });

  test('every translated string is used, and every use has one', () => {
    const used = [...JSON.stringify(manifest).matchAll(/"%([\w.-]+)%"/g)].map(([, key]) => key!);
    expect([...new Set(used)].sort()).toEqual(Object.keys(nls).sort());
  });

  test('the log document has a language and a grammar', () => {
    expect(contributes.languages.map(({ id }) => id)).toContain(LOG_SCHEME);
  });

  test('nothing activates the extension in every window', () => {
    expect(manifest.activationEvents).not.toContain('*');
    expect(manifest.activationEvents).not.toContain('onStartupFinished');
  });
});

function translate(text: string): string {
  const key = /^%(.+)%$/.exec(text)?.[1];
  return key === undefined ? text : (nls[key] ?? text);
}
