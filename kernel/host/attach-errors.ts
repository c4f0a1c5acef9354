/** Why an attachment failed, for a user: errno and hook together say more than either. */
import { accessSync, constants, existsSync } from 'node:fs';
import os from 'node:os';
import type { AddonError } from '../addon/addon';
import type { AttachSpec } from '../protocol';
import type { HostError } from './errors';
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
  if (isProbe && !existsSync('/sys/bus/event_source/devices/kprobe')) {
    return {
      message: `this kernel (${os.release()}) was built without kprobes (CONFIG_KPROBES)`,
      hint: 'Choose another kernel: "BPF: Select Kernel", or --target vm.',
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
  const isTracepoint =
    spec.hook === 'tracepoint' || (spec.hook === 'auto' && /^(tracepoint|tp)\//.test(program.section));
  if (isTracepoint && code === 'EACCES' && !canRead('/sys/kernel/tracing')) {
    return {
      message: 'tracefs (/sys/kernel/tracing), which has the number of each tracepoint, is for root only',
      hint: 'Let your group read it: `sudo mount -o remount,mode=750,gid=$(id -g) /sys/kernel/tracing`. Or use SEC("raw_tp/…"), which needs no tracefs.',
    };
  }
  if (isTracepoint && code === 'ENOENT' && spec.hook === 'auto') {
    const name = program.section.slice(program.section.indexOf('/') + 1);
    return tracepointMissing(name.replace('/', ':'));
  }
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
      message: `there is no interface of that name (${operation})`,
      hint: 'List them with `ip link`.',
    };
  }
  switch (spec.hook) {
    case 'auto':
      if (code !== 'EOPNOTSUPP' && code !== 'EINVAL') return undefined;
      return {
        message: `SEC("${program.section}") does not say what to attach to`,
        hint: 'Choose the interface, cgroup, function or process: from the list that Attach offers in the editor, or with a `spec`.',
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
    case 'tracepoint':
      return code === 'ENOENT' ? tracepointMissing(`${spec.category}:${spec.name}`) : undefined;
    default:
      return undefined;
  }
}

function tracepointMissing(name: string): Explanation {
  if (existsSync('/sys/kernel/tracing/events')) {
    return {
      message: `this kernel has no tracepoint ${name}`,
      hint: 'List them with `ls /sys/kernel/tracing/events`.',
    };
  }
  return {
    message: 'tracefs is not mounted',
    hint: 'Mount it: `sudo mount -t tracefs tracefs /sys/kernel/tracing`.',
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
