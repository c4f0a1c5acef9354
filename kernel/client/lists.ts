/** What a kernel lists for attaching, kept for the session: the lists are long and hardly change. */
import type { KernelClient } from './client';

/** Each is undefined when the kernel does not show its list. */
export interface KernelLists {
  /** Functions whose name contains the text. */
  functionsWith(text: string): Promise<readonly string[] | undefined>;
  allFunctions(): Promise<readonly string[] | undefined>;
  /** As `category/name`. */
  tracepoints(): Promise<readonly string[] | undefined>;
}

/** More names than any kernel has functions. */
const ALL = 1_000_000;
/** Names that contain one text; beyond that the text says too little. */
const MANY = 10_000;

/** Modules come and go: a list is not believed for longer than this. */
const LISTS_MILLISECONDS = 60_000;

interface Answer {
  value: Promise<unknown>;
  since: number;
}
const sessions = new WeakMap<KernelClient, Map<string, Answer>>();

/**
 * An answer of the session, asked for once, or again when it is older than `milliseconds`. One that failed is
 * undefined and asked for again next time: whoever asks here wants to explain something, and says less without it.
 */
export function askOnce<T>(
  client: KernelClient,
  key: string,
  ask: () => Promise<T>,
  milliseconds = Infinity,
): Promise<T | undefined> {
  const answers = sessions.get(client) ?? new Map<string, Answer>();
  sessions.set(client, answers);
  let answer = answers.get(key);
  if (!answer || performance.now() - answer.since > milliseconds) {
    const value = ask().catch(() => void answers.delete(key));
    answer = { value, since: performance.now() };
    answers.set(key, answer);
  }
  return answer.value as Promise<T | undefined>;
}

export function kernelLists(client: KernelClient): KernelLists {
  const functions = (contains: string, limit: number) =>
    askOnce(
      client,
      `functions:${contains}`,
      async () => (await client.request('listKernelFunctions', { contains, limit })).functions,
      LISTS_MILLISECONDS,
    );
  return {
    functionsWith: (text) => functions(text, MANY),
    allFunctions: () => functions('', ALL),
    tracepoints: () =>
      askOnce(
        client,
        'tracepoints',
        async () => {
          const { tracepoints } = await client.request('listTracepoints', { contains: '', limit: ALL });
          return tracepoints.map(({ category, name }) => `${category}/${name}`);
        },
        LISTS_MILLISECONDS,
      ),
  };
}
