/** Rows of the Packet scope: the packet by its layers, and its bytes. Setting one does the run again with it. */
import { dissect } from '../../toolchain/packet/dissect';
import type { DissectedField, DissectedLayer } from '../../toolchain/packet/dissect';
import { BYTES_PER_ROW, formatOffset, hexColumns, hexdump } from '../../toolchain/packet/hexdump';
import { testRunSupport } from '../../toolchain/program/test-run';
import type { Outcome } from '../../toolchain/problem';
import { cannotSet } from '../errors';
import { note } from '../variables/node';
import type { VariableNode } from '../variables/node';
import type { Inputs } from './inputs';
import type { Moment } from './moment';
import { encodeField, encodeRow } from './packet-values';
import { NOT_SHOWN } from './shown';
import type { Shown } from './shown';

/** A packet that was known byte by byte, and how to change it. */
interface Packet extends Shown {
  inputs: Inputs | undefined;
}

/** Whether there is anything to show of a packet. */
export function hasPacket({ packet, unplacedPacket }: Moment): boolean {
  return (packet ?? unplacedPacket)?.data !== undefined;
}

/** The packet's layers, as far as its bytes are known; undefined when it is not known where the packet is. */
export function packetLayers(moment: Moment): DissectedLayer[] | undefined {
  const packet = packetAt(moment);
  return packet && layersOf(packet, moment.programType);
}

function packetAt({ packet, unplacedPacket, views, inputs }: Moment): Packet | undefined {
  const { data, end } = packet ?? unplacedPacket ?? {};
  if (data === undefined || end === undefined) return undefined;
  const length = Number(end - data);
  if (length < 0 || length > MAX_PACKET) return undefined;
  return { ...views[0]!.memory(data, length), inputs };
}
const MAX_PACKET = 0x1_0000;

/** Layers are told apart by what stands before them, so they end where something is not known. */
function layersOf({ bytes, known }: Packet, programType: string): DissectedLayer[] {
  const unknown = known.indexOf(0);
  const support = testRunSupport(programType);
  // Programs above the link layer see the packet from its IP header on.
  const framing = support?.zeroedEthernet ? 'ip' : (support?.packet ?? 'ethernet');
  return dissect(unknown < 0 ? bytes : bytes.subarray(0, unknown), framing);
}

export function packetNodes(moment: Moment): VariableNode[] {
  const { data, end } = moment.packet ?? moment.unplacedPacket ?? {};
  if (data === undefined) return [];
  if (end === undefined) return [note('packet', 'length', 'the program has not read where the packet ends')];
  const packet = packetAt(moment);
  if (!packet) return [note('packet', 'length', NOT_SHOWN)];
  const { inputs, bytes, known } = packet;
  const where = moment.packet ? ` at 0x${data.toString(16)}` : '';
  const raw: VariableNode = {
    path: 'packet/bytes',
    name: 'bytes',
    value: `${bytes.length} bytes${where}${known.includes(0) ? ', known in parts' : ''}`,
    memory: async () => packet,
    children: async () => byteRows(packet),
    ...(inputs
      ? { writeMemory: (offset: number, bytes: Uint8Array) => inputs.setPacket(offset, bytes, 'The packet') }
      : {}),
  };
  const layers = layersOf(packet, moment.programType);
  return [...layers.map((layer, index) => layerNode(packet, layer, index)), raw];
}

function layerNode(packet: Packet, layer: DissectedLayer, index: number): VariableNode {
  const path = `packet/${index}`;
  return {
    path,
    name: layer.type,
    value: layer.title,
    evaluateName: `$packet.${layer.type}`,
    children: async () => layer.fields.map((field) => fieldNode(packet, field, path, layer.type)),
  };
}

function fieldNode(packet: Packet, field: DissectedField, path: string, layer: string): VariableNode {
  const row: VariableNode = {
    path: `${path}/${field.name}`,
    name: field.name,
    value: field.text,
    place: rangeOf(field.offset, field.length),
    evaluateName: `$packet.${layer}.${field.name}`,
  };
  const { bytes, inputs } = packet;
  row.memory = async () => bytes.subarray(field.offset, field.offset + field.length);
  if (!inputs) return { ...row, readOnly: NO_RERUN };
  row.assign = async (text) => {
    const encoded = orThrow(encodeField(bytes, field, text), field.name);
    await inputs.setPacket(field.offset, encoded, `${layer}.${field.name}`);
    return { ...row, value: text };
  };
  return row;
}

function byteRows(packet: Packet): VariableNode[] {
  const { bytes, known, inputs } = packet;
  const complete = hexdump(bytes, bytes.length);
  return complete.map((shown, index) => {
    const offset = index * BYTES_PER_ROW;
    const name = formatOffset(offset);
    const row = bytes.subarray(offset, offset + BYTES_PER_ROW);
    const seen = known.subarray(offset, offset + BYTES_PER_ROW);
    // A byte that is not known has a hole in its place.
    const value = seen.includes(0)
      ? hexColumns(Array.from(row, (byte, at) => (seen[at] ? byte : undefined)))
      : shown.slice(name.length + 2);
    const place = rangeOf(offset, row.length);
    const node: VariableNode = { path: `packet/bytes/${name}`, name, value, place };
    if (!inputs) return { ...node, readOnly: NO_RERUN };
    node.assign = async (text) => {
      const encoded = orThrow(encodeRow(text, row.length), `The packet's bytes at ${name}`);
      await inputs.setPacket(offset, encoded, `The packet's bytes at ${name}`);
      return { ...node, value: text };
    };
    return node;
  });
}

/** Bytes of the packet as history/find-place.ts reads them. */
function rangeOf(offset: number, length: number): string {
  return `packet[${offset}..${offset + length - 1}]`;
}

const NO_RERUN = 'this run cannot be done again from here; run the program with F5 to change its packet';

function orThrow<T>(outcome: Outcome<T>, what: string): T {
  if (outcome.ok) return outcome.value;
  throw cannotSet(`${what} cannot be set: ${outcome.problem.message} ${outcome.problem.hint}`);
}
