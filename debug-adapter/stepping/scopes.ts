/** What can be looked at at a step, apart from maps: locals, registers, the stack, the packet, calls. */
import { dissect } from '../../toolchain/packet/dissect';
import type { DissectedField, DissectedLayer } from '../../toolchain/packet/dissect';
import { hexdump } from '../../toolchain/packet/hexdump';
import { disassemble } from '../../toolchain/insn/disassemble';
import type { DwarfTypes } from '../../toolchain/dwarf/types-as-btf';
import type { DwarfVariable } from '../../toolchain/dwarf/dwarf';
import type { HelperCall } from '../recorder/replay/calls';
import { note, PAGE, rangeNodes } from '../variables/node';
import type { VariableNode } from '../variables/node';
import { readVariable } from './locals';
import { NOT_SHOWN, shownNode } from './shown';
import type { Shown } from './shown';
import type { StepFrame, Stepper } from './stepper';

/** A part of the Variables view. */
export interface StepScope {
  name: string;
  rows(): Promise<VariableNode[]>;
  expensive?: boolean;
}

/** Where a value of this step comes from cannot be written to. */
export function stepScopes(stepper: Stepper, frame: StepFrame, types: DwarfTypes | undefined): StepScope[] {
  const { machine } = stepper.run.timeline;
  const scopes: StepScope[] = [];
  if (types) scopes.push({ name: 'Locals', rows: async () => localNodes(stepper, frame, types) });
  scopes.push({ name: 'Registers', rows: async () => registerNodes(frame) });
  scopes.push({ name: 'Stack', rows: async () => stackNodes(stepper, frame), expensive: true });
  if (machine.packet?.data !== undefined)
    scopes.push({ name: 'Packet', rows: async () => packetNodes(stepper) });
  scopes.push({ name: 'Calls', rows: async () => callNodes(stepper), expensive: true });
  return scopes;
}

/** How far back the last known value of a variable is looked for, in lines. */
const LOOK_BACK = 400;

export function localNodes(stepper: Stepper, frame: StepFrame, types: DwarfTypes): VariableNode[] {
  const { source, dwarf } = stepper;
  const place = source.elfPlace(frame.view.insn);
  if (!place || !dwarf) return [note('locals', 'none', 'the object has no DWARF: compile with -g')];
  const seen = new Set<string>();
  return source
    .variables(frame.view.insn)
    .filter((variable) => {
      // An inner variable hides the outer one of its name.
      const mine = variable.frame === frameIndex(stepper, frame) && variable.name && !seen.has(variable.name);
      if (mine) seen.add(variable.name);
      return mine;
    })
    .map((variable) => localNode(stepper, frame, types, variable));
}

/** DWARF counts the innermost function as 0, as frames are listed. */
function frameIndex(stepper: Stepper, frame: StepFrame): number {
  return stepper.source.frames(frame.view.insn).length - 1 - frame.inlined;
}

function localNode(
  stepper: Stepper,
  frame: StepFrame,
  types: DwarfTypes,
  variable: DwarfVariable,
): VariableNode {
  const place = stepper.source.elfPlace(frame.view.insn)!;
  const context = stepper.dwarf!.expressionContext(place.section, place.insn);
  const tree = {
    path: `locals/${frame.id}/${variable.name}`,
    types,
    type: variable.type,
    expression: variable.name,
    follow: (address: bigint, size: number): Shown => frame.view.memory(address, size),
  };
  const found = readVariable(variable, types, frame.view, context);
  if (found) return shownNode({ ...tree, ...found }, variable.name);
  const last = lastKnown(stepper, frame, types, variable);
  if (!last)
    return {
      path: tree.path,
      name: variable.name,
      value: 'optimised out',
      type: dwarfName(stepper, variable),
    };
  const node = shownNode({ ...tree, ...last.shown }, variable.name);
  return { ...node, value: `${node.value} (last known, from line ${last.line})` };
}

function dwarfName({ dwarf }: Stepper, variable: DwarfVariable): string {
  return dwarf!.spell(variable.type);
}

/** The variable's value at the last line before, in the same call, at which it was somewhere. */
function lastKnown(
  stepper: Stepper,
  frame: StepFrame,
  types: DwarfTypes,
  variable: DwarfVariable,
): { shown: Shown; line: number } | undefined {
  const { timeline, statements } = stepper.run;
  const here = timeline.machine.step;
  const depth = timeline.machine.frames.length;
  // Only of the function that runs now: for its callers the way back would lead through it.
  if (frame.id > 256) return undefined;
  try {
    for (let index = statements.at(here) - 1, tried = 0; index >= 0 && tried < LOOK_BACK; index--, tried++) {
      const there = statements.depth(index) >> 8;
      if (there < depth) return undefined;
      if (there > depth) continue;
      const machine = timeline.seek(statements.step(index));
      const insn = machine.pc;
      const same = stepper.source
        .variables(insn)
        .find(
          (one) => one.name === variable.name && one.line === variable.line && one.type === variable.type,
        );
      const place = stepper.source.elfPlace(insn);
      if (!same || !place || same.location.kind === 'optimised-out') continue;
      const view = stepper.frames()[0]!.view;
      const context = stepper.dwarf!.expressionContext(place.section, place.insn);
      const shown = readVariable(same, types, view, context);
      if (!shown || shown.known.includes(0)) continue;
      return { shown, line: stepper.source.placeOf(insn)?.line ?? 0 };
    }
    return undefined;
  } finally {
    timeline.seek(here);
  }
}

