/** Whether a text uses a name, also inside a comment: enough to see that the file's headers have it. */
export function isLoneIdentifier(text: string, name: string): boolean {
  return new RegExp(`\\b${name}\\b`).test(text);
}

export function capitalised(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1);
}
