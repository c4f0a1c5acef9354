/**
 * Spells a state as the kernels print it, from what was read of it: if that is the text it was read from, nothing
 * was lost or misread. Written after what the kernels print, not after the reader.
 */
import type { Liveness, PrintedState, StackSlot } from '../../toolchain/verifier/state';
import { anyNumber, constantOf } from '../../toolchain/verifier/value';
import type { Bounds, Value } from '../../toolchain/verifier/value';

/** `inv`: up to 5.17; `scalar`: up to 6.7; `grouped`: limits that are equal share a value, `smin=umin=1`. */
export type Dialect = 'inv' | 'scalar' | 'grouped';

export function dialectOf({ major, minor }: { major: number; minor: number }): Dialect {
  const version = major * 100 + minor;
  return version < 518 ? 'inv' : version < 608 ? 'scalar' : 'grouped';
}

/** Without what stands before the first register. */
export function spellState(state: PrintedState, dialect: Dialect): string {
  const words = [
    ...state.registers.map(
      (one) => `R${one.number}${liveness(one)}=${spellValue(one.value, dialect, false)}`,
    ),
    ...state.stack.map((slot) => `fp${slot.offset}${liveness(slot)}=${spellSlot(slot, dialect)}`),
    ...(state.references.length ? [`refs=${state.references.join(',')}`] : []),
    ...(state.inCallback ? ['cb'] : []),
    ...(state.inAsyncCallback ? ['async_cb'] : []),
  ];
  return words.join(' ');
}

function liveness({ read, written, done }: Liveness): string {
  const letters = `${read ? 'r' : ''}${written ? 'w' : ''}${done ? 'D' : ''}`;
  return letters && `_${letters}`;
}

function spellSlot(slot: StackSlot, dialect: Dialect): string {
  const { object } = slot;
  if (!object) return slot.bytes + (slot.value ? spellValue(slot.value, dialect, dialect !== 'grouped') : '');
  const fields = [
    object.id && `id=${object.id}`,
    object.reference && `ref_id=${object.reference}`,
    object.parent && `parent_id=${object.parent}`,
    object.dynptrId && `dynptr_id=${object.dynptrId}`,
    object.state && `state=${object.state},depth=${object.depth}`,
  ];
  return `${object.kind}_${object.name}(${fields.filter(Boolean).join(',')})`;
}

function spellValue(value: Value, dialect: Dialect, isBare: boolean): string {
  const exact = constantOf(value.bounds);
  const isNumber = value.type === 'scalar';
  const precise = value.precise ? 'P' : '';
  const scalar = dialect === 'inv' ? 'inv' : isBare || (isNumber && exact !== undefined) ? '' : 'scalar';
  const isNull = value.mayBeNull ? (value.type === 'ptr' ? 'or_null_' : '_or_null') : '';
  const separator = value.type === 'ptr' ? '_' : '';
  const type = isNumber ? scalar : `${value.modifiers.map((word) => `${word}_`).join('')}${value.type}`;
  const word = `${type}${separator}${isNull}${value.struct ?? ''}`;
  const head = dialect === 'inv' ? word + precise : precise + word;
  if (isNumber && exact !== undefined) return head + snum(exact, dialect);
  const frame = value.frame === undefined ? '' : `[${value.frame}]`;
  if (isBare) return head;
  if (value.type === 'fp' && exact !== undefined) return `fp${frame}${snum(value.offset, dialect)}`;
  return `${head}${frame}(${fieldsOf(value, dialect).join(',')})`;
}

