/** Why an attachment failed, for a user: errno and hook together say more than either. */
import { accessSync, constants, existsSync } from 'node:fs';
import os from 'node:os';
import type { AddonError } from '../addon/addon';
import type { AttachSpec } from '../protocol';
import type { HostError } from './errors';
import { hasKprobes, noKprobes } from './kprobes';
import { findTracefs, tracefsMissing } from './tracefs';
import { HostError as HostErrorClass, toProtocolError } from './errors';
import { cleanLog } from './open-object';
import type { HeldProgram } from './session';

interface Explanation {
  message: string;
  hint: string;
  unsupported?: boolean;
}

export function attachError(error: AddonError, program: HeldProgram, spec: AttachSpec): HostError {
  const plain = toProtocolError(error, 'attach');
  const explained = explain(error, program, spec);
  const said = cleanLog(error.libbpfLog ?? '').at(-1);
  return new HostErrorClass({
    ...plain,
    ...(explained?.unsupported ? { code: 'unsupported' as const } : {}),
    message: `${program.name} could not be attached: ${explained?.message ?? said ?? `${error.operation}: ${error.message}`} (${error.code})`,
    ...(explained ? { hint: explained.hint } : {}),
  });
}

function explain(
  { code, operation }: AddonError,
  program: HeldProgram,
  spec: AttachSpec,
): Explanation | undefined {
  const isProbe =
    spec.hook === 'kprobe' ||
    (spec.hook === 'auto' && /^(kprobe|kretprobe|ksyscall|kretsyscall)\//.test(program.section));
  if (isProbe && !hasKprobes()) {
    return {
      message: noKprobes(),
      hint: 'Choose another kernel: "BPF: Select Kernel" in the editor, --target vm in a terminal.',
      unsupported: true,
    };
  }
  if (isProbe && (code === 'ENOENT' || code === 'EINVAL' || code === 'EADDRNOTAVAIL')) {
    const name =
      spec.hook === 'kprobe' ? spec.function : program.section.slice(program.section.indexOf('/') + 1);
    return {
      message: `this kernel has no function ${name} that can be probed at that place`,
      hint: 'It may be inlined, renamed, in a module that is not loaded, or among those that may not be probed (`cat /sys/kernel/debug/kprobes/blacklist`).',
    };
  }
  const probe = userProbeOf(program, spec);
  if (probe) return explainUserProbe(code, probe);
  const tracepoint = tracepointOf(program, spec);
  if (tracepoint !== undefined) return explainTracepoint(code, tracepoint);
  const isRaw =
    spec.hook === 'rawTracepoint' || (spec.hook === 'auto' && /^raw_(tp|tracepoint)/.test(program.section));
  if (isRaw && code === 'ENOENT') {
    const name =
      spec.hook === 'rawTracepoint' ? spec.name : program.section.slice(program.section.indexOf('/') + 1);
    return {
      message: `this kernel has no tracepoint ${name}`,
      hint: 'Its tracepoints are the types btf_trace_… of its BTF; most are also in /sys/kernel/tracing/events.',
    };
  }
  if (operation.startsWith('find interface')) {
    return {
      message: `there is no interface ${interfaceOf(spec)}`,
      hint: `List them with \`${'netns' in spec && spec.netns ? `nsenter --net=${spec.netns} ` : ''}ip link\`.`,
    };
  }
  switch (spec.hook) {
    case 'auto':
      if (code !== 'EOPNOTSUPP' && code !== 'EINVAL') return undefined;
      return {
        message: `SEC("${program.section}") does not say what to attach to`,
        hint: 'Choose it from the list that Attach offers in the editor, or say it with "spec" in launch.json, --spec in a terminal.',
      };
    case 'kprobeMulti':
      if (code !== 'EINVAL' && code !== 'EOPNOTSUPP') return undefined;
      return {
        message: `kprobe.multi needs Linux 5.18 or newer with CONFIG_FPROBE; this is ${os.release()}`,
        hint: 'Attach with hook kprobe to one function, or choose another kernel.',
        unsupported: true,
      };
    case 'xdp':
      if (code === 'EBUSY' || code === 'EEXIST') {
        return {
          message: `${spec.interface} has an XDP program already`,
          hint: `See it with \`ip link show dev ${spec.interface}\`; remove it with \`ip link set dev ${spec.interface} xdp off\`.`,
        };
      }
      if (code === 'EOPNOTSUPP') {
        return {
          message: `the driver of ${spec.interface} has no ${spec.mode ?? 'native'} XDP`,
          hint: 'Attach with mode generic, which every driver has.',
          unsupported: true,
        };
      }
      return undefined;
    case 'tc':
      if (spec.implementation !== 'tcx' || code !== 'EINVAL') return undefined;
      return {
        message: `tcx needs Linux 6.6 or newer; this is ${os.release()}`,
        hint: 'Attach with implementation clsact, or auto.',
        unsupported: true,
      };
    case 'cgroup':
      if (code === 'EBADF' || code === 'EINVAL' || code === 'ENOTDIR' || code === 'ENOENT') {
        return {
          message: `${spec.path} is not a directory of cgroup v2`,
          hint: 'cgroup v2 is usually at /sys/fs/cgroup, on hybrid systems at /sys/fs/cgroup/unified; `mount -t cgroup2` shows it.',
        };
      }
      return undefined;
    default:
      return undefined;
  }
}

type UserProbe = Extract<AttachSpec, { hook: 'uprobe' | 'usdt' }>;

/** What the spec or SEC("uprobe/PATH:FUNCTION") names; libbpf searches a PATH without a slash in PATH and libraries. */
function userProbeOf(program: HeldProgram, spec: AttachSpec): UserProbe | undefined {
  if (spec.hook === 'uprobe' || spec.hook === 'usdt') return spec;
  if (spec.hook !== 'auto') return undefined;
  const [, binary, name] = /^u(?:ret)?probe(?:\.s)?\/(\/[^:]+):([\w.@]+)/.exec(program.section) ?? [];
  return binary && name ? { hook: 'uprobe', binary, function: name, return: false } : undefined;
}

/** The process may have ended, and the file or the name in it may not be there: all are ENOENT or ESRCH. */
function explainUserProbe(code: string, spec: UserProbe): Explanation | undefined {
  if (spec.pid !== undefined && !existsSync(`/proc/${spec.pid}`)) {
    return {
      message: `there is no process ${spec.pid}; it may have ended`,
      hint: 'Start it again and choose it by its new number (`ps` lists them), or leave "pid" out to probe every process.',
    };
  }
  if (!existsSync(spec.binary)) {
    return {
      message: `there is no file ${spec.binary}`,
      hint: 'Name an executable or library by its absolute path; a running process has its own at /proc/PID/exe.',
    };
  }
  if (code !== 'ENOENT') return undefined;
  return spec.hook === 'uprobe'
    ? {
        message: `${spec.binary} has no function ${spec.function ?? 'there'}`,
        hint: `\`nm -C ${spec.binary}\` lists its functions, \`nm -D\` those of a stripped one, which probes by "offset" only otherwise; functions of a library are in the library's file (\`ldd ${spec.binary}\`).`,
      }
    : {
        message: `${spec.binary} has no USDT probe ${spec.provider}:${spec.name}`,
        hint: `\`readelf -n ${spec.binary}\` lists the probes it has.`,
      };
}

function interfaceOf(spec: AttachSpec): string {
  return 'interface' in spec ? `named ${spec.interface}` : 'of that name';
}

/** `category:name` of the tracepoint that was asked for, by the spec or by SEC(); undefined for another hook. */
function tracepointOf(program: HeldProgram, spec: AttachSpec): string | undefined {
  if (spec.hook === 'tracepoint') return `${spec.category}:${spec.name}`;
  if (spec.hook !== 'auto') return undefined;
  const [, category, name] = /^(?:tracepoint|tp)\/([^/]+)\/(.+)$/.exec(program.section) ?? [];
  return category && name ? `${category}:${name}` : undefined;
}

/** libbpf reads the number of a tracepoint from tracefs, so three different lacks end in an errno about a file. */
function explainTracepoint(code: string, tracepoint: string): Explanation | undefined {
  const tracefs = findTracefs();
  if (tracefs === undefined) {
    return { message: 'the number of a tracepoint is read from tracefs', hint: tracefsMissing() };
  }
  if (code === 'EACCES' && !canRead(tracefs)) {
    return {
      message: `tracefs (${tracefs}), which has the number of each tracepoint, is for root only`,
      hint: `Let your group read it: \`sudo mount -o remount,mode=750,gid=$(id -g) ${tracefs}\`. Or use SEC("raw_tp/…"), which needs no tracefs.`,
    };
  }
  if (code !== 'ENOENT') return undefined;
  const category = tracepoint.split(':')[0]!;
  return existsSync(`${tracefs}/events/${category}`)
    ? {
        message: `this kernel (${os.release()}) has no tracepoint ${tracepoint}`,
        hint: `List those of ${category} with \`sudo ls ${tracefs}/events/${category}\`.`,
      }
    : {
        message: `this kernel (${os.release()}) has no tracepoints of the category ${category}`,
        hint: `List the categories with \`sudo ls ${tracefs}/events\`. SEC("tracepoint/CATEGORY/NAME") names a tracepoint, for example SEC("tracepoint/sched/sched_switch").`,
      };
}

function canRead(directory: string): boolean {
  try {
    accessSync(directory, constants.R_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
