/** Rows of the Context scope: what the program was called with, typed by its own first parameter. */
import { testRunSupport } from '../../toolchain/program/test-run';
import { cannotSet } from '../errors';
import { note } from '../variables/node';
import type { VariableNode } from '../variables/node';
import { contextType } from './context-type';
import { memoryAt } from './known-memory';
import type { Moment, StepFrame } from './moment';
import { NOT_SHOWN, shownNode } from './shown';

export function contextNodes(moment: Moment, frame: StepFrame): VariableNode[] {
  const { context, types } = moment;
  if (context === undefined || !types) return [];
  const described = contextType(moment);
  if (!described) return [note('context', 'type', 'the program does not say what its context is')];
  const { parameter, type, isList, size } = described;
  const memory = memoryAt(moment, frame);
  if (size === 0) return [note('context', 'type', `${parameter.name} points to nothing that has a type`)];
  const shown = memory.read(context, size);
  if (isList) return argumentNodes(shown);
  const tree = { path: 'context', types, type, address: context, memory, ...shown };
  const root = shownNode(tree, parameter.name);
  if (!root.children) return [note('context', parameter.name, 'the program has read nothing of it yet')];
  return [
    {
      ...root,
      value: `${root.value}${root.value === '' ? '' : ', '}at 0x${context.toString(16)}`,
      children: async (start, count) =>
        (await root.children!(start, count)).map((row) => withPacket(moment, settable(moment, row))),
    },
  ];
}

function argumentNodes({ bytes, known }: { bytes: Uint8Array; known: Uint8Array }): VariableNode[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const rows = Array.from({ length: bytes.length / 8 }, (_, index): VariableNode => {
    const isKnown = !known.subarray(8 * index, 8 * index + 8).includes(0);
    const value = isKnown ? `0x${view.getBigUint64(8 * index, true).toString(16)}` : NOT_SHOWN;
    return { path: `context/[${index}]`, name: `[${index}]`, value };
  });
  const last = rows.findLastIndex(({ value }) => value !== NOT_SHOWN);
  return last < 0
    ? [note('context', 'arguments', 'the program has read none of them yet')]
    : rows.slice(0, last + 1);
}

/** `data` and `data_end` have 32 bits in the structure, and the kernel gives pointers of 64. */
function withPacket({ packet, programType }: Moment, row: VariableNode): VariableNode {
  const address = row.name === 'data' ? packet?.data : row.name === 'data_end' ? packet?.end : undefined;
  if (address === undefined || !['xdp', 'sched_cls', 'sched_act'].includes(programType)) return row;
  const length =
    packet?.data !== undefined && packet.end !== undefined ? packet.end - packet.data : undefined;
  const where =
    row.name === 'data' ? 'packet+0' : length === undefined ? "the packet's end" : `packet+${length}`;
  const { memory: _, ...rest } = row;
  return { ...rest, value: `→ ${where} (0x${address.toString(16)})` };
}

/** Fields that a test run takes are set by doing the run again. */
function settable({ inputs, programType }: Moment, row: VariableNode): VariableNode {
  const layout = testRunSupport(programType)?.context;
  if (!inputs || !layout?.settable.includes(row.name)) {
    const fields = layout?.settable.join(', ');
    return { ...row, readOnly: fields ? `a test run takes ${fields} of the context` : (row.readOnly ?? '') };
  }
  return {
    ...row,
    assign: async (text) => {
      // What is shown behind the number, as in `20480 (host order 80)`, comes along when it is edited.
      const number = /^\s*(-?(?:0x[0-9a-f]+|\d+))\s*(?:\(.*\))?\s*$/i.exec(text)?.[1];
      const value = /^\s*\d+\.\d+\.\d+\.\d+\s*$/.test(text) ? text.trim() : number;
      if (value === undefined)
        throw cannotSet(
          `${row.name} cannot be set: "${text}" is not a number. Write one such as 7 or 0x7, or an address such as 10.0.0.7.`,
        );
      await inputs.setContext(row.name, value, `ctx->${row.name}`);
      return { ...row, value: text };
    },
  };
}
