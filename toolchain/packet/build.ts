/** Layers to bytes: from the innermost layer outwards, so that every length and checksum is known when it is needed. */
import { parseIpv4, parseIpv6 } from '../btf/text';
import { buildNetworkLayer } from './build-network';
import { buildTransportLayer } from './build-transport';
import { concat } from './bytes';
import { parseHex } from './hex';
import { parseLayers } from './layers';
import type { Parsed } from './problem';
import type { Layer, LayerOf } from './schema';

/** What a layer's builder may look at: its payload's bytes and its neighbours. */
export interface BuildContext {
  payload: Uint8Array;
  /** All layers, and which of them is being built. */
  layers: readonly Layer[];
  index: number;
}

/** The largest frame a test run could take is far smaller; this bounds memory for absurd descriptions. */
const MAX_PACKET = 262_144;

/** Bytes of a packet described as layers. */
export function buildPacket(description: unknown, root = 'packet'): Parsed<Uint8Array> {
  const parsed = parseLayers(description, root);
  if (!parsed.ok) return parsed;
  const layers = parsed.value;
  let bytes = new Uint8Array(0);
  for (let index = layers.length - 1; index >= 0; index--) {
    const built = buildLayer(layers[index]!, { payload: bytes, layers, index });
    if (!built.ok) {
      const problems = built.problems.map((problem) => ({
        path: `${root}[${index}]${problem.path}`,
        message: problem.message,
      }));
      return { ok: false, problems };
    }
    bytes = built.value as Uint8Array<ArrayBuffer>;
    if (bytes.length > MAX_PACKET)
      return {
        ok: false,
        problems: [{ path: root, message: `is longer than ${MAX_PACKET} bytes, more than any packet` }],
      };
  }
  return { ok: true, value: bytes };
}

function buildLayer(layer: Layer, context: BuildContext): Parsed<Uint8Array> {
  switch (layer.type) {
    case 'payload':
      return buildPayload(layer, context);
    case 'tcp':
    case 'udp':
    case 'icmp':
    case 'icmpv6':
      return buildTransportLayer(layer, context);
    default:
      return buildNetworkLayer(layer, context);
  }
}

function buildPayload(layer: LayerOf<'payload'>, { payload }: BuildContext): Parsed<Uint8Array> {
  const given = (['text', 'hex', 'length'] as const).filter((key) => layer[key] !== undefined);
  if (given.length !== 1) {
    const message =
      given.length === 0 ? 'has none of text, hex, length' : `has ${given.join(' and ')}; give only one`;
    return { ok: false, problems: [{ path: '', message }] };
  }
  return { ok: true, value: concat(payloadBytes(layer), payload) };
}

function payloadBytes(layer: LayerOf<'payload'>): Uint8Array {
  if (layer.text !== undefined) return new TextEncoder().encode(layer.text);
  if (layer.hex !== undefined) return hexBytes(layer.hex);
  return new Uint8Array(layer.length!).fill(layer.fill ?? 0);
}

/** Hex text that the schema has accepted already. */
export function hexBytes(text: string): Uint8Array {
  const parsed = parseHex(text);
  return parsed.ok ? parsed.value : new Uint8Array(0);
}

/** Addresses of the nearest IP layer outside the layer being built, for pseudo-headers. */
export function enclosingAddresses(context: BuildContext): [Uint8Array, Uint8Array] | undefined {
  for (let i = context.index - 1; i >= 0; i--) {
    const layer = context.layers[i]!;
    if (layer.type === 'ipv4' || layer.type === 'ipv6') return addressesOf(layer);
  }
  return undefined;
}

export function addressesOf(layer: LayerOf<'ipv4'> | LayerOf<'ipv6'>): [Uint8Array, Uint8Array] {
  return layer.type === 'ipv4'
    ? [parseIpv4(layer.source ?? '10.0.0.1')!, parseIpv4(layer.destination ?? '10.0.0.2')!]
    : [parseIpv6(layer.source ?? 'fd00::1')!, parseIpv6(layer.destination ?? 'fd00::2')!];
}
