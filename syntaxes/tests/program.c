// SYNTAX TEST "source.c" "BPF in C"

  struct {
    __uint(type, BPF_MAP_TYPE_HASH);
//  ^^^^^^ support.function.macro.map.bpf
//         ^^^^ variable.other.member.map.bpf
//               ^^^^^^^^^^^^^^^^^ support.constant.map-type.bpf
    __type(value, __u64);
//  ^^^^^^ support.function.macro.map.bpf
//                ^^^^^ support.type.kernel.bpf
  } counts SEC(".maps");
//         ^^^ support.function.macro.section.bpf
//              ^^^^^ entity.name.section.bpf

  SEC("xdp")
//^^^ support.function.macro.section.bpf
//    ^ string.quoted.double.bpf punctuation.definition.string.begin.bpf
//     ^^^ entity.name.section.bpf
  int drop(struct xdp_md *ctx)
//                ^^^^^^ support.type.context.bpf
  {
    __u64 *value = bpf_map_lookup_elem(&counts, &key);
//                 ^^^^^^^^^^^^^^^^^^^ support.function.helper.bpf
    struct task_struct *task = bpf_task_from_pid(1);
//                             ^^^^^^^^^^^^^^^^^ support.function.kfunc.bpf
    bpf_printk("bpf_map_lookup_elem(%d)", bpf_htons(1));
//  ^^^^^^^^^^ support.function.macro.libbpf.bpf
//              ^^^^^^^^^^^^^^^^^^^ string.quoted.double.c - support.function.helper.bpf
//                                        ^^^^^^^^^ support.function.macro.libbpf.bpf
    if (bpf_map_update_elem(&counts, &key, value, BPF_ANY))
//                                                ^^^^^^^ support.constant.flag.bpf
        return XDP_DROP; // not XDP_PASS
//             ^^^^^^^^ support.constant.verdict.bpf
//                               ^^^^^^^^ comment.line.double-slash.c - support.constant.verdict.bpf
    int bpf_local_count = 0;
//      ^^^^^^^^^^^^^^^ - support.function.kfunc.bpf
  }

  SEC("?tp_btf/sched_switch")
//     ^ keyword.operator.optional.bpf
//      ^^^^^^ entity.name.section.bpf
//            ^^^^^^^^^^^^^ entity.name.hook.bpf
  int BPF_PROG(on_switch, bool preempt)
//    ^^^^^^^^ support.function.macro.program.bpf
//             ^^^^^^^^^ entity.name.function.bpf

  SEC("uprobe//usr/bin/bash:readline")
//     ^^^^^^ entity.name.section.bpf
//           ^^^^^^^^^^^^^^^^^^^^^^^ entity.name.hook.bpf
  static __always_inline int BPF_KPROBE(on_read)
//       ^^^^^^^^^^^^^^^ storage.modifier.bpf
//                           ^^^^^^^^^^ support.function.macro.program.bpf
//                                      ^^^^^^^ entity.name.function.bpf
    pid = BPF_CORE_READ(task, tgid);
//        ^^^^^^^^^^^^^ support.function.macro.libbpf.bpf
  char LICENSE[] SEC("license") = "GPL";
//               ^^^ support.function.macro.section.bpf
//                                ^^^^^ string.quoted.double.c
