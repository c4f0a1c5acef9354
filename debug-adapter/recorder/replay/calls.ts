/** Calls of helpers and kfuncs that a run made, and what they did to maps. */
import { helperName } from '../../../toolchain/insn/helper-names';
import { isHelperCall, isKfuncCall } from '../../../toolchain/insn/effects';
import type { Machine } from './machine';
import type { MapCall, MapModel } from './map-model';

export interface HelperCall {
  /** Step at which it was called. */
  step: number;
  insn: number;
  /** `bpf_map_lookup_elem`; a kernel function's own name, or `kfunc#1234` by its BTF id. */
  name: string;
  /** R1 to R5; undefined where nothing was in the register. */
  arguments: (bigint | undefined)[];
  /** Undefined when the program did not look at it, and for calls that called back. */
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

export class CallLog {
  readonly calls: HelperCall[] = [];
  private lastStep = 0;
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
    const argument = (number: number) => argumentOf(machine, number);
    const isHelper = isHelperCall(insn);
    const mapCall = this.mapCall(machine, pc);
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
    }
    return (result) => {
      if (call) call.result = result;
      if (mapCall) this.model.apply(mapCall, result);
    };
  }

  /** What the call that is about to run asks of a map; undefined when it asks nothing, or nothing that is known. */
  mapCall(machine: Machine, pc: number): MapCall | undefined {
    const insn = machine.code.insns[pc];
    const argument = (number: number) => argumentOf(machine, number);
    const operation = insn && isHelperCall(insn) ? MAP_OPERATIONS[insn.imm] : undefined;
    const pointer = operation && argument(1);
    const map = pointer === undefined ? undefined : (this.mapAt(pointer) ?? this.model.innerMapAt(pointer));
    const shape = map === undefined ? undefined : this.model.shape(map);
    const keyAt = argument(2);
    if (!operation || !shape || keyAt === undefined) return undefined;
    const key = machine.memory.bytes(keyAt, shape.keySize);
    // What was not applied the first time is not later either, so that all executions change the same.
    if (key.known.includes(0) || this.undecided.has(machine.step)) {
      this.undecided.add(machine.step);
      this.model.lose(shape.handle, 'the run does not show the key of an entry that it asked for');
      return undefined;
    }
    const valueAt = operation === 'update' ? argument(3) : undefined;
    return {
      map: shape.handle,
      operation,
      key: key.bytes,
      cpu: insn?.imm === LOOKUP_PERCPU ? Number(argument(3)) : machine.cpu,
      flags: argument(4),
      ...(valueAt === undefined ? {} : { value: machine.memory.bytes(valueAt, shape.valueSize) }),
    };
  }
}

function argumentOf(machine: Machine, number: number): bigint | undefined {
  return machine.known & (1 << number) ? machine.register(number) : undefined;
}
