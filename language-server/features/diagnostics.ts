import { pathToFileURL } from 'node:url';
import type { Diagnostic as LspDiagnostic } from 'vscode-languageserver';
import type { Diagnostic } from '../../toolchain/diagnostic';
import { LOG_SCHEME } from '../protocol';

/**
 * Findings of one document as LSP has them, by the URI of the file they are in: the document itself, or a header.
 * @param uri the document's URI and `path` its path, so that an unsaved document keeps its own URI.
 */
export function toLspDiagnostics(
  diagnostics: Diagnostic[],
  uri: string,
  path: string,
): Map<string, LspDiagnostic[]> {
  const uriOf = (file: string): string => (file === path ? uri : pathToFileURL(file).href);
  const byFile = new Map<string, LspDiagnostic[]>([[uri, []]]);
  for (const diagnostic of diagnostics) {
    const target = uriOf(diagnostic.path);
    if (!byFile.has(target)) byFile.set(target, []);
    const log = diagnostic.data?.program === undefined ? undefined : logUri(uri, diagnostic.data.program);
    byFile.get(target)!.push({
      range: diagnostic.range,
      severity: diagnostic.severity,
      code: diagnostic.code,
      ...(log && diagnostic.source === 'verifier' && { codeDescription: { href: log } }),
      source: diagnostic.source,
      message: messageOf(diagnostic),
      relatedInformation: diagnostic.related.map((item) => ({
        location: { uri: uriOf(item.path), range: item.range },
        message: item.message,
      })),
      ...(diagnostic.data && { data: diagnostic.data }),
    });
  }
  return byFile;
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
