/** What `bpf-studio verify` writes for people. */
export { wantsColor } from './color';
export { renderDiagnostic } from './diagnostic';
export type { RenderOptions } from './diagnostic';
export { renderVerdict } from './verdict';
export type { VerdictLine } from './verdict';
