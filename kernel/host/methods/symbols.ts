/** Requests about addresses of the kernel. */
import { symbolize } from '../kallsyms';
import type { Handlers } from '../session';

export const symbolHandlers: Pick<Handlers, 'symbolize'> = {
  symbolize: (_session, { addresses }) => symbolize(addresses),
};
