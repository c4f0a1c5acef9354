/**
 * The packet through a run: where it lies, and what helpers do to it, of which no instruction of the program shows
 * anything. Sources: net/core/filter.c and net/bpf/test_run.c.
 */
import { HELPER_NAMES } from '../../../toolchain/insn/helper-names';
import type { Memory } from './memory';
import type { Outputs } from './outputs';

/** Where a context says that the packet begins and ends, and what packet the run was given. */
export interface PacketInput {
  dataOffset: number;
  endOffset: number;
  bytes: Uint8Array;
  /** Of the packet, if `bytes` are only its beginning. */
  length?: number | undefined;
  metadata: number;
}

/** Addresses of a packet's first byte and of what follows its last; undefined while the run does not tell. */
export interface PacketBounds {
  data?: bigint;
  end?: bigint;
}

/** All that changes about a packet but its bytes, which are in the memory. */
export interface PacketState {
  data: bigint;
  /** Bytes; undefined when a helper has changed their number and the program has not asked for it again. */
  length: number | undefined;
  /** Whether `data` has ever been where the kernel has the packet. */
  isPlaced: boolean;
  /** Whether it still is: helpers may have put the packet elsewhere. */
  isFresh: boolean;
  /** Where the packet ends, as the program has read it since a helper may have moved it. */
  readEnd: bigint | undefined;
  /** Bytes behind `length` are in fragments, which a program reaches by helpers only. */
  isFragmented: boolean;
  /** Bytes of XDP metadata before `data`, which a test run gives back in front of the packet. */
  metadata: number;
}

/** Of a call's outputs, behind those that arguments lead to. */
const PACKET = 5;
/** No kernel has anything there: where the packet is kept until the program asks where it is. */
const UNPLACED = 0x10_0000n;

export class Packet {
  state: PacketState;

  constructor(
    private readonly memory: Memory,
    private readonly outputs: Outputs,
    private readonly step: () => number,
    private readonly input: PacketInput,
  ) {
    this.state = {
      data: UNPLACED,
      length: input.length ?? input.bytes.length,
      isPlaced: false,
      isFresh: false,
      readEnd: undefined,
      isFragmented: false,
      metadata: input.metadata,
    };
    memory.writeShown(UNPLACED, { bytes: input.bytes, known: new Uint8Array(input.bytes.length).fill(1) });
  }

  /** Undefined until the program has asked where the packet is. */
  get bounds(): PacketBounds | undefined {
    const { data, length, isPlaced } = this.state;
    if (!isPlaced) return undefined;
    return length === undefined ? { data } : { data, end: data + BigInt(length) };
  }

  /** Where its bytes are kept until the program asks: at no address of the kernel's. Undefined from then on. */
  get unplaced(): PacketBounds | undefined {
    const { data, length, isPlaced } = this.state;
    return isPlaced || length === undefined ? undefined : { data, end: data + BigInt(length) };
  }

  /** The program has read 4 bytes of its context, which the kernel may have made a pointer to the packet. */
  contextRead(offset: number, value: bigint): void {
    if (offset === this.input.dataOffset) {
      this.beginsAt(value);
    } else if (offset === this.input.endOffset) {
      this.state = { ...this.state, readEnd: value };
      if (this.state.isFresh) this.endsAt(value);
    }
  }

  private beginsAt(data: bigint): void {
    const { data: before, length, readEnd } = this.state;
    if (data !== before) this.memory.writeShown(data, this.memory.bytes(before, length ?? 0));
    this.state = { ...this.state, data, isPlaced: true, isFresh: true };
    if (readEnd !== undefined) this.endsAt(readEnd);
  }

  private endsAt(end: bigint): void {
    const { data, length, isFragmented } = this.state;
    const read = Number(end - data);
    // A length that nobody expected is that of the first part of a packet in several.
    const hasMore = isFragmented || (length !== undefined && read < length);
    this.state = { ...this.state, length: read, isFragmented: hasMore };
  }

  /**
   * The effect of a helper that has returned; to be asked for before it runs.
   * @param argument R1 to R5, as far as they are known.
   */
  effectOf(
    helper: number,
    argument: (register: number) => bigint | undefined,
  ): ((result: bigint | undefined) => void) | undefined {
    const name = HELPER_NAMES[helper - 1] ?? '';
    const effect = EFFECTS[name];
    if (!effect) return undefined;
    const given = [0, 1, 2, 3, 4, 5].map((register) => (register === 0 ? undefined : argument(register)));
    return (result) => {
      this.state = { ...this.state, isFresh: false, readEnd: undefined };
      if (result === undefined) this.becomeUnknown();
      else if (result === 0n || NO_RESULT.has(name)) effect(this, given);
    };
  }

  /**
   * The effect of a kernel function that has returned, whose results do not tell whether it did anything.
   * @param name undefined when it is not known which one it is
   */
  kfuncCalled(name: string | undefined): void {
    if (name !== undefined && !WRITING_KFUNCS.has(name)) return;
    this.state = { ...this.state, isFresh: false, readEnd: undefined };
    this.becomeUnknown();
  }

  /** Bytes and length may be anything. */
  becomeUnknown(): void {
    this.forgetBytes();
    this.state = { ...this.state, length: undefined };
  }

