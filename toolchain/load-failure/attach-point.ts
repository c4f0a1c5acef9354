/**
 * What a program that loads would be attached to, and whether the target kernel has it. kprobes and tracepoints are
 * looked up only when they are attached, so the verdict says nothing about their names. A finding here is analysis,
 * not a verdict, and is marked as a hint.
 */
import { alternatives, nearestNames } from './nearest';
import { hasOption, kernelName } from './target';
import type { TargetFacts } from './target';

/** What a section names, when it is looked up at attach time. */
export type AttachPoint =
  | { kind: 'function'; name: string; written: string; option: string }
  | { kind: 'functions'; pattern: string; written: string; option: string }
  | { kind: 'syscall'; name: string; written: string; option: string }
  | { kind: 'tracepoint'; category: string; name: string; written: string }
  | { kind: 'rawTracepoint'; name: string; written: string };

/** Reads `SEC()`'s text as libbpf does; undefined for sections that name nothing, or what the load has checked. */
export function attachPointOf(section: string): AttachPoint | undefined {
  const plain = section.replace(/^\?/, '');
  const slash = plain.indexOf('/');
  if (slash < 0) return undefined;
  const written = plain.slice(slash + 1);
  if (written === '') return undefined;
  switch (plain.slice(0, slash)) {
    case 'kprobe':
    case 'kretprobe': {
      const name = /^([\w.]+)(?:\+(?:0x)?[\da-f]+)?$/i.exec(written)?.[1];
      return name === undefined
        ? undefined
        : { kind: 'function', name, written: name, option: 'CONFIG_KPROBES' };
    }
    case 'kprobe.multi':
    case 'kretprobe.multi':
    case 'kprobe.session': {
      const option = 'CONFIG_FPROBE';
      if (/^[\w.]+$/.test(written)) return { kind: 'function', name: written, written, option };
      if (/^[\w.*?]+$/.test(written)) return { kind: 'functions', pattern: written, written, option };
      return undefined;
    }
    case 'ksyscall':
    case 'kretsyscall':
      return /^\w+$/.test(written)
        ? { kind: 'syscall', name: written, written, option: 'CONFIG_KPROBES' }
        : undefined;
    case 'tracepoint':
    case 'tp': {
      const [category = '', name = '', more] = written.split('/');
      return category && name && more === undefined
        ? { kind: 'tracepoint', category, name, written }
        : undefined;
    }
    case 'raw_tracepoint':
    case 'raw_tp':
    case 'raw_tracepoint.w':
    case 'raw_tp.w':
      return /^\w+$/.test(written) ? { kind: 'rawTracepoint', name: written, written } : undefined;
    default:
      return undefined;
  }
}

/** The kernel's lists, asked for only when needed. Each is undefined when it cannot be read: then nothing is said. */
export interface AttachLists {
  /** Functions whose name contains the text, as the kernel lists them for kprobes. */
  functionsWith(text: string): Promise<readonly string[] | undefined>;
  allFunctions(): Promise<readonly string[] | undefined>;
  /** As `category/name`. */
  tracepoints(): Promise<readonly string[] | undefined>;
}

export interface AttachHint {
  message: string;
  help: string;
  /** Names of the kernel's own lists that may have been meant in place of what is written, the likeliest first. */
  names?: readonly string[];
}

/** What is wrong with an attach point on the target; undefined when it is there or nothing can be said. */
export async function hintForAttachPoint(
  point: AttachPoint,
  lists: AttachLists,
  target: TargetFacts,
): Promise<AttachHint | undefined> {
  const hint = await findHint(point, lists, target);
  const isMissing = 'option' in point && hasOption(target, point.option) === false;
  if (!hint || !isMissing) return hint;
  const option = `This kernel was also built without ${point.option}.`;
  return { ...hint, help: `${hint.help} ${option}`.trim() };
}

