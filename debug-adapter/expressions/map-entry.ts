/** `map[key]`: an entry of a map, its key written as rows show it or as a C expression. */
import { decode, decodeBytes } from '../../toolchain/btf/value';
import type { Outcome } from '../../toolchain/problem';
import { whyHidden, isPerCpu } from '../variables/map-kinds';
import type { TypedMap } from '../variables/maps';
import type { Evaluator } from './evaluate';
import { encodeAs, encodeKey } from './keys';
import { knownBytes, promoted, Refused, typedValue } from './operands';
import type { Operand } from './operands';
import type { TypedValue } from './scope';
import type { ExpressionNode } from './syntax';

/** An entry's value; for per-CPU maps it is that of all CPUs, of which `.cpu0` takes one. */
export function entryOperand(
  evaluator: Evaluator,
  map: TypedMap,
  text: string,
  asked: { key: string; index: Outcome<ExpressionNode> },
): Operand {
  const isFilter = map.map.type === 'bloom_filter';
  const hidden = isFilter ? undefined : whyHidden(map.map);
  if (hidden !== undefined) throw new Refused(`${map.map.name}[…] has no value: ${hidden}.`);
  const key = keyOf(evaluator, map, asked, isFilter);
  const found = evaluator.scope.lookup(map, key);
  if (!found.ok) throw new Refused(found.problem);
  if (isFilter) {
    const type = evaluator.scope.types.integer(1, false, '_Bool');
    const bytes = Uint8Array.of(found.value ? 1 : 0);
    const value = decode(evaluator.scope.types, type, bytes);
    return { kind: 'value', typed: { value, known: Uint8Array.of(1), entry: { map, key } } };
  }
  if (!found.value)
    throw new Refused({
      code: 'expression/no-entry',
      message: `${map.map.name} has no entry ${asked.key}.`,
      hint: 'The Maps scope lists those that it has.',
    });
  return { kind: 'value', typed: typedEntry(evaluator, map, key, found.value, text) };
}

function typedEntry(
  { scope }: Evaluator,
  map: TypedMap,
  key: Uint8Array,
  { bytes, known, address }: { bytes: Uint8Array; known: Uint8Array; address?: bigint },
  name: string,
): TypedValue {
  const type = isPerCpu(map.map) ? undefined : scope.types.numberOf(map.btf, map.valueType);
  return {
    value: type ? decode(scope.types, type, bytes, { name }) : decodeBytes(bytes, { name }),
    known,
    entry: { map, key },
    ...(address === undefined ? {} : { address }),
  };
}

/** `percpu[0].cpu1`: one CPU's value. */
export function cpuOperand(
  { scope }: Evaluator,
  typed: TypedValue,
  cpu: number,
  text: string,
): Operand | undefined {
  const { entry, value, known } = typed;
  if (!entry || !isPerCpu(entry.map.map) || value.path !== '' || value.kind !== 'bytes') return undefined;
  const { valueSize } = entry.map.map;
  const from = cpu * Math.ceil(valueSize / 8) * 8;
  if (from + valueSize > value.source.bytes.length) throw new Refused(`There is no CPU ${cpu}.`);
  const bytes = value.source.bytes.subarray(from, from + valueSize);
  const type = scope.types.numberOf(entry.map.btf, entry.map.valueType);
  return {
    kind: 'value',
    typed: {
      value: type ? decode(scope.types, type, bytes, { name: text }) : decodeBytes(bytes, { name: text }),
      known: known.subarray(from, from + valueSize),
      entry: { ...entry, cpu },
    },
  };
}

function keyOf(
  evaluator: Evaluator,
  map: TypedMap,
  { key, index }: { key: string; index: Outcome<ExpressionNode> },
  isFilter: boolean,
): Uint8Array {
  const { map: shape, keyType, valueType } = map;
  const written = isFilter ? encodeAs(map, valueType, shape.valueSize, key) : encodeKey(map, key);
  if (written.ok) return written.value;
  // What is no key may be an expression whose value is one; text and numbers are what they are.
  if (!index.ok || index.value.kind === 'string' || index.value.kind === 'number')
    throw new Refused(written.problem);
  const size = isFilter ? shape.valueSize : shape.keySize;
  const type = evaluator.scope.types.numberOf(map.btf, isFilter ? valueType : keyType);
  const operand = evaluator.operand(index.value);
  const typed = typedValue(evaluator.scope, operand);
  const isWhole = typed && ['struct', 'union', 'array', 'text'].includes(typed.value.kind);
  if (isWhole) {
    const bytes = knownBytes(typed, index.value.text);
    if (bytes.length === size) return bytes.slice();
    throw new Refused(
      `${index.value.text} has ${bytes.length} bytes, and a key of ${shape.name} has ${size}.`,
    );
  }
  const kind = type && evaluator.scope.types.resolve(type).kind;
  if (kind === 'struct' || kind === 'union' || kind === 'array' || size > 8)
    throw new Refused(written.problem);
  const bytes = new Uint8Array(size);
  let rest = BigInt.asUintN(64, promoted(evaluator.scalar(index.value)).value);
  for (let at = 0; at < size; at++, rest >>= 8n)
    bytes[evaluator.scope.types.littleEndian ? at : size - 1 - at] = Number(rest & 0xffn);
  return bytes;
}
