/** How QEMU is found and what it is told. */
import { accessSync, constants, existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import type { TargetProblem } from '../target';
import { HOST_PORT, TEST_PORT, type Share } from './boot-plan';

export const MEMORY_MB = 2048;
export const CPUS = 2;

/** File descriptors that the relay passes to QEMU: the ends of socket pairs. */
export const HOST_FD = 3;
export const TEST_FD = 4;

export const noQemu: TargetProblem = {
  code: 'noQemu',
  message: 'The vm target needs QEMU, and qemu-system-x86_64 is not in PATH.',
  hint: 'sudo apt-get install --no-install-recommends qemu-system-x86',
};

export function findQemu(searchPath = process.env['PATH'] ?? ''): string | undefined {
  return searchPath
    .split(path.delimiter)
    .map((directory) => path.join(directory, 'qemu-system-x86_64'))
    .find((file) => path.isAbsolute(file) && isExecutable(file));
}

/** Names QEMU's executable for a process that no setting reaches. */
export const QEMU_VARIABLE = 'BPF_STUDIO_QEMU';

/** QEMU's executable: the one named, by a setting or the environment, else the one in PATH; or what is wrong. */
export function locateQemu(named = ''): string | TargetProblem {
  const wanted = named || (process.env[QEMU_VARIABLE] ?? '');
  if (wanted === '') return findQemu() ?? noQemu;
  if (isExecutable(wanted) && statSync(wanted).isFile()) return path.resolve(wanted);
  const where = named === '' ? `the environment variable ${QEMU_VARIABLE}` : 'the setting bpf.qemu.path';
  return {
    code: 'noQemu',
    message: `The vm target needs QEMU, and ${wanted}, which ${where} names, is no file that can be run.`,
    hint: `Name the path of a qemu-system-x86_64 there, or leave it empty for the one in PATH (${noQemu.hint}).`,
  };
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

export type Accelerator = 'kvm' | 'tcg';

/**
 * What to try, in order. A /dev/kvm that opens proves little: in some containers it does and the guest never runs
 * an instruction. So the processor must announce virtualisation too, and emulation is always the second choice.
 */
export function accelerators(): Accelerator[] {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
    if (/^flags\s*:.*\b(vmx|svm)\b/m.test(readFileSync('/proc/cpuinfo', 'utf8'))) return ['kvm', 'tcg'];
  } catch {
    // No /dev/kvm, or not for this user.
  }
  return ['tcg'];
}

export interface Machine {
  accelerator: Accelerator;
  /** A bzImage, or better a vmlinux with a PVH entry. */
  kernel: string;
  initramfs: string;
  shares: readonly Share[];
  testPort: boolean;
}

/**
 * The kernel's command line. `lsm=bpf`: LSM programs attach only where `bpf` is in this list, and 5.10 leaves it out
 * by default. `panic=-1` with QEMU's -no-reboot: a kernel that panics ends the VM at once.
 */
const commandLine = [
  'console=ttyS0',
  'quiet',
  'loglevel=4',
  'panic=-1',
  'lsm=bpf',
  'mitigations=off',
  'nokaslr',
  'tsc=reliable',
  // The test whether the timer interrupt arrives in time fails when the machine is busy.
  'no_timer_check',
  'random.trust_cpu=on',
  'rdinit=/init',
].join(' ');

/** QEMU's arguments. The console is its stdout. */
export function qemuArguments(machine: Machine): string[] {
  const option = (value: string): string => value.replaceAll(',', ',,');
  const port = (id: string, fd: number, name: string): string[] => [
    ...['-chardev', `socket,id=${id},fd=${fd}`],
    ...['-device', `virtserialport,chardev=${id},name=${name}`],
  ];
  return [
    ...['-no-user-config', '-nodefaults', '-no-reboot', '-display', 'none', '-monitor', 'none'],
    ...['-name', 'bpf-studio', '-machine', 'pc,usb=off', '-cpu', 'max'],
    ...['-accel', machine.accelerator === 'kvm' ? 'kvm' : 'tcg,thread=multi'],
    ...['-m', String(MEMORY_MB), '-smp', String(CPUS)],
    ...['-kernel', machine.kernel, '-initrd', machine.initramfs, '-append', commandLine],
    ...['-chardev', 'stdio,id=console,signal=off', '-serial', 'chardev:console'],
    ...['-device', 'virtio-serial-pci,max_ports=4'],
    ...port('host', HOST_FD, HOST_PORT),
    ...(machine.testPort ? port('test', TEST_FD, TEST_PORT) : []),
    ...machine.shares.flatMap(({ tag, source }) => [
      '-fsdev',
      `local,id=${tag},path=${option(source)},security_model=none,readonly=on,multidevs=remap`,
      '-device',
      `virtio-9p-pci,fsdev=${tag},mount_tag=${tag}`,
    ]),
  ];
}

/** `vm-init`, used as a launcher: QEMU then dies with the relay, whatever kills that. */
export function launcher(dist: string): string[] {
  const program = path.join(dist, 'vm-init');
  return existsSync(program) ? [program, '--die-with-parent', String(process.pid)] : [];
}
