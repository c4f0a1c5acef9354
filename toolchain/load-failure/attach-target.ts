/** Section names and what they name: program types that libbpf does not know, functions and hooks a kernel lacks. */
import { sections } from '../program/sections';
import type { LoadFinding } from './finding';
import { alternatives, nearestNames } from './nearest';
import { isOlder, kernelName } from './target';
import type { TargetFacts } from './target';

/** What a program says of itself. */
export interface Attached {
  name: string;
  section: string;
}

/** Names that people write for other reasons than a slip: other loaders', or the program type's. */
const otherNames: Readonly<Record<string, string>> = {
  socket_filter: 'socket',
  sched_cls: 'tc',
  sched_act: 'action',
  cls: 'tc',
  ingress: 'tcx/ingress',
  egress: 'tcx/egress',
  tracing: 'fentry/FUNCTION',
  sock_ops: 'sockops',
  xdp_prog: 'xdp',
  prog: 'xdp',
};

/** SEC() of a name that libbpf knows no program type for. */
export function explainSection({ name, section }: Attached): LoadFinding {
  const proposals = sectionProposals(section);
  const quoted = proposals.map((one) => `SEC("${one}")`);
  // FUNCTION and … stand for what only the programmer knows.
  const sections = proposals.filter((one) => !/…|[A-Z]{4}/.test(one));
  return {
    id: 'bpf/section',
    message: `SEC("${section}") names no program type that libbpf knows`,
    help:
      quoted.length > 0
        ? `Did you mean ${quoted.join(' or ')}?`
        : 'Use a section name that libbpf knows, such as SEC("xdp"), SEC("tc"), SEC("kprobe/FUNCTION"), SEC("tracepoint/CATEGORY/NAME").',
    ...(sections.length > 0 && { sections }),
    places: [
      { kind: 'section', name },
      { kind: 'program', name },
    ],
  };
}

/** Up to three section names that are close to what is written; what follows the type is kept. */
export function sectionProposals(written: string): string[] {
  const plain = written.replace(/^\?/, '');
  const other = otherNames[plain];
  if (other !== undefined) return [other];
  const complete = sections
    .map(({ name }) => name)
    .filter((name) => !name.startsWith('.') && name !== 'license');
  const whole = nearestNames(
    plain,
    complete.filter((name) => !name.endsWith('/')),
  );
  if (whole.length > 0) return whole;
  // The type is misspelled, what comes after it is the user's.
  const slash = plain.indexOf('/');
  const type = slash < 0 ? plain : plain.slice(0, slash);
  const rest = slash < 0 ? '' : plain.slice(slash);
  const types = new Set(complete.map((name) => name.replace(/\/.*$/, '')));
  const needsRest = new Set(complete.filter((name) => name.endsWith('/')).map((name) => name.slice(0, -1)));
  if (rest !== '' || !types.has(type)) {
    const nearest = nearestNames(type, types);
    if (nearest.length > 0) return nearest.map((name) => name + (needsRest.has(name) ? rest || '/…' : ''));
  }
  // `xdp_` and `xdp_sock`: until libbpf 1.0 whatever came after the type was ignored.
  const begins = [...types].filter((name) => new RegExp(`^${name}[^a-z0-9]`).test(plain));
  const longest = begins.sort((a, b) => b.length - a.length)[0];
  if (longest === undefined) return [];
  const following = plain.slice(longest.length + 1);
  if (longest === 'tc' && /^(ingress|egress)$/.test(following)) return ['tc', `tcx/${following}`];
  return [needsRest.has(longest) ? `${longest}/${following || '…'}` : longest];
}

/** What a section's type puts before the name to find it in the kernel's BTF (libbpf's `libbpf_find_prog_btf_id`). */
const btfPrefixes: { type: RegExp; kind: 'func' | 'typedef'; prefix: string; what: string }[] = [
  { type: /^(tp_btf|raw_tp)/, kind: 'typedef', prefix: 'btf_trace_', what: 'tracepoint' },
  { type: /^lsm/, kind: 'func', prefix: 'bpf_lsm_', what: 'LSM hook' },
  { type: /^iter/, kind: 'func', prefix: 'bpf_iter_', what: 'iterator' },
  { type: /^/, kind: 'func', prefix: '', what: 'function' },
];

const notInBtf = /failed to find (?:kernel )?BTF type ID of '([^']+)'/;
const noTarget = /no BTF-based attach target is specified/;
const noProgram = /attach program FD is not set/;

