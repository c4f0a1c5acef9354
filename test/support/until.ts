/** Waiting for what happens without a test's doing. */

/**
 * How long a test waits for anything before it gives up. It costs time only where something is broken, so it is far
 * more than a slow and busy machine needs.
 */
export const PATIENCE_MS = 60_000;

/** Resolves with the first value of `look` that is not false or nothing; rejects after `ms` with `what`. */
export async function until<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  ms = PATIENCE_MS,
): Promise<T> {
  const deadline = Date.now() + ms;
  for (;;) {
    const value = await look();
    if (value !== undefined && value !== false) return value;
    if (Date.now() > deadline) throw new Error(`not within ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
