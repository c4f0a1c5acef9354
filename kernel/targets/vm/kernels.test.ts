import {
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { kernelAtHand } from '../../../test/vm/kernels-at-hand';
import { HEADER_BYTES, readKernelHeader } from './bzimage';
import { compareReleases, defaultKernel, findKernels, inspectKernel, type VmKernel } from './kernels';
import { collectModules, readModuleIndex } from './modules';

let scratch: string;
beforeAll(() => {
  scratch = mkdtempSync(path.join(os.tmpdir(), 'bpf-studio-kernels-test-'));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function atHand(version: string): VmKernel {
  const kernel = kernelAtHand(version);
  if (typeof kernel === 'string') throw new Error(kernel);
  return kernel;
}

/** The first bytes of a real image: enough to be recognised, too little to boot. */
function headOf(image: string): Buffer {
  const fd = openSync(image, 'r');
  const buffer = Buffer.alloc(HEADER_BYTES);
  readSync(fd, buffer, 0, HEADER_BYTES, 0);
  closeSync(fd);
  return buffer;
}

test('an image says its own release, whatever the file is called', () => {
  const kernel = atHand('6.12');
  const image = path.join(scratch, 'misnamed-9.9');
  copyFileSync(kernel.image, image);
  const found = inspectKernel(image, true);
  expect(found.release).toBe(kernel.release);
  expect(found.banner).toMatch(/^6\.12\.\d+\S* .*#1 SMP/);
  // The package's own file list carries the same release in its names.
  expect(path.basename(kernel.modules!)).toBe(found.release);
});

test('files that are no kernels are refused with what they are not', () => {
  const rubbish = path.join(scratch, 'vmlinuz-rubbish');
  writeFileSync(rubbish, Buffer.alloc(100_000, 0x41));
  expect(inspectKernel(rubbish, true).usable).toMatchObject({
    ok: false,
    reason: expect.stringContaining('not a Linux kernel image'),
    fix: expect.stringContaining('vmlinuz'),
  });
  expect(inspectKernel(path.join(scratch, 'absent'), true).usable).toMatchObject({
    reason: expect.stringContaining('there is no file'),
  });
  expect(inspectKernel(scratch, true).usable).toMatchObject({
    reason: expect.stringContaining('not a file'),
  });
  const cut = headOf(atHand('6.12').image).subarray(0, 0x230);
  expect(readKernelHeader(cut)).toHaveProperty('problem');
});

test('images are found as /boot, /usr/lib/modules and unpacked packages hold them, newest first', () => {
  const { image, release } = atHand('6.12');
  const head = headOf(image);
  const older = headOf(atHand('5.10').image);
  const put = (file: string, data: Buffer): void => {
    mkdirSync(path.dirname(path.join(scratch, file)), { recursive: true });
    writeFileSync(path.join(scratch, file), data);
  };
  put('boot/vmlinuz-a', older);
  put(`modules/${release}/vmlinuz`, head);
  put(`modules/${release}/modules.builtin`, Buffer.from('kernel/drivers/virtio/virtio_pci.ko\n'));
  put('cache/package/boot/vmlinuz-b', older);
  put('cache/other/usr/lib/modules/x/vmlinuz', head);
  const found = findKernels(['boot', 'modules', 'cache', 'absent'].map((name) => path.join(scratch, name)));
  expect(found.map((kernel) => path.relative(scratch, kernel.image))).toEqual([
    'cache/other/usr/lib/modules/x/vmlinuz',
    `modules/${release}/vmlinuz`,
    'boot/vmlinuz-a',
    'cache/package/boot/vmlinuz-b',
  ]);
  const [withoutModules, without9p] = found;
  expect(withoutModules!.usable).toMatchObject({
    ok: false,
    reason: `the modules of ${release} are not on this machine`,
  });
  expect(without9p!.usable).toMatchObject({
    ok: false,
    reason: `${release} lacks virtio_console, 9pnet_virtio, 9p`,
    fix: expect.stringContaining('general kernel (Debian: amd64, Ubuntu: generic)'),
  });
  // A kernel of one's own may have everything built in.
  expect(inspectKernel(withoutModules!.image, true).usable.ok).toBe(true);
});

test('releases are ordered by number, and the default is the running release, else the newest usable', () => {
  const releases = [
    '6.12.95+deb12-amd64',
    '7.3.4+deb13-amd64',
    '6.1.0-50-amd64',
    '6.12.107+deb13-amd64',
    '5.10.0-32-amd64',
  ];
  expect(releases.sort(compareReleases)).toEqual([
    '5.10.0-32-amd64',
    '6.1.0-50-amd64',
    '6.12.95+deb12-amd64',
    '6.12.107+deb13-amd64',
    '7.3.4+deb13-amd64',
  ]);
  const kernel = (release: string, ok = true): VmKernel => ({
    image: `/boot/vmlinuz-${release}`,
    release,
    banner: release,
    usable: ok ? { ok } : { ok, reason: 'a', fix: 'b' },
  });
  const kernels = [kernel('7.3.4', false), kernel('6.12.107'), kernel('6.1.0')];
  expect(defaultKernel(kernels, '6.1.0')?.release).toBe('6.1.0');
  expect(defaultKernel(kernels, '5.0.0')?.release).toBe('6.12.107');
  expect(defaultKernel([kernel('7.3.4', false)], '7.3.4')).toBeUndefined();
});

test.each(['5.10', '6.12'])('modules of %s come unpacked, each after those it needs', async (version) => {
  const directory = atHand(version).modules!;
  const modules = await collectModules(directory, ['9p', '9pnet_virtio']);
  if ('problem' in modules) throw new Error(modules.problem);
  const names = modules.map(({ name }) => name);
  expect(names.indexOf('9pnet')).toBeLessThan(names.indexOf('9pnet_virtio'));
  expect(names.indexOf('9pnet')).toBeLessThan(names.indexOf('9p'));
  for (const { data } of modules) expect(data.toString('latin1', 0, 4)).toBe('\x7fELF');
  // depmod, which ran when the kernel was fetched, comes to the same modules.
  const line = readFileSync(path.join(directory, 'modules.dep'), 'utf8').match(/^\S*\/9p\.ko\S*: (.*)$/m);
  const wanted = (line?.[1] ?? '').split(' ').map((file) => path.basename(file).replace(/\.ko.*/, ''));
  expect(names).toEqual(expect.arrayContaining(wanted));
  expect([...readModuleIndex(directory).builtin].length).toBeGreaterThan(50);
});

test('a module that is not there is named', async () => {
  const { modules } = atHand('6.12');
  expect(await collectModules(modules!, ['no_such_module'])).toMatchObject({
    problem: expect.stringContaining('module no_such_module is neither built in nor in'),
  });
});
