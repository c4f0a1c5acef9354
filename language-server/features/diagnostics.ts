import { pathToFileURL } from 'node:url';
import type { Diagnostic as LspDiagnostic, DiagnosticRelatedInformation } from 'vscode-languageserver';
import type { Diagnostic } from '../../toolchain/diagnostic';
import type { Pages } from '../pages';
import { LOG_SCHEME } from '../protocol';

/** The document whose findings they are: its URI, so that an unsaved one keeps its own, and its path. */
export interface Origin {
  uri: string;
  path: string;
  pages: Pages;
}

/** Findings of one document as LSP has them, by the URI of the file they are in: the document itself, or a header. */
export function toLspDiagnostics(
  diagnostics: Diagnostic[],
  { uri, path, pages }: Origin,
): Map<string, LspDiagnostic[]> {
  const uriOf = (file: string): string => (file === path ? uri : pathToFileURL(file).href);
  const byFile = new Map<string, LspDiagnostic[]>([[uri, []]]);
  for (const diagnostic of diagnostics) {
    const target = uriOf(diagnostic.path);
    if (!byFile.has(target)) byFile.set(target, []);
    const page = pages(diagnostic.code);
    byFile.get(target)!.push({
      range: diagnostic.range,
      severity: diagnostic.severity,
      code: diagnostic.code,
      ...(page !== undefined && { codeDescription: { href: page } }),
      source: diagnostic.source,
      message: messageOf(diagnostic),
      relatedInformation: [
        ...diagnostic.related.map((item) => ({
          location: { uri: uriOf(item.path), range: item.range },
          message: item.message,
        })),
        ...wholeLog(diagnostic, uri),
      ],
      ...(diagnostic.data && { data: diagnostic.data }),
    });
  }
  return byFile;
}

/** The way to the verifier's log, at the instruction it refused. */
function wholeLog({ source, data }: Diagnostic, uri: string): DiagnosticRelatedInformation[] {
  if (source !== 'verifier' || data?.program === undefined) return [];
  const position = { line: data.logLine ?? 0, character: 0 };
  const location = { uri: logUri(uri, data.program), range: { start: position, end: position } };
  return [{ location, message: 'the verifier’s whole log' }];
}

/** The explanation, then the kernel's or libbpf's own words when they are not in it already, then what to do. */
function messageOf({ message, source, data }: Diagnostic): string {
  const lines = [message];
  const words = data?.kernelMessage;
  if (words && !message.includes(words)) {
    const kernel = data.kernel ? `Linux ${data.kernel}` : 'The kernel';
    lines.push(`${source === 'libbpf' || source === 'clang' ? source : kernel} says: ${words}`);
  }
  if (data?.help) lines.push(data.help);
  return lines.join('\n');
}

/** Address of a program's verifier log as a read-only document of the editor. */
export function logUri(source: string, program: string): string {
  return `${LOG_SCHEME}:/${program}.bpflog?${encodeURIComponent(source)}`;
}
