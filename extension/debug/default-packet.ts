/** The packet a program is run on when nobody described one. */
import type { PacketLayers } from '../../debug-adapter/protocol';

/** A TCP SYN to port 80, with the addresses and ports that toolchain/packet fills in. */
const SYN: PacketLayers = [{ type: 'ethernet' }, { type: 'ipv4' }, { type: 'tcp' }];

/** Sections whose BPF_PROG_TEST_RUN needs a packet (bpf_prog_test_run_xdp, _skb and _flow_dissector). */
const PACKET_SECTIONS =
  /^\??(xdp|tc|tcx|classifier|action|netkit|socket|sk_skb|lwt_\w+|flow_dissector|cgroup_skb|cgroup\/skb)\b/;

/** The default packet for a program of this section, or undefined when its type takes none. */
export function defaultPacket(section: string): PacketLayers | undefined {
  return PACKET_SECTIONS.test(section) ? SYN : undefined;
}
