/** Expressions that only say how wide a variable is in its register. */
import { Op } from './constants';
import { Cursor } from './cursor';

/**
 * The register and the types that its value is converted to, one after another, as offsets within the unit: what clang
 * writes for a variable that is kept in a register of another width. Undefined for every other expression.
 */
export function readConversions(expression: Uint8Array): { register: number; types: number[] } | undefined {
  const view = new DataView(expression.buffer, expression.byteOffset, expression.byteLength);
  const cursor = new Cursor(view, true, 0);
  const base = cursor.u8();
  if (base < Op.Breg0 || base >= Op.Breg0 + 32 || cursor.sleb64() !== 0n) return undefined;
  const types: number[] = [];
  while (cursor.more && !cursor.failed) {
    const op = cursor.u8();
    if (op === Op.StackValue)
      return cursor.more || cursor.failed ? undefined : { register: base - Op.Breg0, types };
    if (op !== Op.Convert) return undefined;
    types.push(Number(cursor.uleb64()));
  }
  return undefined;
}
