/** Requests about what the kernel has: types by probing, configuration, BTF. */
import { existsSync, readFileSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import os from 'node:os';
import { gunzipSync } from 'node:zlib';
import type { Results } from '../../protocol';
import { failure } from '../errors';
import type { Handlers } from '../session';

type FeatureHandlers = Pick<Handlers, 'features' | 'btf' | 'vmlinuxHeader'>;

/** Probing loads a program or makes a map for every type; the answer does not change while the kernel runs. */
let probedFeatures: Promise<Pick<Results['features'], 'programTypes' | 'mapTypes'>> | undefined;

export const featureHandlers: FeatureHandlers = {
  async features({ host }) {
    probedFeatures ??= host.addon.probeFeatures(null).then(correctStructOps);
    try {
      return { ...(await probedFeatures), ...readConfig() };
    } catch (error) {
      probedFeatures = undefined;
      throw error;
    }
  },

  async btf({ host: { addon } }, { source }) {
    if ('module' in source) return { data: await readKernelBtf(source.module), name: source.module };
    const fd = await addon.btfOpenById(null, source.id);
    try {
      const { data, name } = await addon.btfRaw(null, fd);
      return { data, name };
    } finally {
      addon.closeFd(fd);
    }
  },

  async vmlinuxHeader({ host: { addon } }, _params, operation) {
    await readable('vmlinux');
    return { text: await addon.vmlinuxHeader(operation) };
  },
};

/**
 * libbpf's probe of struct_ops maps knows one refusal of newer kernels as a yes; older ones that have struct_ops
 * refuse it otherwise. A kernel with the program type has the map type: one came with the other, in 5.6.
 */
function correctStructOps(probed: Pick<Results['features'], 'programTypes' | 'mapTypes'>) {
  const struct_ops = probed.programTypes.struct_ops ?? false;
  return { ...probed, mapTypes: { ...probed.mapTypes, struct_ops } };
}

const BTF_DIRECTORY = '/sys/kernel/btf';

async function readable(module: string): Promise<void> {
  const modules = await readdir(BTF_DIRECTORY).catch(() => [] as string[]);
  if (modules.includes(module)) return;
  if (modules.includes('vmlinux')) {
    throw failure('kernel', 'btf', `this kernel has no BTF of a module "${module}"`, {
      hint: 'Load the module first (`sudo modprobe …`); modules with BTF are listed in /sys/kernel/btf.',
    });
  }
  throw failure(
    'unsupported',
    'btf',
    `Linux ${os.release()} was built without BTF (CONFIG_DEBUG_INFO_BTF): /sys/kernel/btf/vmlinux is not there`,
    {
      hint: 'Choose another kernel: "BPF: Select Kernel" in the editor, --target vm in a terminal. Distribution kernels since 2021 have BTF.',
    },
  );
}

async function readKernelBtf(module: string): Promise<Uint8Array> {
  await readable(module);
  return readFile(`${BTF_DIRECTORY}/${module}`);
}

/** What of the configuration decides about BPF programs and their hooks. */
const INTERESTING =
  /^CONFIG_(\w*BPF\w*|KPROBE\w*|UPROBE\w*|F?TRACE\w*|FTRACE\w*|FPROBE|FUNCTION_TRACER|DYNAMIC_FTRACE\w*|TRACEPOINTS|TRACING|PERF_EVENTS|DEBUG_INFO_BTF\w*|XDP_SOCKETS|NET_CLS_ACT|NET_SCH_INGRESS|NETKIT|NETFILTER|NET_XGRESS|LSM|SECURITY|CGROUPS|SCHED_CLASS_EXT|LIVEPATCH)=(.*)$/;

function readConfig(): { config: Record<string, string>; configSource: string | null } {
  const candidates = [
    '/proc/config.gz',
    `/boot/config-${os.release()}`,
    `/lib/modules/${os.release()}/config`,
  ];
  const source = candidates.find(existsSync);
  if (!source) return { config: {}, configSource: null };
  const bytes = readFileSync(source);
  const text = (source.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8');
  const config: Record<string, string> = {};
  for (const line of text.split('\n')) {
    const match = INTERESTING.exec(line);
    if (match?.[1] && match[2] !== undefined) config[`CONFIG_${match[1]}`] = match[2];
  }
  return { config, configSource: source };
}
