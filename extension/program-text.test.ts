import { expect, test } from 'vitest';
import { looksLikeBpfSource } from './bpf-source';
import { programsInText } from './program-text';

test('programs are found whatever stands between SEC and the name', () => {
  const programs = programsInText(`
SEC("xdp")
int plain(struct xdp_md *ctx) { return XDP_PASS; }

SEC("tc/ingress") static __always_inline int
next_line(struct __sk_buff *skb)

SEC("kprobe/tcp_sendmsg")
int BPF_KPROBE(probed, struct sock *sk) {}

SEC("?fexit.s/do_unlinkat")
int BPF_PROG(optional, int dfd, struct filename *name, long ret) {}
`);
  expect(programs.map(({ name, section, line }) => [name, section, line])).toEqual([
    ['plain', 'xdp', 2],
    ['next_line', 'tc/ingress', 5],
    ['probed', 'kprobe/tcp_sendmsg', 8],
    ['optional', '?fexit.s/do_unlinkat', 11],
  ]);
});

test('maps, licenses and struct_ops tables are no programs', () => {
  expect(
    programsInText(`
struct { __uint(type, BPF_MAP_TYPE_HASH); } counts SEC(".maps");
char LICENSE[] SEC("license") = "GPL";
SEC("license") char other[] = "GPL";
SEC(".struct_ops.link")
struct tcp_congestion_ops ops = { .init = (void *)init };
`),
  ).toEqual([]);
});

test.each([
  ['a.bpf.c', '', true],
  ['a.c', '#include "vmlinux.h"\n', true],
  ['a.c', '#include <stdio.h>\n#  include <bpf/bpf_helpers.h>\n', true],
  ['a.h', '#include <bpf/bpf_tracing.h>\n', true],
  ['a.c', '#include <bpf/libbpf.h>\nint main(void) {}\n', false],
  ['a.c', '// #include <vmlinux.h> is for BPF programs\nint main(void) {}\n', false],
])('%s with %j is taken for BPF: %s', (name, text, expected) => {
  expect(looksLikeBpfSource(name, text)).toBe(expected);
});
