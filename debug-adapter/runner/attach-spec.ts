/** What to attach a program to, as launch configurations and `--spec` write it: read, and explained when it is wrong. */
import type * as z from 'zod';
import { attachSpec } from '../../kernel/protocol';
import type { ConfiguredSpec } from '../protocol';

type Hook = ConfiguredSpec['hook'];

/** One of each hook that would do on most machines, to be followed. A test reads them all. */
export const specExamples: Record<Hook, Record<string, unknown> & { hook: Hook }> = {
  auto: { hook: 'auto' },
  kprobe: { hook: 'kprobe', function: 'tcp_sendmsg', return: false },
  kprobeMulti: { hook: 'kprobeMulti', pattern: 'tcp_*', return: false },
  tracepoint: { hook: 'tracepoint', category: 'sched', name: 'sched_switch' },
  rawTracepoint: { hook: 'rawTracepoint', name: 'sched_switch' },
  trace: { hook: 'trace' },
  uprobe: {
    hook: 'uprobe',
    binary: '/usr/lib/x86_64-linux-gnu/libc.so.6',
    function: 'malloc',
    return: false,
  },
  usdt: {
    hook: 'usdt',
    binary: '/usr/lib/x86_64-linux-gnu/libc.so.6',
    provider: 'libc',
    name: 'setjmp',
  },
  perfEvent: { hook: 'perfEvent', type: 1, config: 0, sampleFrequency: 99 },
  xdp: { hook: 'xdp', interface: 'eth0' },
  tc: { hook: 'tc', interface: 'eth0', direction: 'ingress', implementation: 'auto' },
  netkit: { hook: 'netkit', interface: 'nk0', side: 'primary' },
  cgroup: { hook: 'cgroup', path: '/sys/fs/cgroup' },
  sockmap: { hook: 'sockmap', map: 'NAME' },
  iter: { hook: 'iter', map: 'NAME' },
  netfilter: { hook: 'netfilter', family: 'ipv4', hookNumber: 'localIn', priority: 0 },
  netns: { hook: 'netns' },
  socket: { hook: 'socket', interface: 'eth0' },
};

/** Hooks of sections whose program type does not tell them apart, and of types that `auto` alone cannot attach. */
const HOOKS: [RegExp, Hook][] = [
  [/^u(ret)?probe(\.multi)?(\.s)?(\/|$)/, 'uprobe'],
  [/^usdt(\.s)?(\/|$)/, 'usdt'],
  [/^k(ret)?probe\.multi(\/|$)/, 'kprobeMulti'],
  [/^k(ret)?probe(\/|$)/, 'kprobe'],
  [/^(tracepoint|tp)(\/|$)/, 'tracepoint'],
  [/^(raw_tracepoint|raw_tp)(\.w)?(\/|$)/, 'rawTracepoint'],
  [/^perf_event$/, 'perfEvent'],
  [/^xdp/, 'xdp'],
  [/^(tc|tcx|classifier|action)(\/|$)/, 'tc'],
  [/^netkit\//, 'netkit'],
  [/^(cgroup|cgroup_skb|sockops)(\/|$)/, 'cgroup'],
  [/^(sk_msg|sk_skb)(\/|$)/, 'sockmap'],
  [/^iter\/bpf_map_elem$/, 'iter'],
  [/^netfilter$/, 'netfilter'],
  [/^(sk_lookup|flow_dissector)(\/|$)/, 'netns'],
  [/^socket/, 'socket'],
];

/** A spec that would do for a program of this section, as JSON; undefined where SEC() says it all. */
export function exampleFor(section: string): string | undefined {
  const hook = HOOKS.find(([pattern]) => pattern.test(section.replace(/^\?/, '')))?.[1];
  return hook && spell(specExamples[hook]);
}

/** JSON with a blank after each colon and comma, as people write it. */
function spell(value: object): string {
  const members = Object.entries(value).map(([name, each]) => `"${name}": ${JSON.stringify(each)}`);
  return `{${members.join(', ')}}`;
}

export type ReadSpec =
  | { ok: true; spec: ConfiguredSpec }
  /** `path` of the member that is wrong, empty for the whole; `problem` and `example` are whole phrases. */
  | { ok: false; path: PropertyKey[]; problem: string; example: string };

/** Reads a spec from JSON: maps by name, 64-bit numbers as JSON has them. */
export function readSpec(given: unknown): ReadSpec {
  const spec = widened(given) as { hook?: unknown; map?: unknown } | null | undefined;
  // A map's name stands for a handle, which only the loaded session has; any other number would do to check the rest.
  const named = (spec?.hook === 'sockmap' || spec?.hook === 'iter') && typeof spec.map === 'string';
  const parsed = attachSpec.safeParse(named ? { ...spec, map: 0 } : spec, { reportInput: true });
  if (!parsed.success) return explainIssue(parsed.error.issues[0]!, spec?.hook);
  return { ok: true, spec: named ? ({ ...parsed.data, map: spec.map } as ConfiguredSpec) : parsed.data };
}

/** 64-bit members of attach specifications by hook; JSON has no 64-bit numbers. */
const WIDE: Partial<Record<Hook, string[]>> = {
  perfEvent: ['config', 'samplePeriod', 'sampleFrequency'],
  uprobe: ['offset'],
};

/** Numbers of a configuration become what the kernel host's protocol wants; nonsense is left for it to refuse. */
function widened(spec: unknown): unknown {
  if (typeof spec !== 'object' || spec === null || !('hook' in spec)) return spec;
  const members = WIDE[spec.hook as Hook] ?? [];
  return Object.fromEntries(
    Object.entries(spec).map(([name, value]) => {
      const whole =
        members.includes(name) &&
        (Number.isSafeInteger(value) || (typeof value === 'string' && /^(0x[0-9a-f]+|\d+)$/i.test(value)));
      return [name, whole ? BigInt(value as number | string) : value];
    }),
  );
}

function explainIssue({ path, code, message, input }: z.core.$ZodIssue, hook: unknown): ReadSpec {
  const known = typeof hook === 'string' && Object.hasOwn(specExamples, hook);
  const example = `For example ${spell(specExamples[known ? (hook as Hook) : 'xdp'])}`;
  const problem = (): string => {
    if (path.length === 0) return `${JSON.stringify(input)} is not an object that names a hook`;
    if (path[0] === 'hook') {
      const hooks = Object.keys(specExamples).join(', ');
      return hook === undefined
        ? `is missing; it is one of ${hooks}`
        : `${JSON.stringify(hook)} is none of ${hooks}`;
    }
    if (code === 'invalid_type' && input === undefined)
      return `is missing; the hook ${String(hook)} needs it`;
    return message;
  };
  return { ok: false, path, problem: problem(), example };
}