function registerNodes(frame: StepFrame): VariableNode[] {
  return Array.from({ length: 11 }, (_, number) => {
    const value = frame.view.register(number);
    const path = `registers/${frame.id}/r${number}`;
    if (value === undefined) return { path, name: `r${number}`, value: 'nothing that the program may read' };
    // Addresses say nothing in decimal.
    const signed = BigInt.asIntN(64, value);
    const decimal = signed > 0xffff_ffffn || signed < -0xffff_ffffn ? '' : ` (${signed})`;
    return {
      path,
      name: `r${number}`,
      value: `0x${value.toString(16)}${decimal}`,
      evaluateName: `$r${number}`,
    };
  });
}

function stackNodes(stepper: Stepper, frame: StepFrame): VariableNode[] {
  const top = frame.view.register(10);
  const { code } = stepper.run;
  const depth = code.stackDepth.get(code.subprogramOf(frame.view.insn)) ?? 0;
  if (top === undefined || depth === 0) return [note('stack', 'empty', 'this function uses no stack')];
  const slots = Math.ceil(depth / 8);
  return Array.from({ length: slots }, (_, index) => {
    const offset = -8 * (index + 1);
    const { bytes, known } = frame.view.memory(top + BigInt(offset), 8);
    const text = Array.from(bytes, (byte, at) =>
      known[at] ? byte.toString(16).padStart(2, '0') : '··',
    ).join(' ');
    return { path: `stack/${frame.id}/${offset}`, name: `fp${offset}`, value: text };
  });
}

function packetNodes(stepper: Stepper): VariableNode[] {
  const { machine } = stepper.run.timeline;
  const { data, end } = machine.packet ?? {};
  if (data === undefined) return [];
  if (end === undefined) return [note('packet', 'length', 'the program has not read where the packet ends')];
  const length = Number(end - data);
  if (length < 0 || length > 0x1_0000) return [note('packet', 'length', NOT_SHOWN)];
  const { bytes, known } = machine.memory.bytes(data, length);
  if (known.includes(0)) return [note('packet', 'bytes', 'known in parts: a helper has changed it')];
  const raw: VariableNode = {
    path: 'packet/bytes',
    name: 'bytes',
    value: `${length} bytes at 0x${data.toString(16)}`,
    memory: async () => bytes,
    children: async () =>
      hexdump(bytes, length).map((row) => ({
        path: `packet/bytes/${row.slice(0, 4)}`,
        name: row.slice(0, 4),
        value: row.slice(6),
      })),
  };
  return [...dissect(bytes, 'ethernet').map((layer, index) => layerNode(layer, index)), raw];
}

function layerNode(layer: DissectedLayer, index: number): VariableNode {
  const path = `packet/${index}`;
  return {
    path,
    name: layer.type,
    value: layer.title,
    children: async () =>
      layer.fields.map((field: DissectedField) => ({
        path: `${path}/${field.name}`,
        name: field.name,
        value: field.text,
      })),
  };
}

function callNodes(stepper: Stepper): VariableNode[] {
  const { calls } = stepper.run.calls;
  const made = calls.filter(({ step }) => step <= stepper.step);
  if (made.length === 0) return [note('calls', 'none', 'no helper was called up to here')];
  const page = (start: number, count: number) =>
    Promise.resolve(
      made.slice(start, start + count).map((call, index) => callNode(stepper, call, start + index)),
    );
  if (made.length > PAGE) return rangeNodes('calls', made.length, page);
  return made.map((call, index) => callNode(stepper, call, index));
}

function callNode(stepper: Stepper, call: HelperCall, index: number): VariableNode {
  const hex = (value: bigint | undefined) => (value === undefined ? '–' : `0x${value.toString(16)}`);
  const line = stepper.source.placeOf(call.insn)?.line;
  const given = call.arguments.findLastIndex((value) => value !== undefined) + 1;
  return {
    path: `calls/${index}`,
    name: `${index + 1} ${call.name}`,
    value: `(${call.arguments.slice(0, given).map(hex).join(', ')}) = ${hex(call.result)}${line ? `, line ${line}` : ''}`,
  };
}

/** Instructions from one on, for the disassembly view. */
export function instructionText(stepper: Stepper, insn: number): string | undefined {
  const decoded = stepper.run.code.insns[insn];
  return decoded && disassemble(decoded);
}
