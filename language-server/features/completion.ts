import { CompletionItemKind, type CompletionItem, type Position } from 'vscode-languageserver';
import type { SourceFile } from '../../toolchain/c/source';
import { helpers, kfuncs, mapTypes } from './headers';
import { sections } from '../../toolchain/program/sections';

/** At most this many items: the editor asks again as more is typed. */
const MAX_ITEMS = 500;

/**
 * Section names inside `SEC("…")`, map types inside `__uint(type, …)`, map names after `&`, otherwise helpers,
 * kernel functions and the file's own names, helpers first. Nothing inside comments and other strings.
 */
export function completions(
  source: SourceFile,
  args: readonly string[],
  position: Position,
): { items: CompletionItem[]; isIncomplete: boolean } {
  const start = source.tokens.lineStarts[position.line];
  if (start === undefined) return { items: [], isIncomplete: false };
  const before = source.text.slice(start, start + position.character);
  const items = itemsAt(source, args, position, before);
  return { items: items.slice(0, MAX_ITEMS), isIncomplete: items.length > MAX_ITEMS };
}

function itemsAt(
  source: SourceFile,
  args: readonly string[],
  position: Position,
  before: string,
): CompletionItem[] {
  const section = /\bSEC\(\s*"([^"]*)$/.exec(before);
  if (section) return sectionItems(position, section[1]!);
  if (/__uint\(\s*type\s*,\s*\w*$/.test(before)) {
    return mapTypes(args).map((label) => ({ label, kind: CompletionItemKind.EnumMember }));
  }
  if (isInCommentOrString(before)) return [];
  const prefix = /\w*$/.exec(before)![0];
  const beforeWord = before.slice(0, before.length - prefix.length).trimEnd();
  if (/(->|\.)$/.test(beforeWord)) return [];
  const maps = source.maps.map(({ name, members }): CompletionItem => {
    const detail = members.find((member) => member.name === 'type')?.value;
    return {
      label: name,
      kind: CompletionItemKind.Variable,
      ...(detail && { detail }),
      sortText: `0${name}`,
    };
  });
  if (/[(,=]\s*&$/.test(beforeWord)) return matching(maps, prefix);
  return matching([...helperItems(args), ...maps, ...ownFunctions(source), ...kfuncItems(args)], prefix);
}

function sectionItems(position: Position, typed: string): CompletionItem[] {
  const start = { line: position.line, character: position.character - typed.length };
  return sections.map(({ name, meaning }) => ({
    label: name,
    kind: CompletionItemKind.Event,
    documentation: meaning,
    // The whole string is one word here, slashes and dots included.
    textEdit: { range: { start, end: position }, newText: name },
    filterText: name,
  }));
}

function helperItems(args: readonly string[]): CompletionItem[] {
  return [...helpers(args).values()].map(({ name, signature }) => ({
    label: name,
    kind: CompletionItemKind.Function,
    detail: signature,
    sortText: `1${name}`,
  }));
}

function kfuncItems(args: readonly string[]): CompletionItem[] {
  return [...kfuncs(args)].map(([label, detail]) => ({
    label,
    detail,
    kind: CompletionItemKind.Function,
    sortText: `2${label}`,
  }));
}

function ownFunctions(source: SourceFile): CompletionItem[] {
  return source.functions.map(({ name }) => ({
    label: name,
    kind: CompletionItemKind.Function,
    sortText: `0${name}`,
  }));
}

function matching(items: CompletionItem[], prefix: string): CompletionItem[] {
  if (!prefix) return items.filter(({ sortText }) => sortText?.startsWith('0'));
  const wanted = prefix.toLowerCase();
  const seen = new Set<string>();
  return items
    .filter(({ label }) => label.toLowerCase().startsWith(wanted) && !seen.has(label) && seen.add(label))
    .sort((a, b) => (a.sortText! < b.sortText! ? -1 : 1));
}

function isInCommentOrString(before: string): boolean {
  const code = before.replace(/"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/g, '');
  return /\/\/|\/\*(?!.*\*\/)|"|^\s*\*\s/.test(code);
}
