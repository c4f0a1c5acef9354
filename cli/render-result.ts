import type { Diagnostic } from '../toolchain/diagnostic';
import type { FileResult } from './verify-file';
import type { Io } from './io';
export function renderResult(result: FileResult, _io: Io): string {
  return JSON.stringify(result.json, null, 1) + '\n';
}
export function renderDiagnostics(d: Diagnostic[], _io: Io): string {
  return JSON.stringify(d, null, 1) + '\n';
}
