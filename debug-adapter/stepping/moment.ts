/**
 * One moment of a program's run, as much of it as is known: a step of a recorded run, or the snapshot that a live
 * breakpoint took. What is shown of locals, registers, stack, packet and context, and what expressions mean, depends
 * on nothing else.
 *
 * A snapshot is shown by making a Moment of it: {@link FrameView}s that answer from its registers and its stack and
 * packet bytes, `packet` if the pointers to it are among its registers, and neither `calls` nor `lastKnown`.
 */
import type { Dwarf, DwarfVariable } from '../../toolchain/dwarf/dwarf';
import type { Btf } from '../../toolchain/btf/btf';
import type { DwarfTypes } from '../../toolchain/dwarf/types-as-btf';
import type { OpenedRun } from '../recorder/open-run';
import type { HelperCall } from '../recorder/replay/calls';
import type { ReplayCode } from '../recorder/replay/code';
import type { PacketBounds } from '../recorder/replay/packet';
import type { SourceFrame, SourceMap } from '../recorder/source-map';
import { keyText } from '../variables/keys';
import { mapTypes } from '../variables/maps';
import { frameViews } from './frame-view';
import type { FrameView } from './frame-view';
import type { Inputs } from './inputs';
import type { Shown } from './shown';

export interface Moment {
  readonly source: SourceMap;
  /** Undefined, like `types`, for an object without DWARF. */
  readonly dwarf: Dwarf | undefined;
  /** The types of `dwarf`. */
  readonly types: DwarfTypes | undefined;
  readonly btf: Btf | undefined;
  readonly code: Pick<ReplayCode, 'insns' | 'stackDepth' | 'subprogramOf'>;
  /** Program type as libbpf names it (`xdp`, `sched_cls`): it says what the context is and how a packet begins. */
  readonly programType: string;
  /** Functions with code of their own that are being executed, innermost first. */
  readonly views: readonly FrameView[];
  /** Where the packet lies; undefined while the program has not asked. */
  readonly packet: PacketBounds | undefined;
  /** Until then: where its bytes can be read, which is no address that the program could have. */
  readonly unplacedPacket?: PacketBounds | undefined;
  /** Address of the program's context. */
  readonly context: bigint | undefined;
  /** Calls of helpers made so far; undefined where they are not followed. */
  calls?(): readonly HelperCall[];
  /** The function that has returned just now, or the program at the run's end, and what it returned. */
  returned?(): { name: string; value: string } | undefined;
  /** What lies at an address among the values of maps: `flows[…]+8`. */
  mapValueAt?(address: bigint): string | undefined;
  /** What the run was given, if it can be done again. */
  readonly inputs?: Inputs;
  /** What variables of a frame that are nowhere now were when they were somewhere last; only of those it is known. */
  lastKnown?(frame: StepFrame, variables: readonly DwarfVariable[]): Map<DwarfVariable, LastKnown>;
}

export interface LastKnown {
  shown: Shown;
  /** The line before which it was that; 0 if unknown. */
  line: number;
}

export interface StepFrame extends SourceFrame {
  id: number;
  view: FrameView;
  /** How many functions are inlined into the one with code of its own: 0 for itself. */
  inlined: number;
}

/** Functions that are being executed, innermost first, inlined ones among them. */
export function framesOf({ views, source }: Pick<Moment, 'views' | 'source'>): StepFrame[] {
  return views.flatMap((view, depth) => {
    const frames = source.frames(view.insn);
    return frames.map((frame, index) => ({
      ...frame,
      id: depth * 256 + index + 1,
      view,
      inlined: frames.length - 1 - index,
    }));
  });
}

/** The present step of a run. It follows the run's machine, so that it is good for one evaluation and not kept. */
export function momentOf(run: OpenedRun): Moment {
  const { source, dwarf, types, object, code, recording, timeline, calls } = run;
  const { machine } = timeline;
  return {
    source,
    dwarf,
    types,
    btf: object.btf,
    code,
    programType: recording.program.type,
    views: frameViews(machine),
    packet: machine.packet,
    unplacedPacket: machine.unplacedPacket,
    context: machine.context,
    mapValueAt: (address) => describeMapValue(run, address),
    calls: () => calls.calls.filter(({ step }) => step <= machine.step),
  };
}

function describeMapValue({ maps, recording, object }: OpenedRun, address: bigint): string | undefined {
  const held = maps.holderOf(address);
  const map = recording.maps.find(({ handle }) => handle === held?.map);
  if (!held || !map) return undefined;
  const offset = held.offset === 0 ? '' : `+${held.offset}`;
  if (map.globals) return `${map.name}${offset}`;
  const { btf, keyType } = mapTypes(map, object);
  return `${map.name}[${keyText(map.type, btf, keyType, held.key)}]${offset}`;
}