/** A target that is fixed at load time and that the kernel's BTF does not have, or that is not given at all. */
export function explainAttachTarget(
  lines: readonly string[],
  { name, section }: Attached,
  facts: TargetFacts | undefined,
): LoadFinding | undefined {
  const type = section.replace(/^\?/, '').replace(/\/.*$/s, '');
  const places = (part?: string): LoadFinding['places'] => [
    { kind: 'section', name, ...(part !== undefined && { part }) },
    { kind: 'program', name },
  ];
  for (const line of lines) {
    const missing = notInBtf.exec(line)?.[1];
    if (missing !== undefined) {
      const { kind, prefix, what } = btfPrefixes.find((one) => one.type.test(type))!;
      const similar = facts?.btf ? nearestNames(prefix + missing, facts.btf.namesOf(kind)) : [];
      const names = similar.filter((one) => one.startsWith(prefix)).map((one) => one.slice(prefix.length));
      const sections = names.map((one) => replaceLast(section, missing, one));
      // A name like none of the kernel's may stand for the function that a loader chooses.
      const isLeftOpen = what === 'function' && names.length === 0;
      return {
        id: 'bpf/attach-target',
        message: `${kernelName(facts)} has no ${what} ${missing} in its BTF, so SEC("${section}") has nothing to attach to${isLeftOpen ? ' and was not verified' : ''}`,
        help:
          names.length > 0
            ? `It has ${alternatives(names)}.`
            : isLeftOpen
              ? 'Functions that are inlined, renamed or in a module that is not loaded are not there; "BPF: Attach Program" offers those that are. A loader may choose another with bpf_program__set_attach_target(): name one that exists here to have the program verified.'
              : `Check the name of the ${what} against this kernel.`,
        ...(isLeftOpen && { isLeftOpen }),
        ...(sections.length > 0 && { sections }),
        places: places(missing),
      };
    }
    if (noTarget.test(line)) {
      return {
        id: 'bpf/attach-target',
        message: `SEC("${section}") does not say what to attach to, and the kernel wants to know when it loads the program: it was not verified`,
        isLeftOpen: true,
        help: `Name it: SEC("${type}/${type.startsWith('lsm') ? 'HOOK' : type === 'tp_btf' ? 'TRACEPOINT' : type === 'iter' ? 'KIND' : 'FUNCTION'}"). A loader may also set it with bpf_program__set_attach_target().`,
        places: places(),
      };
    }
    if (noProgram.test(line)) {
      return {
        id: 'bpf/attach-target',
        message: `SEC("${section}") replaces a function of another program, which a loader must name before this one is loaded: it was not verified`,
        isLeftOpen: true,
        help: 'Load it with a loader that calls bpf_program__set_attach_target() with the other program; it cannot be verified by itself.',
        places: places(),
      };
    }
  }
  return undefined;
}

/** A section's text with the name at its end replaced. */
export function replaceLast(section: string, name: string, by: string): string {
  const at = section.lastIndexOf(name);
  return at < 0 ? section : section.slice(0, at) + by + section.slice(at + name.length);
}

/** First Linux release that takes an attach type or load flag which libbpf sets by the section's name. */
const sectionsSince: { section: RegExp; since: string; what: string }[] = [
  { section: /^cgroup\/\w+_unix$/, since: '6.7', what: 'the attach type for Unix sockets' },
  { section: /^lsm_cgroup\//, since: '6.0', what: 'LSM programs of cgroups' },
  { section: /^xdp\.frags(\/|$)/, since: '5.18', what: 'XDP programs for packets in fragments' },
  { section: /^(uprobe|uretprobe|usdt)\.s\//, since: '6.0', what: 'uprobe programs that may sleep' },
  { section: /^cgroup\/get(peer|sock)name[46]$/, since: '5.8', what: 'this attach type' },
  { section: /^sk_reuseport\/migrate$/, since: '5.14', what: 'the attach type for migrating sockets' },
];

/** An attach type that the kernel does not have: it answers EINVAL, or E2BIG for a field it does not know, alone. */
export function explainAttachType(
  { name, section }: Attached,
  errno: string | undefined,
  target: TargetFacts | undefined,
): LoadFinding | undefined {
  if (!target || (errno !== 'EINVAL' && errno !== 'E2BIG')) return undefined;
  const plain = section.replace(/^\?/, '');
  const found = sectionsSince.find((one) => one.section.test(plain) && isOlder(target.release, one.since));
  if (!found) return undefined;
  return {
    id: 'bpf/attach-type',
    message: `${kernelName(target)} does not know ${found.what}: SEC("${section}") needs Linux ${found.since}`,
    help: 'Choose a newer kernel ("BPF: Select Kernel", --target vm:PATH-TO-VMLINUZ), or a section that this one has; a `?` before the name keeps libbpf from loading the program unless it is asked to.',
    places: [
      { kind: 'section', name },
      { kind: 'program', name },
    ],
  };
}
