/** Whether a text uses a name, also inside a comment: enough to see that the file's headers have it. */
export function isLoneIdentifier(text: string, name: string): boolean {
  return new RegExp(`\\b${name}\\b`).test(text);
}

export function capitalised(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** `wanted`, or with a number behind it where the text has that word already. */
export function freeName(text: string, wanted: string): string {
  for (let count = 1; ; count++) {
    const name = count === 1 ? wanted : `${wanted}${count}`;
    if (!new RegExp(`\\b${name}\\b`).test(text)) return name;
  }
}
