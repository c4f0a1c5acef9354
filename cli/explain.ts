/** The kernel's words on one file's programs as findings in its source. */
import path from 'node:path';
import type { ProgramVerdict } from '../kernel/protocol';
import type { Diagnostic } from '../toolchain/diagnostic';
import { readBpfObject } from '../toolchain/elf/object';
import { toDiagnostics } from '../toolchain/verifier/diagnostics';
import { explain } from '../toolchain/verifier/report';
import type { Input } from './source';

export function explainer(input: Input, kernel: string): (verdict: ProgramVerdict) => Diagnostic[] {
  const read = readBpfObject(Uint8Array.from(input.object!));
  const btf = read.ok ? read.value.btf : undefined;
  // A compiler writes the names it was given, relative to where it ran: the source's directory for us, anywhere for
  // an object. What does not exist there is shown as it is written.
  const mapPath = (file: string) => path.resolve(path.dirname(input.path), file);
  return (verdict) => toDiagnostics(explain(verdict, { btf, kernel, mapPath }), { path: input.path });
}
