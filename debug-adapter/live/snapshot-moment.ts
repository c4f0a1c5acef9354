/** A snapshot as a moment of the program's run, so that it is shown as a step of a recorded run is. */
import type { Btf } from '../../toolchain/btf/btf';
import type { Dwarf } from '../../toolchain/dwarf/dwarf';
import type { DwarfTypes } from '../../toolchain/dwarf/types-as-btf';
import { replayCode } from '../recorder/replay/code';
import type { ReplayCode } from '../recorder/replay/code';
import type { PreparedProgram } from '../recorder/instrument/instrument';
import type { SourceMap } from '../recorder/source-map';
import { numberIn } from '../stepping/frame-view';
import type { FrameView } from '../stepping/frame-view';
import type { Moment } from '../stepping/moment';
import type { TakenSnapshot } from './snapshot';

/** A program that is attached, with what its debug information tells. */
export interface ProgramFacts {
  programType: string;
  btf: Btf | undefined;
  source: SourceMap;
  dwarf: Dwarf | undefined;
  types: DwarfTypes | undefined;
  code: ReplayCode;
}

/** The part of {@link ProgramFacts} that comes from the instructions. */
export function codeOf({ instructions }: PreparedProgram, stackDepth: readonly number[]): ReplayCode {
  return replayCode(instructions, [], stackDepth, new Map());
}

/** Callers of the function that was in are unknown: a snapshot holds one frame. */
export function momentOfSnapshot(facts: ProgramFacts, snapshot: TakenSnapshot): Moment {
  const { packet } = snapshot;
  return {
    ...facts,
    views: [viewOf(snapshot)],
    packet: packet && { data: packet.data, end: packet.end },
    context: undefined,
  };
}

function viewOf({ insn, registers, stack, packet }: TakenSnapshot): FrameView {
  const memory: FrameView['memory'] = (address, length) => {
    const bytes = new Uint8Array(length);
    const known = new Uint8Array(length);
    for (let index = 0; index < length; index++) {
      const byte = byteAt(address + BigInt(index), stack, packet);
      if (byte === undefined) continue;
      bytes[index] = byte;
      known[index] = 1;
    }
    return { bytes, known };
  };
  return {
    insn,
    register: (number) => registers.get(number),
    memory,
    number: (address, size) => numberIn(memory, address, size),
  };
}

function byteAt(
  address: bigint,
  stack: TakenSnapshot['stack'],
  packet: TakenSnapshot['packet'],
): number | undefined {
  const word = stack.get(address & ~7n);
  if (word !== undefined) return Number((word >> (8n * (address & 7n))) & 0xffn);
  if (!packet || address < packet.data) return undefined;
  const offset = address - packet.data;
  return offset < BigInt(packet.bytes.length) ? packet.bytes[Number(offset)] : undefined;
}
