/** What can be looked at at a moment, apart from maps: locals, registers, stack, context, packet, calls. */
import type { HelperCall } from '../recorder/replay/calls';
import { note, PAGE, rangeNodes } from '../variables/node';
import type { VariableNode } from '../variables/node';
import { contextNodes } from './context-rows';
import { memoryAt } from './known-memory';
import { localNodes } from './local-rows';
import type { Moment, StepFrame } from './moment';
import { hasPacket, packetNodes } from './packet-rows';

/** A part of the Variables view. */
export interface StepScope {
  name: string;
  rows(): Promise<VariableNode[]>;
  expensive?: boolean;
}

export function scopesAt(moment: Moment, frame: StepFrame): StepScope[] {
  const scopes: StepScope[] = [];
  if (moment.types) scopes.push({ name: 'Locals', rows: async () => localNodes(moment, frame) });
  scopes.push({ name: 'Registers', rows: async () => registerNodes(moment, frame) });
  scopes.push({ name: 'Stack', rows: async () => stackNodes(moment, frame), expensive: true });
  if (moment.types && moment.context !== undefined)
    scopes.push({ name: 'Context', rows: async () => contextNodes(moment, frame) });
  if (hasPacket(moment)) scopes.push({ name: 'Packet', rows: async () => packetNodes(moment) });
  if (moment.calls) scopes.push({ name: 'Calls', rows: async () => callNodes(moment), expensive: true });
  return scopes;
}

function registerNodes(moment: Moment, frame: StepFrame): VariableNode[] {
  const memory = memoryAt(moment, frame);
  return Array.from({ length: 11 }, (_, number) => {
    const value = frame.view.register(number);
    const path = `registers/${frame.id}/r${number}`;
    if (value === undefined) return { path, name: `r${number}`, value: 'not readable' };
    // Addresses say nothing in decimal.
    const signed = BigInt.asIntN(64, value);
    const decimal = signed > 0xffff_ffffn || signed < -0xffff_ffffn ? '' : ` (${signed})`;
    const where = memory.describe(value);
    const hex = `0x${value.toString(16)}`;
    return {
      path,
      name: `r${number}`,
      value: where === undefined ? `${hex}${decimal}` : `→ ${where} (${hex})`,
      evaluateName: `$r${number}`,
    };
  });
}

function stackNodes({ code }: Moment, frame: StepFrame): VariableNode[] {
  const top = frame.view.register(10);
  const depth = code.stackDepth.get(code.subprogramOf(frame.view.insn)) ?? 0;
  if (top === undefined || depth === 0) return [note('stack', 'empty', 'this function uses no stack')];
  const slots = Math.ceil(depth / 8);
  return Array.from({ length: slots }, (_, index) => {
    const offset = -8 * (index + 1);
    const { bytes, known } = frame.view.memory(top + BigInt(offset), 8);
    const text = Array.from(bytes, (byte, at) =>
      known[at] ? byte.toString(16).padStart(2, '0') : '··',
    ).join(' ');
    return {
      path: `stack/${frame.id}/${offset}`,
      name: `fp${offset}`,
      value: text,
      memory: async () => ({ bytes, known }),
      place: `*(unsigned long *)($r10 - ${-offset})`,
    };
  });
}

function callNodes(moment: Moment): VariableNode[] {
  const made = moment.calls?.() ?? [];
  if (made.length === 0) return [note('calls', 'none', 'no helper was called up to here')];
  const page = (start: number, count: number) =>
    Promise.resolve(
      made.slice(start, start + count).map((call, index) => callNode(moment, call, start + index)),
    );
  if (made.length > PAGE) return rangeNodes('calls', made.length, page);
  return made.map((call, index) => callNode(moment, call, index));
}

function callNode({ source }: Moment, call: HelperCall, index: number): VariableNode {
  const hex = (value: bigint | undefined) => (value === undefined ? '–' : `0x${value.toString(16)}`);
  const line = source.placeOf(call.insn)?.line;
  const given = call.arguments.findLastIndex((value) => value !== undefined) + 1;
  return {
    path: `calls/${index}`,
    name: `${index + 1} ${call.name}`,
    value: `(${call.arguments.slice(0, given).map(hex).join(', ')}) = ${hex(call.result)}${line ? `, line ${line}` : ''}`,
  };
}
