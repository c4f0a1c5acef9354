/** What a test run is given: packet and context as somebody wrote them, as bytes. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { buildPacket } from '../../toolchain/packet/build';
import { pickPacket, readCapture } from '../../toolchain/packet/capture';
import { parseHex } from '../../toolchain/packet/hex';
import { ethernetFrame, frameCaptured, type Framing } from '../../toolchain/packet/link-type';
import { EtherTypes } from '../../toolchain/packet/names';
import { describeProblems } from '../../toolchain/packet/problem';
import { buildContext } from '../../toolchain/program/context';
import type { TestRunSupport } from '../../toolchain/program/test-run';
import { badInput } from '../errors';
import type { LaunchArguments } from '../protocol';

/** A capture larger than this is not read into memory. */
const MAX_CAPTURE = 512 * 1024 * 1024;

const LAYERS = 'For example [{"type": "ethernet"}, {"type": "ipv4", "source": "10.0.0.7"}, {"type": "udp"}].';
const PACKETS = `Write two digits a byte, as in "ffffffffffff 020000000001 0800", or describe layers. ${LAYERS}`;

export interface PacketInput {
  data: Uint8Array;
  /** What was done to the packet on the way, for the console. */
  notes: string[];
}

/** Throws `badInput` with the place and the reason in words. Relative capture paths are the program file's neighbours. */
export async function readPacket(
  packet: NonNullable<LaunchArguments['packet']>,
  framing: Framing,
  directory: string,
): Promise<PacketInput> {
  if (typeof packet === 'string') {
    const parsed = parseHex(packet);
    if (!parsed.ok)
      throw badInput(`The packet is not hex text: ${describeProblems(parsed.problems)}. ${PACKETS}`);
    return { data: parsed.value, notes: [] };
  }
  if (Array.isArray(packet)) return layersPacket(packet, framing);
  const file = path.resolve(directory, packet.pcap);
  const framed = frameCaptured(await readCaptured(file, packet.index ?? 1), framing);
  if (!framed.ok) throw badInput(`${file}: ${framed.message}.`);
  return { data: framed.data, notes: framed.notes };
}

async function readCaptured(file: string, index: number) {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(file);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === 'ENOENT' ? 'there is no such file' : message;
    throw badInput(`The capture ${file} cannot be read: ${reason}. Name a .pcap or .pcapng file.`);
  }
  if (bytes.length > MAX_CAPTURE)
    throw badInput(
      `The capture ${file} is larger than ${MAX_CAPTURE >> 20} MiB. Cut it, e.g. with editcap -r.`,
    );
  const read = readCapture(bytes);
  if (!read.ok) throw badInput(`The capture ${file} cannot be read: ${read.message}.`);
  const picked = pickPacket(read.capture, index);
  if (!picked.ok) throw badInput(`${file}: ${picked.message}.`);
  return picked.packet;
}

function layersPacket(layers: Record<string, unknown>[], framing: Framing): PacketInput {
  const built = buildPacket(layers);
  if (!built.ok) {
    throw badInput(`The packet cannot be built: ${describeProblems(built.problems)}. ${LAYERS}`);
  }
  const outermost = layers[0]?.type;
  const etherType = { ipv4: EtherTypes.ipv4, ipv6: EtherTypes.ipv6, arp: EtherTypes.arp }[String(outermost)];
  if (framing === 'ethernet' && etherType !== undefined) {
    const notes = ['the description begins above Ethernet; an Ethernet header was put in front'];
    return { data: ethernetFrame(etherType, built.value), notes };
  }
  if (framing === 'ip' && outermost === 'ethernet') {
    // Netfilter programs begin at the IP header; a tag or ARP behind Ethernet leaves nothing to begin with.
    const inner = layers[1]?.type;
    if (inner !== 'ipv4' && inner !== 'ipv6')
      throw badInput('The program reads IP packets: begin the description with an ipv4 or ipv6 layer.');
    const notes = ['the program begins at the IP header; the Ethernet header was left out'];
    return { data: built.value.subarray(14), notes };
  }
  return { data: built.value, notes: [] };
}

/**
 * Context bytes for a type with a layout of its own. For XDP the kernel wants to be told where the packet ends.
 */
export function readContext(
  context: NonNullable<LaunchArguments['context']>,
  support: TestRunSupport,
  packetLength: number,
): Uint8Array {
  if (typeof context === 'string') {
    const parsed = parseHex(context);
    if (!parsed.ok) {
      const reasons = describeProblems(parsed.problems);
      throw badInput(`The context is not hex text: ${reasons}. Write bytes, or fields by name as JSON.`);
    }
    return parsed.value;
  }
  if (!support.context) throw badInput('This program type takes no context fields.');
  const given =
    support.context.struct === 'struct xdp_md' && context.data_end === undefined
      ? { ...context, data_end: packetLength }
      : context;
  const built = buildContext(support.context, given);
  if (!built.ok) throw badInput(`The context cannot be built: ${describeProblems(built.problems)}.`);
  return built.value;
}
