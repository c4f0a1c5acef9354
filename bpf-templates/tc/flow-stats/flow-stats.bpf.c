// SPDX-License-Identifier: MIT OR GPL-2.0-only
// Counts packets and bytes of every flow through an interface, in both directions.
#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define TC_ACT_UNSPEC (-1)
#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86DD
#define ETH_P_8021Q 0x8100
#define ETH_P_8021AD 0x88A8
#define MAX_INNER_VLAN_TAGS 2
#define MAX_EXTENSION_HEADERS 6
#define NEXTHDR_HOP_BY_HOP 0
#define NEXTHDR_ROUTING 43
#define NEXTHDR_FRAGMENT 44
#define NEXTHDR_DESTINATION 60
#define IPV4_FRAGMENT_OFFSET 0x1fff
#define IPV6_FRAGMENT_OFFSET 0xfff8

// Bytes in front of the IP header: 14 on Ethernet, 0 on devices without a link layer (tun, WireGuard).
const volatile __u32 link_header_length = 14;

enum flow_direction {
	FLOW_INGRESS,
	FLOW_EGRESS,
};

// As seen from this interface's side: an egress packet's source is local, an ingress packet's destination is.
// Ports are those of TCP, UDP and SCTP; 0 for other protocols and for all but the first fragment of a datagram.
struct flow_v4 {
	__be32 local_addr;
	__be32 remote_addr;
	__be16 local_port;
	__be16 remote_port;
	__u32 protocol;
};

struct flow_v6 {
	struct in6_addr local_addr;
	struct in6_addr remote_addr;
	__be16 local_port;
	__be16 remote_port;
	__u32 protocol;
};

// Packets as they are on the wire: one for each segment of a packet that was merged or not yet split (GSO, GRO).
// Bytes include the link header.
struct flow_counters {
	__u64 ingress_packets;
	__u64 ingress_bytes;
	__u64 egress_packets;
	__u64 egress_bytes;
};

// LRU: when one is full, the flow that was idle longest makes room.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct flow_v4);
	__type(value, struct flow_counters);
} flows_v4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct flow_v6);
	__type(value, struct flow_counters);
} flows_v6 SEC(".maps");

struct flow_vlan_tag {
	__be16 control;
	__be16 protocol;
};

struct flow_extension_header {
	__u8 next_header;
	__u8 length;
	__be16 fragment_offset;
};

struct flow_ports {
	__be16 source;
	__be16 destination;
};

// Adds one packet, whose headers take the first `headers` bytes, to the stats of its flow.
static __always_inline void count(struct __sk_buff *skb, void *map, const void *flow, enum flow_direction direction,
				  __u32 headers)
{
	struct flow_counters *stats = bpf_map_lookup_elem(map, flow);
	__u64 packets = 1;
	__u64 bytes = skb->len;

	if (!stats) {
		struct flow_counters none = {};

		// Another CPU may have been faster: BPF_NOEXIST keeps what it has counted.
		bpf_map_update_elem(map, flow, &none, BPF_NOEXIST);
		stats = bpf_map_lookup_elem(map, flow);
		if (!stats)
			return;
	}
	// One large packet stands for many: each has gso_size bytes of the payload, and headers of its own.
	if (skb->gso_size && skb->len > headers) {
		packets = (skb->len - headers + skb->gso_size - 1) / skb->gso_size;
		bytes += (packets - 1) * headers;
	}
	if (direction == FLOW_INGRESS) {
		__sync_fetch_and_add(&stats->ingress_packets, packets);
		__sync_fetch_and_add(&stats->ingress_bytes, bytes);
	} else {
		// The kernel's own sum at this place, which knows the inner headers of tunnels too.
		__sync_fetch_and_add(&stats->egress_packets, packets);
		__sync_fetch_and_add(&stats->egress_bytes, skb->wire_len);
	}
}

// Reads the ports at `offset` and returns the length of the transport header.
static __always_inline __u32 read_transport(struct __sk_buff *skb, __u32 offset, __u32 protocol, struct flow_ports *ports)
{
	__u8 data_offset;

	if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP && protocol != IPPROTO_SCTP)
		return 0;
	if (bpf_skb_load_bytes(skb, offset, ports, sizeof(*ports)))
		return 0;
	if (protocol == IPPROTO_UDP)
		return sizeof(struct udphdr);
	if (protocol == IPPROTO_SCTP)
		return 12;
	if (bpf_skb_load_bytes(skb, offset + 12, &data_offset, sizeof(data_offset)))
		return sizeof(struct tcphdr);
	return (data_offset >> 4) * 4;
}

