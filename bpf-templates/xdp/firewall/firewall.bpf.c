// SPDX-License-Identifier: MIT OR GPL-2.0-only
// Drops packets by source address: those on a blocklist of prefixes, and those of sources that send too fast.
#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86DD
#define ETH_P_8021Q 0x8100
#define ETH_P_8021AD 0x88A8
#define MAX_VLAN_TAGS 2
#define NANOSECONDS_PER_SECOND 1000000000ULL

// Packets a source may send each second once its burst is used up. 0: no limit.
const volatile __u64 packets_per_second = 1000;
// Packets a source may send at once.
const volatile __u64 burst_packets = 2000;

enum firewall_verdict {
	VERDICT_PASSED,
	VERDICT_PASSED_NOT_IP,
	VERDICT_DROPPED_MALFORMED,
	VERDICT_DROPPED_BLOCKLIST,
	VERDICT_DROPPED_RATE_LIMIT,
	VERDICT_COUNT,
};

struct verdict_count {
	__u64 packets;
	__u64 bytes;
};

// A hash rather than an array: only a hash may have an enum as its key's type, by which tools show the names.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, VERDICT_COUNT);
	__type(key, enum firewall_verdict);
	__type(value, struct verdict_count);
} verdicts SEC(".maps");

struct blocklist_prefix_v4 {
	__u32 prefix_length;
	__be32 addr;
};

struct blocklist_prefix_v6 {
	__u32 prefix_length;
	struct in6_addr addr;
};

struct blocklist_rule {
	// Packets this prefix has dropped; write 0 when adding one.
	__u64 dropped_packets;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct blocklist_prefix_v4);
	__type(value, struct blocklist_rule);
} blocklist_v4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct blocklist_prefix_v6);
	__type(value, struct blocklist_rule);
} blocklist_v6 SEC(".maps");

// A token bucket, kept as the time when it will be full again: each packet that passes postpones that by the time one
// token takes to come back. One word and an atomic addition instead of a lock, which LRU maps do not have.
struct source_bucket {
	__u64 full_at_ns;
};

// By source address, IPv4 as ::ffff:a.b.c.d. LRU, so that forged sources cannot fill it up.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct in6_addr);
	__type(value, struct source_bucket);
} sources SEC(".maps");

struct firewall_vlan_tag {
	__be16 control;
	__be16 protocol;
};

// CPUs that judge packets of one source at the same moment may each let one packet too many pass.
static __always_inline bool exceeds_rate(const struct in6_addr *source)
{
	__u64 now = bpf_ktime_get_ns();
	struct source_bucket *bucket;
	__u64 token_ns, full_at;

	if (packets_per_second == 0)
		return false;
	token_ns = NANOSECONDS_PER_SECOND / packets_per_second;

	bucket = bpf_map_lookup_elem(&sources, source);
	if (!bucket) {
		struct source_bucket full = { .full_at_ns = now };

		bpf_map_update_elem(&sources, source, &full, BPF_NOEXIST);
		bucket = bpf_map_lookup_elem(&sources, source);
		if (!bucket)
			return false;
	}

	full_at = bucket->full_at_ns;
	if (full_at < now) {
		bucket->full_at_ns = now;
		full_at = now;
	}
	if (full_at - now + token_ns > burst_packets * token_ns)
		return true;
	__sync_fetch_and_add(&bucket->full_at_ns, token_ns);
	return false;
}

static __always_inline enum firewall_verdict judge_v4(void *ip_header, void *end)
{
	struct iphdr *ip = ip_header;
	struct blocklist_prefix_v4 prefix = { .prefix_length = 32 };
	struct in6_addr source = {};
	struct blocklist_rule *rule;

	if ((void *)(ip + 1) > end)
		return VERDICT_DROPPED_MALFORMED;
	if (ip->version != 4 || ip->ihl < 5)
		return VERDICT_DROPPED_MALFORMED;

	prefix.addr = ip->saddr;
	rule = bpf_map_lookup_elem(&blocklist_v4, &prefix);
	if (rule) {
		__sync_fetch_and_add(&rule->dropped_packets, 1);
		return VERDICT_DROPPED_BLOCKLIST;
	}
	source.in6_u.u6_addr16[5] = 0xffff;
	source.in6_u.u6_addr32[3] = ip->saddr;
	return exceeds_rate(&source) ? VERDICT_DROPPED_RATE_LIMIT : VERDICT_PASSED;
}

static __always_inline enum firewall_verdict judge_v6(void *ip_header, void *end)
{
	struct ipv6hdr *ip = ip_header;
	struct blocklist_prefix_v6 prefix = { .prefix_length = 128 };
	struct blocklist_rule *rule;

	if ((void *)(ip + 1) > end)
		return VERDICT_DROPPED_MALFORMED;
	if (ip->version != 6)
		return VERDICT_DROPPED_MALFORMED;

	__builtin_memcpy(&prefix.addr, &ip->saddr, sizeof(prefix.addr));
	rule = bpf_map_lookup_elem(&blocklist_v6, &prefix);
	if (rule) {
		__sync_fetch_and_add(&rule->dropped_packets, 1);
		return VERDICT_DROPPED_BLOCKLIST;
	}
	return exceeds_rate(&prefix.addr) ? VERDICT_DROPPED_RATE_LIMIT : VERDICT_PASSED;
}

// Only the IP header is looked at. Every fragment of a datagram has one, so fragments need no special treatment.
static __always_inline enum firewall_verdict judge(void *data, void *end)
{
	struct ethhdr *ethernet = data;
	void *payload = ethernet + 1;
	__be16 protocol;

	if (payload > end)
		return VERDICT_DROPPED_MALFORMED;
	protocol = ethernet->h_proto;
	for (int tags = 0; tags < MAX_VLAN_TAGS; tags++) {
		struct firewall_vlan_tag *tag = payload;

		if (protocol != bpf_htons(ETH_P_8021Q) && protocol != bpf_htons(ETH_P_8021AD))
			break;
		if ((void *)(tag + 1) > end)
			return VERDICT_DROPPED_MALFORMED;
		protocol = tag->protocol;
		payload = tag + 1;
	}
	if (protocol == bpf_htons(ETH_P_IP))
		return judge_v4(payload, end);
	if (protocol == bpf_htons(ETH_P_IPV6))
		return judge_v6(payload, end);
	return VERDICT_PASSED_NOT_IP;
}

static __always_inline void count(enum firewall_verdict verdict, __u64 bytes)
{
	struct verdict_count *count = bpf_map_lookup_elem(&verdicts, &verdict);

	if (count) {
		count->packets++;
		count->bytes += bytes;
	} else {
		struct verdict_count first = { .packets = 1, .bytes = bytes };

		// From a program this writes the slot of its own CPU only.
		bpf_map_update_elem(&verdicts, &verdict, &first, BPF_ANY);
	}
}

SEC("xdp")
int firewall(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	enum firewall_verdict verdict = judge(data, end);

	count(verdict, end - data);
	return verdict == VERDICT_PASSED || verdict == VERDICT_PASSED_NOT_IP ? XDP_PASS : XDP_DROP;
}
