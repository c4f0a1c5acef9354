// A congestion control that does nothing, to see whether a kernel takes struct_ops.
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

struct sock;
struct tcp_congestion_ops {
	__u32 (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	__u32 (*undo_cwnd)(struct sock *sk);
	char name[16];
} __attribute__((preserve_access_index));

SEC("struct_ops/idle_ssthresh")
__u32 idle_ssthresh(void *ctx)
{
	return 2;
}

SEC("struct_ops/idle_cong_avoid")
void idle_cong_avoid(void *ctx)
{
}

SEC("struct_ops/idle_undo_cwnd")
__u32 idle_undo_cwnd(void *ctx)
{
	return 2;
}

SEC(".struct_ops")
struct tcp_congestion_ops bpfs_idle = {
	.ssthresh = (void *)idle_ssthresh,
	.cong_avoid = (void *)idle_cong_avoid,
	.undo_cwnd = (void *)idle_undo_cwnd,
	.name = "bpfs_idle",
};