  forgetBytes(): void {
    this.forget(0, this.state.length ?? 0);
  }

  forget(offset: number, length: number): void {
    this.outputs.write(this.step(), PACKET, this.state.data + BigInt(offset), this.within(offset, length));
  }

  /** How many bytes of a range are in the packet, or its first piece. */
  private within(offset: number, length: number): number {
    return Math.max(0, Math.min(length, (this.state.length ?? 0) - offset));
  }

  moveMetadata(distance: number): void {
    this.state = { ...this.state, metadata: this.state.metadata - distance };
  }

  /** Bytes of the program's that a helper has put into the packet. */
  copyFrom(address: bigint | undefined, offset: number, length: number): void {
    if (address === undefined) return this.forget(offset, length);
    const bytes = this.memory.bytes(address, this.within(offset, length));
    this.memory.writeShown(this.state.data + BigInt(offset), bytes);
  }

  /** Moves the beginning; bytes that are new are what the kernel's memory has there, or zero. */
  moveBegin(distance: number, fill: 'zero' | 'none'): void {
    const { data, length } = this.state;
    const moved = data + BigInt(distance);
    if (fill === 'zero') this.zero(moved, data);
    this.state = { ...this.state, data: moved, length: length === undefined ? undefined : length - distance };
  }

  moveEnd(distance: number): void {
    const { length, isFragmented } = this.state;
    if (isFragmented) this.becomeUnknown();
    else if (length !== undefined) this.setLength(length + distance);
  }

  setLength(wanted: number): void {
    const { data, length, isFragmented } = this.state;
    if (isFragmented) return this.becomeUnknown();
    if (length !== undefined) this.zero(data + BigInt(length), data + BigInt(wanted));
    this.state = { ...this.state, length: wanted };
  }

  private zero(from: bigint, to: bigint): void {
    const length = Number(to - from);
    if (length <= 0) return;
    this.memory.writeShown(from, {
      bytes: new Uint8Array(length),
      known: new Uint8Array(length).fill(1),
    });
  }
}

type Arguments = readonly (bigint | undefined)[];
type Effect = (packet: Packet, given: Arguments) => void;

/** What a helper can change of a packet in one go. */
const MAX_LENGTH = 0x1_0000;

/** An effect of arguments that are numbers, all of which have to be known. */
function withNumbers(
  registers: readonly number[],
  effect: (packet: Packet, ...numbers: number[]) => void,
): Effect {
  return (packet, given) => {
    const numbers = registers.map((register) => Number(BigInt.asIntN(32, given[register] ?? -1n << 31n)));
    if (numbers.some((number) => Math.abs(number) > MAX_LENGTH)) packet.becomeUnknown();
    else effect(packet, ...numbers);
  };
}

const storeBytes: Effect = (packet, given) => {
  withNumbers([2, 4], (_, offset, length) => packet.copyFrom(given[3], offset!, length!))(packet, given);
};
const replaceChecksum = withNumbers([2], (packet, offset) => packet.forget(offset!, 2));
const anything: Effect = (packet) => packet.becomeUnknown();

/** Of those that succeed; a helper that fails leaves the packet as it is, or the program has to drop it. */
const EFFECTS: Record<string, Effect> = {
  xdp_adjust_head: withNumbers([2], (packet, delta) => packet.moveBegin(delta!, 'none')),
  xdp_adjust_tail: withNumbers([2], (packet, delta) => packet.moveEnd(delta!)),
  xdp_adjust_meta: withNumbers([2], (packet, delta) => packet.moveMetadata(delta!)),
  xdp_store_bytes: storeBytes,
  skb_store_bytes: storeBytes,
  l3_csum_replace: replaceChecksum,
  l4_csum_replace: replaceChecksum,
  skb_change_tail: withNumbers([2], (packet, length) => packet.setLength(length!)),
  skb_change_head: withNumbers([2], (packet, length) => packet.moveBegin(-length!, 'zero')),
  skb_ecn_set_ce: (packet) => packet.forgetBytes(),
  skb_vlan_push: anything,
  skb_vlan_pop: anything,
  skb_change_proto: anything,
  skb_adjust_room: anything,
  lwt_push_encap: anything,
  lwt_seg6_store_bytes: anything,
  lwt_seg6_adjust_srh: anything,
  lwt_seg6_action: anything,
  dynptr_write: (packet) => packet.forgetBytes(),
};
/** Changes the packet with a result other than 0: it returns 1. */
const NO_RESULT = new Set(['skb_ecn_set_ce']);

/** Kernel functions that write to a packet, mostly by way of a dynptr. */
const WRITING_KFUNCS = new Set([
  'bpf_dynptr_copy',
  'bpf_dynptr_memset',
  'bpf_crypto_encrypt',
  'bpf_crypto_decrypt',
  'bpf_xdp_pull_data',
  'bpf_probe_read_user_dynptr',
  'bpf_probe_read_kernel_dynptr',
  'bpf_probe_read_user_str_dynptr',
  'bpf_probe_read_kernel_str_dynptr',
  'bpf_copy_from_user_dynptr',
  'bpf_copy_from_user_str_dynptr',
]);
