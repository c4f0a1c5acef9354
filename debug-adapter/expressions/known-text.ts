/** What is said instead of a value of which not everything is known. */
import { NOT_SHOWN } from '../stepping/shown';
import type { TypedValue } from './scope';

/** Undefined: all of it is known. */
export function knownText({ value, known }: TypedValue): string | undefined {
  const seen = known.subarray(value.offset, value.offset + value.size);
  if (!seen.includes(0)) return undefined;
  return seen.includes(1) && value.childCount > 0 ? 'known in parts' : NOT_SHOWN;
}