function fieldsOf(value: Value, dialect: Dialect): string[] {
  const { map, offset, range, size, bounds } = value;
  const isNumber = value.type === 'scalar';
  const exact = constantOf(bounds);
  const ids = { id: value.id ?? 0, reference: value.reference ?? 0 };
  const sizes = map ? [`ks=${map.keySize},vs=${map.valueSize}`] : [];
  const packet =
    range === undefined
      ? []
      : [`r=${dialect === 'grouped' ? unum(BigInt.asUintN(64, BigInt(range))) : range}`];
  const bits = bounds.bits.mask === anyNumber.bits.mask && bounds.bits.value === 0n ? [] : [tnum(bounds)];
  if (dialect !== 'grouped') {
    const isInv = dialect === 'inv';
    // Kernels of the first form print `ref_obj_id` of the types that may hold a reference also when it is 0.
    const mayHold = isInv && /^(sock|tcp_sock|mem)$/.test(value.type);
    return [
      ...(ids.id || isInv ? [`id=${ids.id}`] : []),
      ...(ids.reference || mayHold ? [`ref_obj_id=${ids.reference}`] : []),
      ...(isNumber ? [] : [`off=${offset}`]),
      ...packet,
      ...sizes,
      ...(exact !== undefined
        ? [`imm=${BigInt.asUintN(64, exact).toString(16)}`]
        : [...oldLimits(bounds, isInv).slice(0, 4), ...bits, ...oldLimits(bounds, isInv).slice(4)]),
    ].filter(Boolean);
  }
  const delta = value.idOffset === undefined ? '' : `${value.idOffset < 0n ? '' : '+'}${value.idOffset}`;
  return [
    ...(ids.id ? [`id=${ids.id}${delta}`] : []),
    ...(ids.reference ? [`ref_obj_id=${ids.reference}`] : []),
    ...(value.isNonOwning ? ['non_own_ref'] : []),
    ...(map?.name ? [`map=${map.name}`] : []),
    ...sizes,
    ...(offset ? [`off=${snum(offset, dialect)}`] : []),
    ...packet,
    ...(size === undefined ? [] : [`sz=${unum(BigInt(size))}`]),
    ...(value.dynptr ? [`type=${value.dynptr}`] : []),
    ...(exact === undefined
      ? [...groupedLimits(bounds), ...bits]
      : exact
        ? [`imm=${snum(exact, dialect)}`]
        : []),
  ];
}

function tnum({ bits }: Bounds): string {
  return `var_off=(0x${bits.value.toString(16)}; 0x${bits.mask.toString(16)})`;
}

/** Eight words, empty for limits that are not printed: those of the type, and signed ones equal to unsigned ones. */
function oldLimits(bounds: Bounds, isInv: boolean): string[] {
  const { smin, smax, umin, umax, smin32, smax32, umin32, umax32 } = bounds;
  const name = (word: string) => (isInv ? `${word}_value` : word);
  const say = (isSaid: boolean, word: string, limit: bigint) => (isSaid ? `${name(word)}=${limit}` : '');
  return [
    say(smin !== umin && smin !== anyNumber.smin, 'smin', smin),
    say(smax !== BigInt.asIntN(64, umax) && smax !== anyNumber.smax, 'smax', smax),
    say(umin !== 0n, 'umin', umin),
    say(umax !== anyNumber.umax, 'umax', umax),
    say(smin32 !== smin && smin32 !== anyNumber.smin32, 's32_min', smin32),
    say(smax32 !== smax && smax32 !== anyNumber.smax32, 's32_max', smax32),
    // Unsigned, but printed as if they were signed.
    say(umin32 !== umin && umin32 !== 0n, 'u32_min', BigInt.asIntN(32, umin32)),
    say(umax32 !== umax && umax32 !== anyNumber.umax32, 'u32_max', BigInt.asIntN(32, umax32)),
  ];
}

function groupedLimits(bounds: Bounds): string[] {
  const names = ['smin', 'smax', 'umin', 'umax', 'smin32', 'smax32', 'umin32', 'umax32'] as const;
  const isDecimal = (limit: bigint) => limit >= -32768n && limit <= 32767n;
  const rows = names.map((name) => {
    const limit = bounds[name];
    const isSigned = name.startsWith('s');
    const isNarrow = name.endsWith('32');
    // The kernel compares the words it would print: 32-bit ones are extended only when they are printed in decimal.
    const printed =
      isNarrow && isSigned && !isDecimal(limit) ? BigInt.asUintN(32, limit) : BigInt.asUintN(64, limit);
    const isNegative = isSigned && BigInt.asIntN(64, printed) < 0n;
    return { name, isSigned, printed, isNegative, isDone: limit === anyNumber[name] };
  });
  const words: string[] = [];
  for (const [index, row] of rows.entries()) {
    if (row.isDone) continue;
    const together = [row.name as string];
    for (let other = index + 2; other < rows.length; other += 2) {
      const twin = rows[other]!;
      if (twin.isDone || twin.printed !== row.printed || twin.isNegative !== row.isNegative) continue;
      twin.isDone = true;
      together.push(twin.name);
    }
    const number = row.isSigned ? snum(BigInt.asIntN(64, row.printed), 'grouped') : unum(row.printed);
    words.push(`${together.join('=')}=${number}`);
  }
  return words;
}

function unum(number: bigint): string {
  return number <= 65535n ? number.toString() : `0x${number.toString(16)}`;
}

function snum(number: bigint, dialect: Dialect): string {
  const isDecimal = dialect !== 'grouped' || (number >= -32768n && number <= 32767n);
  return isDecimal ? number.toString() : `0x${BigInt.asUintN(64, number).toString(16)}`;
}
