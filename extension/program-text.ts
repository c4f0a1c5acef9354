/** Programs of a source by its text alone, for the moments before the language server has spoken. */
import type { ProgramStatus } from '../language-server/protocol';

/**
 * `SEC("…")` followed by a function, by its text alone. Sections that hold no program (maps, license, version,
 * struct_ops members' container) are left out.
 */
export function programsInText(text: string): ProgramStatus[] {
  const pattern =
    /^[ \t]*SEC\("([^"\n]+)"\)([\s\S]{0,300}?)\b(?:(?:BPF_[A-Z_0-9]+)\s*\(\s*([A-Za-z_]\w*)|([A-Za-z_]\w*)\s*\()/gm;
  const programs: ProgramStatus[] = [];
  for (const match of text.matchAll(pattern)) {
    const [whole, section = '', between = '', macroName, plainName] = match;
    if (/[;={]/.test(between) || /^(\.?maps|license|version|\.struct_ops|\.ksyms|\.kconfig)/.test(section))
      continue;
    const name = macroName ?? plainName ?? '';
    const line = text.slice(0, match.index + whole.lastIndexOf(name)).split('\n').length - 1;
    programs.push({ name, section, type: '', line, verdict: 'unknown' });
  }
  return programs;
}