static __always_inline void count_v4(struct __sk_buff *skb, __u32 offset, enum flow_direction direction)
{
	struct flow_v4 flow = {};
	struct flow_ports ports = {};
	struct iphdr ip;
	__u32 headers;

	if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl < 5)
		return;
	headers = offset + ip.ihl * 4;
	if (!(ip.frag_off & bpf_htons(IPV4_FRAGMENT_OFFSET)))
		headers += read_transport(skb, headers, ip.protocol, &ports);

	flow.protocol = ip.protocol;
	flow.local_addr = direction == FLOW_EGRESS ? ip.saddr : ip.daddr;
	flow.remote_addr = direction == FLOW_EGRESS ? ip.daddr : ip.saddr;
	flow.local_port = direction == FLOW_EGRESS ? ports.source : ports.destination;
	flow.remote_port = direction == FLOW_EGRESS ? ports.destination : ports.source;
	count(skb, &flows_v4, &flow, direction, headers);
}

static __always_inline void count_v6(struct __sk_buff *skb, __u32 offset, enum flow_direction direction)
{
	struct flow_v6 flow = {};
	struct flow_ports ports = {};
	struct ipv6hdr ip;
	bool first_fragment = true;
	__u32 protocol;

	if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)) || ip.version != 6)
		return;
	offset += sizeof(ip);
	protocol = ip.nexthdr;
	for (int i = 0; i < MAX_EXTENSION_HEADERS; i++) {
		struct flow_extension_header extension;

		if (protocol != NEXTHDR_HOP_BY_HOP && protocol != NEXTHDR_ROUTING && protocol != NEXTHDR_DESTINATION &&
		    protocol != NEXTHDR_FRAGMENT)
			break;
		if (bpf_skb_load_bytes(skb, offset, &extension, sizeof(extension)))
			break;
		if (protocol == NEXTHDR_FRAGMENT) {
			first_fragment = !(extension.fragment_offset & bpf_htons(IPV6_FRAGMENT_OFFSET));
			offset += 8;
		} else {
			offset += (extension.length + 1) * 8;
		}
		protocol = extension.next_header;
		if (!first_fragment)
			break;
	}
	if (first_fragment)
		offset += read_transport(skb, offset, protocol, &ports);

	flow.protocol = protocol;
	flow.local_addr = direction == FLOW_EGRESS ? ip.saddr : ip.daddr;
	flow.remote_addr = direction == FLOW_EGRESS ? ip.daddr : ip.saddr;
	flow.local_port = direction == FLOW_EGRESS ? ports.source : ports.destination;
	flow.remote_port = direction == FLOW_EGRESS ? ports.destination : ports.source;
	count(skb, &flows_v6, &flow, direction, offset);
}

static __always_inline void count_packet(struct __sk_buff *skb, enum flow_direction direction)
{
	__u32 offset = link_header_length;
	__be16 protocol = skb->protocol;

	// The outermost tag is not in the packet's data as a rule: the kernel keeps it beside the packet.
	for (int tags = 0; tags < MAX_INNER_VLAN_TAGS; tags++) {
		struct flow_vlan_tag tag;

		if (protocol != bpf_htons(ETH_P_8021Q) && protocol != bpf_htons(ETH_P_8021AD))
			break;
		if (bpf_skb_load_bytes(skb, offset, &tag, sizeof(tag)))
			return;
		protocol = tag.protocol;
		offset += sizeof(tag);
	}
	if (protocol == bpf_htons(ETH_P_IP))
		count_v4(skb, offset, direction);
	else if (protocol == bpf_htons(ETH_P_IPV6))
		count_v6(skb, offset, direction);
}

// TC_ACT_UNSPEC: the packet goes on to whatever else is attached, as if this program were not there.
SEC("tc")
int count_ingress(struct __sk_buff *skb)
{
	count_packet(skb, FLOW_INGRESS);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int count_egress(struct __sk_buff *skb)
{
	count_packet(skb, FLOW_EGRESS);
	return TC_ACT_UNSPEC;
}
