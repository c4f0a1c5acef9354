/** Which C files are BPF programs, decided cheaply so that ordinary C projects pay nothing. */

/** Headers that only BPF programs include. */
const BPF_HEADERS =
  /^[ \t]*#[ \t]*include[ \t]*[<"](?:[^">\n]*\/)?(?:vmlinux|bpf_helpers|bpf_tracing|bpf_core_read)\.h[">]/m;

/** Includes stand at the top; beyond this nobody looks. */
const HEAD = 64 * 1024;

/**
 * Whether a file is worth starting the language server for. The server decides for good; this may say yes too
 * often, never too seldom within the first 64 KiB.
 */
export function looksLikeBpfSource(fileName: string, text: string): boolean {
  return /\.bpf\.[ch]$/.test(fileName) || BPF_HEADERS.test(text.slice(0, HEAD));
}
