/** `$packet.ipv4.source`: fields of the packet as the Packet scope names and shows them. */
import { Refused } from './operands';
import type { Operand } from './operands';
import type { Scope } from './scope';
import type { ExpressionNode } from './syntax';

const PACKET = '$packet';

/**
 * A field's value: numbers in host order, and addresses as text, `$packet.ipv4.source == "10.0.0.7"`; a layer's is its
 * title. Undefined for what is no such expression. Of several layers of a type, the outermost is meant.
 */
export function packetOperand(scope: Scope, node: ExpressionNode): Operand | undefined {
  if (node.kind === 'name' && node.name === PACKET)
    throw new Refused(
      `${PACKET} is the packet with its layers.`,
      `Write ${layerNames(scope).join(', or ')}.`,
    );
  if (node.kind !== 'member') return undefined;
  const { object, name } = node;
  if (object.kind === 'name' && object.name === PACKET) return textOf(layerNamed(scope, name).title);
  const isField = object.kind === 'member' && object.object.kind === 'name' && object.object.name === PACKET;
  if (!isField) return undefined;
  const layer = layerNamed(scope, object.name);
  const field = layer.fields.find((one) => one.name === name);
  if (!field)
    throw new Refused(
      `${object.text} has no field ${name}.`,
      `It has ${layer.fields.map((one) => one.name).join(', ')}.`,
    );
  if (typeof field.value === 'string') return textOf(field.value);
  const type = scope.types.integer(8, true);
  return { kind: 'integer', value: BigInt(field.value), bits: 64, signed: true, type };
}

function textOf(text: string): Operand {
  return { kind: 'text', bytes: Buffer.from(text) };
}

function layerNamed(scope: Scope, name: string) {
  const found = scope.packet?.()?.find(({ type }) => type === name);
  if (found) return found;
  const names = layerNames(scope);
  throw new Refused(
    `The packet has no layer ${name} here.`,
    names.length > 0 ? `It has ${names.join(', ')}.` : 'The program has not read where the packet is.',
  );
}

function layerNames(scope: Scope): string[] {
  return (scope.packet?.() ?? []).map(({ type }) => `${PACKET}.${type}`);
}
