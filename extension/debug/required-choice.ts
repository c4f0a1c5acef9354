/** What `SEC()` leaves open of a program's hook. Knows no vscode. */

/**
 * What must be chosen before a program can be attached, by its section name as libbpf reads it (libbpf.c's
 * section_defs; a leading `?` only turns autoload off).
 */
export type Choice =
  | 'nothing'
  | 'xdpInterface'
  | 'tcInterface'
  | 'netkitInterface'
  | 'socketInterface'
  | 'kernelFunction'
  | 'kernelFunctions'
  | 'tracepoint'
  | 'rawTracepoint'
  | 'userFunction'
  | 'usdt'
  | 'perfEvent'
  | 'cgroup'
  | 'netns'
  | 'netfilter';

/** See {@link Choice}. */
export function requiredChoice(section: string): Choice {
  const [type = '', ...rest] = section.replace(/^\?/, '').split('/');
  const target = rest.join('/');
  const unless = (choice: Choice): Choice => (target === '' ? choice : 'nothing');
  const kind = type.replace(/\.s$/, '');
  switch (kind) {
    case 'xdp':
    case 'xdp.frags':
      return target === 'devmap' || target === 'cpumap' ? 'nothing' : 'xdpInterface';
    case 'tc':
    case 'tcx':
    case 'classifier':
    case 'action':
      return 'tcInterface';
    case 'netkit':
      return 'netkitInterface';
    case 'socket':
      return 'socketInterface';
    case 'kprobe':
    case 'kretprobe':
      return unless('kernelFunction');
    case 'kprobe.multi':
    case 'kretprobe.multi':
      return unless('kernelFunctions');
    case 'tracepoint':
    case 'tp':
      return unless('tracepoint');
    case 'raw_tracepoint':
    case 'raw_tp':
    case 'raw_tracepoint.w':
    case 'raw_tp.w':
      return unless('rawTracepoint');
    case 'uprobe':
    case 'uretprobe':
      return unless('userFunction');
    case 'usdt':
      return unless('usdt');
    case 'perf_event':
      return 'perfEvent';
    case 'cgroup':
    case 'cgroup_skb':
    case 'sockops':
      return 'cgroup';
    case 'sk_lookup':
    case 'flow_dissector':
      return 'netns';
    case 'netfilter':
      return 'netfilter';
    default:
      return 'nothing';
  }
}

/** `tc/ingress`, `tcx/egress`, `classifier/egress` say which way; plain `tc` and `classifier` do not. */
export function tcDirection(section: string): 'ingress' | 'egress' | undefined {
  const direction = /\/(ingress|egress)$/.exec(section)?.[1];
  return direction as 'ingress' | 'egress' | undefined;
}
