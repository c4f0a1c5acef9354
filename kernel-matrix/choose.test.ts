import { expect, test } from 'vitest';
import type { VmKernel } from '../kernel/targets/vm/kernels';
import { chooseKernels, inVm, thisMachine, type MatrixKernel } from './choose';
import { vmsAtATime } from './each-kernel';
import { givesReports, reportIn, reportingKernel } from './second-opinion';

function vm(release: string): MatrixKernel {
  const kernel: VmKernel = { image: `/k/${release}/vmlinuz`, release, banner: '', usable: { ok: true } };
  return inVm(kernel);
}
const atHand = [vm('5.10.0-32-amd64'), vm('6.1.0-48-amd64'), vm('6.1.0-50-amd64'), vm('6.12.9'), vm('7.3.4')];

function releases(list: string): string[] | string {
  const chosen = chooseKernels(list, atHand);
  return chosen.ok ? chosen.value.map(({ release }) => release) : chosen.problem.message;
}

test('an item is the beginning of a release, up to where a number ends', () => {
  expect(releases('6.1')).toEqual(['6.1.0-50-amd64']);
  expect(releases('6.12')).toEqual(['6.12.9']);
  expect(releases('6.1.0-48')).toEqual(['6.1.0-48-amd64']);
  expect(releases('7')).toEqual(['7.3.4']);
});

test('kernels come oldest first and once, however they are named', () => {
  expect(releases(' 7.3, 5.10 ,7, 6.12')).toEqual(['5.10.0-32-amd64', '6.12.9', '7.3.4']);
  expect(releases('all')).toEqual(atHand.map(({ release }) => release));
  expect(releases('local')).toEqual([thisMachine().release]);
});

test('what is not at hand is told with what is, and how to fetch it', () => {
  const chosen = chooseKernels('5.10,5.4', atHand);
  expect(chosen).toMatchObject({
    ok: false,
    problem: {
      message: expect.stringMatching(/Linux 5\.4.*5\.10\.0-32-amd64.*7\.3\.4/) as string,
      hint: expect.stringContaining('bpf-studio kernels fetch 5.4') as string,
    },
  });
  expect(releases('')).toMatch(/empty/);
  expect(releases('6.1,vm:/no/such/vmlinuz')).toMatch(/there is no file \/no\/such\/vmlinuz/);
  expect(releases('/etc/passwd')).toMatch(/is a file, not a version/);
  expect(releases('banana')).toMatch(/No kernel at hand is Linux banana/);
});

test('VMs side by side are bounded by cores and by memory, and one always runs', () => {
  const GiB = 2 ** 30;
  expect(vmsAtATime(8, 64 * GiB)).toBe(8);
  expect(vmsAtATime(8, 5 * GiB)).toBe(2);
  expect(vmsAtATime(1, 64 * GiB)).toBe(1);
  expect(vmsAtATime(4, 1 * GiB)).toBe(1);
});

test('the newest kernel that writes reports gives the second opinion', () => {
  expect(reportingKernel(atHand)?.release).toBe('7.3.4');
  expect(reportingKernel(atHand.slice(0, -1))).toBeUndefined();
  expect(['7.3.4', '7.10.0', '8.0.1'].map(givesReports)).toEqual([true, true, true]);
  expect(['7.2.13', '6.18.44', '5.10.0-32-amd64'].map(givesReports)).toEqual([false, false, false]);
});

test('of a log only the report is taken, and nothing that merely speaks of one', () => {
  const log =
    '7: (79) r1 = *(u64 *)(r0 +0)\nVerification failed: A: b\n\nReason:\n  c\n\nprocessed 7 insns (limit 1)\n';
  expect(reportIn(log)).toBe('Verification failed: A: b\n\nReason:\n  c');
  expect(reportIn('; say("Verification failed: A")\nprocessed 7 insns\n')).toBeUndefined();
  expect(reportIn('')).toBeUndefined();
});
