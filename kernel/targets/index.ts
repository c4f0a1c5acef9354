/** Starting whichever target is meant. */
import { hasBpfPrivileges, startLocal } from './local';
import type { RunningTarget, StartOptions, TargetProblem, TargetSpec } from './target';
import { startVm } from './vm/start';

/**
 * Starts the target; absent `spec`, this machine when this process may load programs, otherwise a VM. When neither
 * can be, the problem says both reasons and what to do about each.
 */
export async function startTarget(
  spec: TargetSpec | undefined,
  options: StartOptions,
): Promise<RunningTarget | TargetProblem> {
  if (spec?.kind === 'local') return startLocal(options);
  if (spec?.kind === 'vm') return startVm(spec, options);
  if (hasBpfPrivileges()) return startLocal(options);
  const vm = await startVm({ kind: 'vm' }, options);
  if (!('code' in vm) || vm.code === 'cancelled') return vm;
  // Without a choice nobody is asked for a password.
  const local = await startLocal({ ...options, elevate: 'never' });
  if (!('code' in local)) return local;
  return {
    code: vm.code,
    message: `No kernel can be used. This machine: ${local.message} A VM: ${vm.message}`,
    hint: `${vm.hint}\nOr choose this machine as target (BPF: Select Kernel, or \`sudo -E bpf-studio …\`) and authorise it as root.`,
  };
}
