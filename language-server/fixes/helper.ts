/** Another helper that does the same and is allowed, or a section in which the helper is. */
import { callAt } from './code/assigned';
import { statementOf } from './code/place';
import { walk, type SyntaxNode } from '../../toolchain/c/tree';
import type { Candidate, Situation } from './fix';

/** Helpers with the same arguments and the same effect for those who may not call the first (bpf-helpers(7)). */
const SAME: Record<string, { name: string; note?: string }[]> = {
  // Which of the two is meant only the programmer knows: the first reads both kinds of addresses where it exists.
  bpf_probe_read: [{ name: 'bpf_probe_read_kernel' }, { name: 'bpf_probe_read_user' }],
  bpf_probe_read_str: [{ name: 'bpf_probe_read_kernel_str' }, { name: 'bpf_probe_read_user_str' }],
  bpf_copy_from_user: [{ name: 'bpf_probe_read_user', note: 'fails on memory that is swapped out' }],
  bpf_skb_load_bytes: [{ name: 'bpf_xdp_load_bytes' }],
  bpf_xdp_load_bytes: [{ name: 'bpf_skb_load_bytes' }],
  bpf_skb_output: [{ name: 'bpf_perf_event_output' }],
  bpf_xdp_output: [{ name: 'bpf_perf_event_output' }],
  bpf_ktime_get_boot_ns: [{ name: 'bpf_ktime_get_ns' }],
  bpf_ktime_get_coarse_ns: [{ name: 'bpf_ktime_get_ns' }],
  bpf_get_current_task_btf: [{ name: 'bpf_get_current_task' }],
};

/** Sections that have a sleepable form, by libbpf's list of section names. */
const SLEEPABLE =
  /^(fentry|fexit|fmod_ret|lsm|iter|uprobe|uretprobe|uprobe\.multi|uretprobe\.multi|usdt|tp_btf)(?=\/|$)/;

export function replaceHelper(situation: Situation): Candidate[] {
  const { failure, source, program, node } = situation;
  const callee =
    /call (\w+)#/.exec(failure?.path.steps.at(-1)?.text ?? '')?.[1] ??
    /(bpf_\w+)#\d+/.exec(failure?.kernelMessage ?? '')?.[1];
  const call = callAt(node, callee) ?? insideStatement(node, callee);
  const callName = call?.fields.function;
  const others = (callee && SAME[callee]) || [];
  const replaced = callName
    ? others.map(({ name, note }, order): Candidate => ({
        title: `Call \`${name}\` instead${note ? ` (${note})` : ''}`,
        edits: [{ start: callName.start, end: callName.end, text: name }],
        isAlternative: order > 0 || note !== undefined || others.length > 1,
      }))
    : [];
  return [...sleepable(), ...replaced];

  function sleepable(): Candidate[] {
    const declared = source.programs.find(({ name }) => name === program?.name);
    const kind = declared && SLEEPABLE.exec(declared.section)?.[1];
    if (!declared || !kind || failure?.id === 'bpf/unknown-helper') return [];
    const at = declared.sectionSpan.start + kind.length;
    const section = `${kind}.s${declared.section.slice(kind.length)}`;
    return [
      {
        title: `Make the program sleepable: \`SEC("${section}")\``,
        edits: [{ start: at, end: at, text: '.s' }],
      },
    ];
  }
}

function insideStatement(node: SyntaxNode, callee: string | undefined): SyntaxNode | undefined {
  const statement = statementOf(node);
  return [...walk(statement ?? node)].find(
    (one) => one.type === 'call_expression' && one.fields.function?.text === callee,
  );
}
