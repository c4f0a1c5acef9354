/** Colour in a terminal, only where it is wanted. */
export type Style = 'error' | 'warning' | 'note' | 'good' | 'gutter' | 'strong';

/** Select Graphic Rendition codes, ECMA-48. */
const codes: Record<Style, string> = {
  error: '1;31',
  warning: '1;33',
  note: '36',
  good: '32',
  gutter: '34',
  strong: '1',
};

/** A function that colours text, or leaves it alone. */
export function paint(color: boolean): (style: Style, text: string) => string {
  return (style, text) => (color && text ? `\u001b[${codes[style]}m${text}\u001b[0m` : text);
}

/**
 * Whether to colour what goes to a stream: a terminal, unless NO_COLOR (no-color.org) or TERM=dumb says no; anything
 * with FORCE_COLOR.
 */
export function wantsColor(stream: { isTTY?: boolean }, env: Record<string, string | undefined>): boolean {
  if (env.NO_COLOR) return false;
  if (env.FORCE_COLOR !== undefined) return env.FORCE_COLOR !== '0';
  return stream.isTTY === true && env.TERM !== 'dumb';
}
