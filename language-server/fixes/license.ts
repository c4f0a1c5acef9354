/** A license that lets the program call what is for GPL-compatible programs only. */
import type { Candidate, Situation } from './fix';

export function addLicense({ source }: Situation): Candidate[] {
  const declared = source.variables.find(({ section }) => section === 'license');
  if (!declared) {
    const text = `${source.text.endsWith('\n') ? '' : '\n'}\nchar LICENSE[] SEC("license") = "GPL";\n`;
    const at = source.text.length;
    return [
      { title: 'Declare the license "GPL"', edits: [{ start: at, end: at, text }] },
      {
        title: 'Declare the license "Dual MIT/GPL"',
        edits: [{ start: at, end: at, text: text.replace('"GPL"', '"Dual MIT/GPL"') }],
        isAlternative: true,
      },
    ];
  }
  const { span, text } = declared;
  const literal =
    text === undefined
      ? -1
      : source.text.indexOf(`"${text}"`, declared.nameSpan.end + `SEC("license")`.length);
  if (text === undefined || literal < 0 || literal >= span.end) return [];
  const replace = (by: string, isAlternative: boolean): Candidate => ({
    title: `Change the license from "${text}" to "${by}"`,
    edits: [{ start: literal + 1, end: literal + 1 + text.length, text: by }],
    isAlternative,
  });
  // The kernel knows these two dual licenses (include/linux/license.h); with them the old one still holds.
  const dual = /MIT/i.test(text) ? 'Dual MIT/GPL' : /BSD/i.test(text) ? 'Dual BSD/GPL' : undefined;
  // Whoever wrote another license meant it, so only the author may change it.
  return dual
    ? [replace(dual, false), replace('GPL', true)]
    : [replace('GPL', true), replace('Dual MIT/GPL', true)];
}
