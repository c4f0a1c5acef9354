/** Starts the work on the first `count` items now and on a further one whenever one is done; each is asked for in turn. */
export function inAdvance<T, R>(
  items: readonly T[],
  count: number,
  work: (item: T) => Promise<R>,
): (() => Promise<R>)[] {
  const started: (Promise<R> | undefined)[] = items.map(() => undefined);
  let next = 0;
  const start = (index: number): Promise<R> => (started[index] ??= work(items[index]!).finally(startNext));
  function startNext(): void {
    while (next < items.length && started[next] !== undefined) next++;
    // A failure is seen by whoever asks for this item.
    if (next < items.length) start(next).catch(() => {});
  }
  for (let index = 0; index < count; index++) startNext();
  return items.map((_, index) => () => start(index));
}

/** Files in work at a time: reading, compiling and verifying overlap, and a second core helps. */
export const FILES_AT_A_TIME = 4;
