import type { Btf } from '../../toolchain/btf/btf';
import { encode } from '../../toolchain/btf/encode';
import type { Outcome } from '../../toolchain/problem';

/**
 * A JSON value of a configuration as bytes of a type. A string stands for itself where the type holds text, and for
 * what it spells (`"0x10"`, `"XDP_DROP"`, `"10.0.0.1"`) where it does not.
 */
export function encodeJson(btf: Btf, type: number, value: unknown): Outcome<Uint8Array> {
  if (typeof value !== 'string') return encode(btf, type, JSON.stringify(value));
  const asText = encode(btf, type, JSON.stringify(value));
  return asText.ok ? asText : encode(btf, type, value);
}
