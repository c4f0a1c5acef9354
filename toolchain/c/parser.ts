/** tree-sitter-c, loaded once for the process from the WebAssembly files beside the bundle or in node_modules. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Language, Parser } from 'web-tree-sitter';

let loading: Promise<Parser> | undefined;

/** The C parser. Rejects when its WebAssembly files cannot be read: the installation is damaged. */
export function loadParser(): Promise<Parser> {
  loading ??= load();
  return loading;
}

async function load(): Promise<Parser> {
  const runtime = await readFile(locate('web-tree-sitter.wasm', 'web-tree-sitter/web-tree-sitter.wasm'));
  const grammar = await readFile(locate('tree-sitter-c.wasm', 'tree-sitter-c/tree-sitter-c.wasm'));
  await Parser.init({ wasmBinary: runtime });
  const parser = new Parser();
  parser.setLanguage(await Language.load(grammar));
  return parser;
}

function locate(besideBundle: string, inPackage: string): string {
  const bundled = path.join(path.dirname(fileURLToPath(import.meta.url)), besideBundle);
  return existsSync(bundled) ? bundled : createRequire(import.meta.url).resolve(inPackage);
}
