/** Programs for users without privileges. They need no vmlinux.h unless it is what the test is about. */
const HEAD = `#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "Dual MIT/GPL";
`;

/** An XDP program that drops, and programs that count what every process does. */
export const sound = `${HEAD}
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} runs SEC(".maps");

static __always_inline int count(void)
{
	__u32 key = 0;
	__u64 *value = bpf_map_lookup_elem(&runs, &key);

	if (value)
		__sync_fetch_and_add(value, 1);
	return 0;
}

SEC("xdp")
int drop_all(struct xdp_md *ctx)
{
	return XDP_DROP;
}

SEC("kprobe/vfs_read")
int count_reads(void *ctx)
{
	return count();
}

SEC("raw_tp/sys_enter")
int count_syscalls(void *ctx)
{
	return count();
}

SEC("tracepoint/raw_syscalls/sys_enter")
int count_by_name(void *ctx)
{
	return count();
}
`;

/** The verifier refuses it; clang does not. */
export const rejected = `${HEAD}
SEC("xdp")
int reads_beyond(struct xdp_md *ctx)
{
	return *(int *)(long)ctx->data; /* unchecked */
}
`;

/** clang refuses it, and with the kernel's types at hand only for the one name. */
export const misspelt = `#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
SEC("xdp")
int typo(struct xdp_md *ctx)
{
	return ctx->dataa;
}
`;

/** Not C. */
export const broken = `${HEAD}
SEC("xdp")
int broken(struct xdp_md *ctx)
{
	return XDP_PASS
}
`;
