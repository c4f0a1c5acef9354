// One program for each feature that differs between the kernels of docs/targets.md. Types are declared here as far
// as they are used, so that the object is the same for every kernel.
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
enum { BPF_MAP_TYPE_ARRAY = 2, BPF_MAP_TYPE_RINGBUF = 27 };

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} hits SEC(".maps");

static __always_inline int count(void)
{
	__u32 key = 0;
	__u64 *value = bpf_map_lookup_elem(&hits, &key);

	if (value)
		__sync_fetch_and_add(value, 1);
	return 0;
}

/* sys_sethostname is called by nobody but a test, so that its calls can be counted exactly. */
SEC("kprobe/__x64_sys_sethostname")
int by_kprobe(void *ctx)
{
	return count();
}

SEC("kprobe.multi/__x64_sys_sethostnam*")
int by_kprobe_multi(void *ctx)
{
	return count();
}

SEC("fentry/__x64_sys_sethostname")
int by_fentry(void *ctx)
{
	return count();
}

SEC("tracepoint/syscalls/sys_enter_sethostname")
int by_tracepoint(void *ctx)
{
	return count();
}

/* sethostname(2) asks security_capable(); every other question adds to the count too. */
SEC("lsm/capable")
int by_lsm(void *ctx)
{
	return count();
}

SEC("tc")
int by_tc(void *ctx)
{
	count();
	return -1;
}

SEC("xdp")
int by_xdp(void *ctx)
{
	count();
	return 2;
}

/* Has to be refused: with a key that is not known the value may be NULL. (A constant one is seen through by 7.3.) */
SEC("xdp")
int refused(void *ctx)
{
	__u32 key = bpf_get_prandom_u32();
	__u64 *value = bpf_map_lookup_elem(&hits, &key);

	return (int)*value;
}
