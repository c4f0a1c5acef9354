import type { Hover, MarkupContent, Position } from 'vscode-languageserver';
import type { BpfObject } from '../../toolchain/elf/object';
import type { MapDefinition } from '../../toolchain/c/outline';
import { positionAt, type SourceFile } from '../../toolchain/c/source';
import { Kind } from '../../toolchain/c/tokens';
import type { DocumentStatusParams } from '../protocol';
import { verdictText } from './code-lens';
import { declarationOf, wordAt } from './definition';
import { helpers, kfuncs } from './headers';
import { sectionOf } from '../../toolchain/program/sections';

export interface HoverContext {
  source: SourceFile;
  status: DocumentStatusParams;
  /** The compiler's flags, which say where headers are. */
  args: readonly string[];
  /** The object of the text, when it compiles: it knows sizes. */
  object: BpfObject | undefined;
}

/** What is known of the program, section, map, helper or kernel function at a position. */
export function hover(context: HoverContext, position: Position): Hover | undefined {
  const { source } = context;
  const word = wordAt(source, position);
  if (!word) return undefined;
  const text =
    word.kind === Kind.String ? sectionText(context, word.span.start) : wordText(context, word.text);
  if (!text) return undefined;
  const range = { start: positionAt(source, word.span.start), end: positionAt(source, word.span.end) };
  return { contents: { kind: 'markdown', value: text }, range };
}

/** A hover, and below it what the verifier knows at its line. */
export function withKnowledge(about: Hover | undefined, known: string | undefined): Hover | undefined {
  if (!known) return about;
  const text = about && (about.contents as MarkupContent).value;
  return { ...about, contents: { kind: 'markdown', value: text ? `${text}\n\n---\n\n${known}` : known } };
}

function wordText(context: HoverContext, name: string): string | undefined {
  const declaration = declarationOf(context.source, name);
  if (declaration?.kind === 'program') return programText(context, name, declaration.section);
  if (declaration?.kind === 'map') return mapText(context, declaration);
  const helper = helpers(context.args).get(name);
  if (helper) return `${code(helper.signature)}\n\n${fence(helper.text, 'text')}\n\n*from bpf_helper_defs.h*`;
  const kfunc = kfuncs(context.args).get(name);
  return kfunc && `${code(kfunc)}\n\nKernel function (kfunc), declared in vmlinux.h.`;
}

function programText({ status }: HoverContext, name: string, section: string): string | undefined {
  const program = status.programs.find((one) => one.name === name);
  if (!program) return undefined;
  const type = program.type ? `Program type \`${program.type}\`. ` : '';
  const time = program.microseconds ? ` in ${program.microseconds.toLocaleString('en-US')} µs` : '';
  return `**${verdictText(program, status)}**${time}\n\n${type}${sectionOf(section)?.meaning ?? ''}`.trim();
}

function sectionText({ source }: HoverContext, offset: number): string | undefined {
  const program = source.programs.find(({ sectionSpan }) => sectionSpan.start - 1 === offset);
  const section = program && sectionOf(program.section);
  return section && `\`SEC("${program.section}")\`\n\n${section.meaning}`;
}

function mapText({ object }: HoverContext, map: MapDefinition): string {
  const compiled = object?.maps.find(({ name }) => name === map.name);
  const size = (bytes: number | undefined): string =>
    bytes ? ` — ${bytes.toLocaleString('en-US')} bytes` : '';
  const rows = map.members.map(({ name, value }) => {
    const bytes = name === 'key' ? compiled?.keySize : name === 'value' ? compiled?.valueSize : undefined;
    return `- ${name}: \`${value}\`${size(bytes)}`;
  });
  return [`**map ${map.name}**`, ...rows].join('\n');
}

function code(text: string): string {
  return fence(text, 'c');
}

function fence(text: string, language: string): string {
  return `\`\`\`${language}\n${text.replaceAll('```', "'''")}\n\`\`\``;
}
