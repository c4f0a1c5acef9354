/** C variables of a function at an instruction, from DWARF and the replay's registers and memory. */
import { evaluate } from '../../toolchain/dwarf/dwarf';
import type { DwarfVariable, ExpressionContext, Location } from '../../toolchain/dwarf/dwarf';
import type { Types } from '../../toolchain/btf/btf';
import { bytesOfNumber } from './frame-view';
import type { FrameView } from './frame-view';
import type { Shown } from './shown';

/** The bytes of a variable, and its address when it lies in memory; undefined when it is nowhere at this instruction. */
export function readVariable(
  variable: DwarfVariable,
  types: Types,
  view: FrameView,
  context: ExpressionContext,
): (Shown & { address?: bigint }) | undefined {
  return readLocation(variable.location, types.sizeOf(variable.type), view, context);
}

/**
 * What {@link readVariable} has of a variable of up to 8 bytes, as an unsigned number, if it is somewhere that is read
 * at once: a condition asks for it at a million steps. Undefined also where it is not known.
 */
export function numberOf({ location }: DwarfVariable, size: number, view: FrameView): bigint | undefined {
  if (size < 1 || size > 8) return undefined;
  const content = (register: number, offset: number) => {
    const base = view.register(register);
    return base === undefined ? undefined : BigInt.asUintN(8 * size, base + BigInt(offset));
  };
  const at = (register: number, offset: number) => {
    const base = view.register(register);
    return base === undefined ? undefined : view.number(BigInt.asUintN(64, base + BigInt(offset)), size);
  };
  switch (location.kind) {
    case 'register':
      return content(location.register, 0);
    case 'value':
      return content(location.register, location.offset);
    case 'stack':
      return at(10, location.offset);
    case 'memory':
      return at(location.register, location.offset);
    case 'constant':
      return BigInt.asUintN(8 * size, location.value);
    default:
      return undefined;
  }
}

function readLocation(
  location: Location,
  size: number,
  view: FrameView,
  context: ExpressionContext,
): (Shown & { address?: bigint }) | undefined {
  const inRegister = (number: number, offset: number) => {
    const content = view.register(number);
    return content === undefined ? undefined : whole(bytesOfNumber(content + BigInt(offset), size));
  };
  const inMemory = (number: number, offset: number) => {
    const base = view.register(number);
    if (base === undefined) return undefined;
    const address = BigInt.asUintN(64, base + BigInt(offset));
    return { ...view.memory(address, size), address };
  };
  switch (location.kind) {
    case 'register':
      return inRegister(location.register, 0);
    case 'value':
      return inRegister(location.register, location.offset);
    case 'stack':
      return inMemory(10, location.offset);
    case 'memory':
      return inMemory(location.register, location.offset);
    case 'constant':
      return whole(bytesOfNumber(location.value, size));
    case 'pieces':
      return readPieces(location.pieces, size, view, context);
    case 'computed': {
      const machine = {
        register: view.register,
        memory: view.number,
      };
      const found = evaluate(location.expression, machine, context);
      if (!found) return undefined;
      if (found.kind === 'value') return whole(bytesOfNumber(found.value, size));
      return { ...view.memory(found.address, size), address: found.address };
    }
    case 'optimised-out':
      return undefined;
  }
}

function whole(bytes: Uint8Array): Shown {
  return { bytes, known: new Uint8Array(bytes.length).fill(1) };
}

/** A variable that the compiler has taken apart; pieces that are nowhere stay unknown. */
function readPieces(
  pieces: { bits: number; location: Location }[],
  size: number,
  view: FrameView,
  context: ExpressionContext,
): Shown | undefined {
  const shown: Shown = { bytes: new Uint8Array(size), known: new Uint8Array(size) };
  let offset = 0;
  for (const { bits, location } of pieces) {
    const length = Math.min(bits >> 3, size - offset);
    const part = length > 0 ? readLocation(location, length, view, context) : undefined;
    if (part) {
      shown.bytes.set(part.bytes, offset);
      shown.known.set(part.known, offset);
    }
    offset += bits >> 3;
  }
  return shown.known.includes(1) ? shown : undefined;
}
