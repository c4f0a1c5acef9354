// SPDX-License-Identifier: MIT OR GPL-2.0-only
// Two XDP programs: one that counts packets by protocol and drops TCP, and one that the verifier rejects.
#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define ETH_P_IP 0x0800

struct traffic {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __u8);
	__type(value, struct traffic);
} by_protocol SEC(".maps");

// The IPv4 header of a packet, or NULL: the verifier wants every access checked against the packet's end.
static __always_inline struct iphdr *ipv4_of(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *ethernet = data;
	struct iphdr *ip = (void *)(ethernet + 1);

	if ((void *)(ip + 1) > end || ethernet->h_proto != bpf_htons(ETH_P_IP))
		return NULL;
	return ip;
}

SEC("xdp")
int count_and_drop_tcp(struct xdp_md *ctx)
{
	struct iphdr *ip = ipv4_of(ctx);
	struct traffic none = {}, *traffic;
	__u8 protocol;

	if (!ip)
		return XDP_PASS;
	protocol = ip->protocol;
	bpf_map_update_elem(&by_protocol, &protocol, &none, BPF_NOEXIST);
	traffic = bpf_map_lookup_elem(&by_protocol, &protocol);
	if (!traffic)
		return XDP_PASS;
	__sync_fetch_and_add(&traffic->packets, 1);
	__sync_fetch_and_add(&traffic->bytes, ctx->data_end - ctx->data);
	return protocol == IPPROTO_TCP ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int count_unchecked(struct xdp_md *ctx)
{
	__u8 protocol = IPPROTO_TCP;
	struct traffic *traffic = bpf_map_lookup_elem(&by_protocol, &protocol);

	// Nobody has counted TCP yet? Then this is NULL. Add `if (!traffic) return XDP_PASS;` above it.
	traffic->packets++;
	return XDP_PASS;
}
