/** Calls of helpers and kfuncs that a run made, and what they did to maps. */
import { helperName } from '../../../toolchain/insn/helper-names';
import { isHelperCall, isKfuncCall } from '../../../toolchain/insn/effects';
import type { Machine } from './machine';
import { isContiguous } from './map-shape';
import type { MapShape } from './map-shape';
import type { MapCall, MapModel } from './map-model';

export interface HelperCall {
  /** Step at which it was called. */
  step: number;
  insn: number;
  /** `bpf_map_lookup_elem`; a kernel function's own name, or `kfunc#1234` by its BTF id. */
  name: string;
  /** R1 to R5; undefined where nothing was in the register. */
  arguments: (bigint | undefined)[];
  /** Undefined before it has returned, for calls that give none, and for kernel functions' that the program ignores. */
  result: bigint | undefined;
}

/** Of a run with more calls, the first so many are listed. */
const MAX_CALLS = 100_000;

/** map_lookup_elem, map_update_elem, map_delete_elem, map_lookup_percpu_elem */
const MAP_OPERATIONS: Record<number, MapCall['operation']> = {
  1: 'lookup',
  2: 'update',
  3: 'delete',
  195: 'lookup',
};
const LOOKUP_PERCPU = 195;
const FOR_EACH_MAP_ELEM = 164;

export class CallLog {
  readonly calls: HelperCall[] = [];
  private lastStep = 0;
  private lastReturn = 0;
  /** By instruction, the last call that is listed. */
  private readonly latest = new Map<number, HelperCall>();
  /** The array that a for_each_map_elem is about to go through. */
  private iterated: { pc: number; map: number } | undefined;
  /** Steps at which a key was not known when they were executed first. */
  private readonly undecided = new Set<number>();

  /** @param mapAt handle of the map that a pointer to a map means. */
  constructor(
    private readonly model: MapModel,
    private readonly mapAt: (address: bigint) => number | undefined,
  ) {}

  /** To be called before a call runs; the function returned, after it, with R0 if it is known. */
  begin(machine: Machine, pc: number): (result: bigint | undefined) => void {
    const insn = machine.code.insns[pc]!;
    const argument = (number: number) => contentOf(machine, number);
    const isHelper = isHelperCall(insn);
    const isIteration = isHelper && insn.imm === FOR_EACH_MAP_ELEM;
    const mapCall = isIteration ? undefined : this.decided(machine, pc);
    const array = isIteration ? this.shapeAsked(machine, pc) : undefined;
    this.iterated = array && isContiguous(array) ? { pc, map: array.handle } : undefined;
    // Going along the run again does not make its calls twice.
    const isNew = machine.step > this.lastStep && this.calls.length < MAX_CALLS;
    let call: HelperCall | undefined;
    if (isNew && (isHelper || isKfuncCall(insn))) {
      this.lastStep = machine.step;
      call = {
        step: machine.step,
        insn: pc,
        name: isHelper ? helperName(insn.imm) : (machine.code.kfuncs.get(pc) ?? `kfunc#${insn.imm}`),
        arguments: [1, 2, 3, 4, 5].map(argument),
        result: undefined,
      };
      this.calls.push(call);
      this.latest.set(pc, call);
    }
    return (result) => {
      if (call) call.result = result;
      if (mapCall) this.model.apply(mapCall, result);
    };
  }

  /** The map call to apply: what was not applied the first time is not later either, so that all executions agree. */
  private decided(machine: Machine, pc: number): MapCall | undefined {
    const shape = this.shapeAsked(machine, pc);
    if (!shape) return undefined;
    const call = this.mapCall(machine, pc);
    if (call && !this.undecided.has(machine.step)) return call;
    this.undecided.add(machine.step);
    this.model.lose(shape.handle, 'the run does not show the key of an entry that it asked for');
    return undefined;
  }

  /** What the call that is about to run asks of a map; undefined when it asks nothing, or nothing that is known. */
  mapCall(machine: Machine, pc: number): MapCall | undefined {
    const shape = this.shapeAsked(machine, pc);
    const helper = machine.code.insns[pc]?.imm ?? 0;
    const operation = MAP_OPERATIONS[helper];
    const keyAt = contentOf(machine, 2);
    if (!shape || !operation || keyAt === undefined) return undefined;
    const key = machine.memory.bytes(keyAt, shape.keySize);
    if (key.known.includes(0)) return undefined;
    const valueAt = operation === 'update' ? contentOf(machine, 3) : undefined;
    return {
      map: shape.handle,
      operation,
      key: key.bytes,
      cpu: helper === LOOKUP_PERCPU ? Number(contentOf(machine, 3)) : machine.cpu,
      flags: contentOf(machine, 4),
      ...(valueAt === undefined ? {} : { value: machine.memory.bytes(valueAt, shape.valueSize) }),
    };
  }

  /** The map that a call concerns, if it is followed. */
  private shapeAsked(machine: Machine, pc: number): MapShape | undefined {
    const insn = machine.code.insns[pc];
    const concernsMap =
      insn && isHelperCall(insn) && (insn.imm in MAP_OPERATIONS || insn.imm === FOR_EACH_MAP_ELEM);
    const pointer = concernsMap ? contentOf(machine, 1) : undefined;
    const map = pointer === undefined ? undefined : (this.mapAt(pointer) ?? this.model.innerMapAt(pointer));
    return map === undefined ? undefined : this.model.shape(map);
  }

  /** A call that called back has returned. */
  returned(machine: Machine, pc: number): void {
    if (machine.step <= this.lastReturn) return;
    this.lastReturn = machine.step;
    const call = this.latest.get(pc);
    // Of calls that are not listed any more the instruction is still the same.
    if (call && call.result === undefined) call.result = contentOf(machine, 0);
  }

  /**
   * A helper has called back. for_each_map_elem goes through an array from its first element on, whose value the third
   * argument leads to.
   */
  calledBack(machine: Machine, pc: number): void {
    const { iterated } = this;
    this.iterated = undefined;
    const value = contentOf(machine, 3);
    if (iterated?.pc === pc && value !== undefined) this.model.place(iterated.map, new Uint8Array(4), value);
  }
}

function contentOf(machine: Machine, number: number): bigint | undefined {
  return machine.known & (1 << number) ? machine.register(number) : undefined;
}