async function findHint(
  point: AttachPoint,
  lists: AttachLists,
  target: TargetFacts,
): Promise<AttachHint | undefined> {
  const kernel = kernelName(target);
  switch (point.kind) {
    case 'function':
      return functionHint(point.name, lists, kernel);
    case 'functions': {
      // The longest stretch without wildcards keeps the answer short.
      const longest = point.pattern.split(/[*?]+/).sort((a, b) => b.length - a.length)[0] ?? '';
      const names = await (longest === '' ? lists.allFunctions() : lists.functionsWith(longest));
      const pattern = globPattern(point.pattern);
      if (!names || names.some((name) => pattern.test(name))) return undefined;
      return {
        message: `${kernel} has no function that matches ${point.pattern}: this program cannot be attached there`,
        help: 'Check the pattern against /sys/kernel/tracing/available_filter_functions.',
      };
    }
    case 'syscall': {
      const names = await lists.functionsWith(`sys_${point.name}`);
      const implementation = new RegExp(`^(__\\w+_)?sys_${point.name}$`);
      if (!names || names.some((name) => implementation.test(name))) return undefined;
      const all = (await lists.allFunctions()) ?? [];
      const calls = new Set(
        all.flatMap((name) => /^__(?:x64|arm64|se|s390x|riscv)_sys_(\w+)$/.exec(name)?.[1] ?? []),
      );
      if (calls.size === 0) return undefined;
      return absent(`${kernel} has no system call ${point.name}`, nearestNames(point.name, calls));
    }
    case 'tracepoint': {
      const all = await lists.tracepoints();
      const wanted = `${point.category}/${point.name}`;
      if (!all || all.length === 0 || all.includes(wanted)) return undefined;
      const sameName = all.filter((one) => one.endsWith(`/${point.name}`));
      return absent(
        `${kernel} has no tracepoint ${wanted}`,
        sameName.length > 0 ? sameName.slice(0, 3) : nearestNames(wanted, all),
      );
    }
    case 'rawTracepoint': {
      // Events are not quite tracepoints: several may share one, and the BTF knows the tracepoints themselves.
      const known = target.btf && rawTracepoints(target.btf.namesOf('typedef'));
      if (!known || known.size === 0 || known.has(point.name)) return undefined;
      return absent(`${kernel} has no tracepoint ${point.name}`, nearestNames(point.name, known));
    }
  }
}

/** Tracepoints have a typedef of their probe's type: `btf_trace_NAME`. */
function rawTracepoints(typedefs: Iterable<string>): Set<string> {
  const names = new Set<string>();
  for (const name of typedefs) if (name.startsWith('btf_trace_')) names.add(name.slice('btf_trace_'.length));
  return names;
}

async function functionHint(
  name: string,
  lists: AttachLists,
  kernel: string,
): Promise<AttachHint | undefined> {
  const containing = await lists.functionsWith(name);
  if (!containing || containing.includes(name)) return undefined;
  const copies = containing.filter((one) => one.startsWith(`${name}.`));
  if (copies.length > 0) {
    return {
      message: `${kernel} has ${name} only as ${alternatives(copies.slice(0, 3))}, which the compiler made of it: this program cannot be attached to ${name}`,
      help: 'Such a copy may have other arguments than the function in the source, and another kernel build may have another suffix.',
    };
  }
  const all = await lists.allFunctions();
  // An empty list is one that may not be read, not a kernel without functions.
  if (!all || all.length === 0 || all.includes(name)) return undefined;
  return absent(
    `${kernel} has no function ${name} that can be probed`,
    nearestNames(name, all),
    'It may be inlined, renamed or in a module that is not loaded.',
  );
}

function absent(what: string, similar: readonly string[], otherwise = ''): AttachHint {
  return {
    message: `${what}: this program loads, but cannot be attached there`,
    help: similar.length > 0 ? `Did you mean ${alternatives(similar)}?` : otherwise,
    names: similar,
  };
}

function globPattern(glob: string): RegExp {
  return new RegExp(`^${glob.replaceAll('.', '\\.').replaceAll('*', '.*').replaceAll('?', '.')}$`);
}
