/** Which of the values that the debugger knows stand beside the code, and where. */

/**
 * Texts for expressions in the order of the source, `values` being what the debugger says of each, null for nothing. Where
 * a pointer leads is said once, behind the last line that names it: on each line it would hide the rest.
 */
export function inlineTexts<E extends { text: string }>(
  expressions: readonly E[],
  values: readonly (string | null)[],
): { at: E; text: string }[] {
  const last = new Map(expressions.map(({ text }, index) => [text, index]));
  return expressions.flatMap((at, index) => {
    const value = values[index] ?? null;
    const isSaidLater = value?.startsWith('→') && last.get(at.text) !== index;
    return value === null || isSaidLater ? [] : [{ at, text: `${at.text} ${value}` }];
  });
}
