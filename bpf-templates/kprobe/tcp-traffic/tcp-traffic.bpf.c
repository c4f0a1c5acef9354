// SPDX-License-Identifier: MIT OR GPL-2.0-only
// Counts the bytes each process sends and receives over TCP, IPv4 and IPv6 alike.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define TASK_COMM_LEN 16

struct tcp_process {
	__u32 pid;
	// Name of the thread group's leader, so that a process with named threads has one entry.
	char comm[TASK_COMM_LEN];
};

struct tcp_traffic {
	__u64 sent_bytes;
	__u64 received_bytes;
};

// LRU: when it is full, the process that was idle longest makes room.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 10240);
	__type(key, struct tcp_process);
	__type(value, struct tcp_traffic);
} traffic_by_process SEC(".maps");

struct tcp_send {
	struct tcp_process process;
	__u64 requested_bytes;
};

// tcp_sendmsg() calls that have not returned yet, by thread (bpf_get_current_pid_tgid()).
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 10240);
	__type(key, __u64);
	__type(value, struct tcp_send);
} sends_under_way SEC(".maps");

struct tcp_read_position {
	__u32 copied_seq;
	__u32 copied;
};

// How far each socket had been read at the last tcp_cleanup_rbuf(), by address of its struct sock.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, struct tcp_read_position);
} read_positions SEC(".maps");

static __always_inline void current_process(struct tcp_process *process)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	__builtin_memset(process, 0, sizeof(*process));
	process->pid = bpf_get_current_pid_tgid() >> 32;
	BPF_CORE_READ_STR_INTO(&process->comm, task, group_leader, comm);
}

static __always_inline struct tcp_traffic *traffic_of(const struct tcp_process *process)
{
	struct tcp_traffic *traffic = bpf_map_lookup_elem(&traffic_by_process, process);
	struct tcp_traffic none = {};

	if (traffic)
		return traffic;
	// Another CPU may have been faster: BPF_NOEXIST keeps what it has counted.
	bpf_map_update_elem(&traffic_by_process, process, &none, BPF_NOEXIST);
	return bpf_map_lookup_elem(&traffic_by_process, process);
}

// The whole request is counted here and what was not sent is taken off on return. The kernel can follow only a
// limited number of blocked calls to their return (twice the CPUs, or ten); a blocking send whose return it misses
// sends everything as a rule, so the count is still right.
SEC("kprobe/tcp_sendmsg")
int BPF_KPROBE(tcp_sendmsg_entry, struct sock *sk, struct msghdr *msg, size_t size)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct tcp_send send = { .requested_bytes = size };
	struct tcp_traffic *traffic;

	current_process(&send.process);
	traffic = traffic_of(&send.process);
	if (!traffic)
		return 0;
	__sync_fetch_and_add(&traffic->sent_bytes, size);
	bpf_map_update_elem(&sends_under_way, &thread, &send, BPF_ANY);
	return 0;
}

SEC("kretprobe/tcp_sendmsg")
int BPF_KRETPROBE(tcp_sendmsg_return, int result)
{
	__u64 thread = bpf_get_current_pid_tgid();
	__u64 sent = result > 0 ? result : 0;
	struct tcp_send *send = bpf_map_lookup_elem(&sends_under_way, &thread);
	struct tcp_traffic *traffic;

	// Entered before the probe was attached.
	if (!send)
		return 0;
	traffic = bpf_map_lookup_elem(&traffic_by_process, &send->process);
	if (traffic && sent < send->requested_bytes)
		__sync_fetch_and_add(&traffic->sent_bytes, sent - send->requested_bytes);
	bpf_map_delete_elem(&sends_under_way, &thread);
	return 0;
}

// `copied` says how many bytes the current read has taken so far. It may come several times in one read: a read with
// MSG_WAITALL calls this each time before it waits for more. And it may come for bytes that stay in the queue
// (MSG_PEEK). tcp_sock.copied_seq tells these apart: it moves with every byte taken out of the queue.
static __always_inline __u32 newly_read(struct sock *sk, __u32 copied)
{
	struct tcp_sock *tcp = (struct tcp_sock *)sk;
	__u64 key = (__u64)sk;
	struct tcp_read_position now = {
		.copied_seq = BPF_CORE_READ(tcp, copied_seq),
		.copied = copied,
	};
	struct tcp_read_position *last = bpf_map_lookup_elem(&read_positions, &key);
	__u32 fresh = copied;

	if (last) {
		__u32 advance = now.copied_seq - last->copied_seq;

		if (advance == 0)
			return 0;
		// Less than this read has taken in all: the rest was counted at the last call.
		if (advance < copied)
			fresh = copied - last->copied;
	} else {
		__u32 first_seq = BPF_CORE_READ(tcp, rcv_nxt) - (__u32)BPF_CORE_READ(tcp, bytes_received);

		// Fewer bytes have ever left the queue than this: they were only looked at.
		if (now.copied_seq - first_seq < copied)
			return 0;
	}
	bpf_map_update_elem(&read_positions, &key, &now, BPF_ANY);
	return fresh;
}

SEC("kprobe/tcp_cleanup_rbuf")
int BPF_KPROBE(tcp_cleanup_rbuf_entry, struct sock *sk, int copied)
{
	struct tcp_process process;
	struct tcp_traffic *traffic;
	__u32 bytes;

	if (copied <= 0)
		return 0;
	bytes = newly_read(sk, copied);
	if (bytes == 0)
		return 0;
	current_process(&process);
	traffic = traffic_of(&process);
	if (traffic)
		__sync_fetch_and_add(&traffic->received_bytes, bytes);
	return 0;
}

// The address of a closed socket may be used again for the next one.
SEC("kprobe/tcp_close")
int BPF_KPROBE(tcp_close_entry, struct sock *sk)
{
	__u64 key = (__u64)sk;

	bpf_map_delete_elem(&read_positions, &key);
	return 0;
}
