/** Real kernels in real VMs: what each can do, what a guest may see, and that nothing outlives whoever is killed. */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as esbuild from 'esbuild';
import { KernelClient } from '../../kernel/client/client';
import { imageVmlinuxDirectory, vmlinuxDirectory } from '../../kernel/client/vmlinux-header';
import { bootableImage } from '../../kernel/targets/vm/image';
import { buildOf } from '../../kernel/targets/vm/kernels';
import { findQemu } from '../../kernel/targets/vm/qemu';
import { startVm } from '../../kernel/targets/vm/start';
import { clangAtHand } from '../support/clang';
import { dist, root, startGuest, type Guest } from './guest';
import { kernelAtHand } from './kernels-at-hand';
import { childrenOf, commandOf, isRunning, processesWith } from '../support/processes';
import { until } from '../support/until';

let scratch: string;

beforeAll(() => {
  scratch = mkdtempSync(path.join(os.tmpdir(), 'bpf-studio-vm-test-'));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

async function compile(name: string): Promise<Uint8Array> {
  const output = path.join(scratch, `${name}.o`);
  const flags = ['-O2', '-g', '-target', 'bpf', '-D__TARGET_ARCH_x86', `-I${path.join(dist, 'include')}`];
  execFileSync(await clangAtHand(), [...flags, '-c', path.join(root, `test/vm/${name}.bpf.c`), '-o', output]);
  return readFileSync(output);
}

/**
 * What each version can do by the kernel's own history and Debian's configuration of it: kprobe.multi came with 5.18
 * and needs CONFIG_FPROBE, which 6.1 has not set; tcx came with 6.6. The other features are older than 5.10.
 */
const versions = [
  { version: '5.10', kprobeMulti: false, tcx: false },
  { version: '6.1', kprobeMulti: false, tcx: false },
  { version: '6.12', kprobeMulti: true, tcx: true },
  { version: '7.3', kprobeMulti: true, tcx: true },
];

describe.each(versions)('Linux $version', ({ version, kprobeMulti, tcx }) => {
  const kernel = kernelAtHand(version);
  if (typeof kernel === 'string') {
    test.skip(`(${kernel})`, () => {});
    return;
  }
  let guest: Guest;
  let client: KernelClient;
  let features: Uint8Array;

  beforeAll(async () => {
    features = await compile('features');
    guest = await startGuest(kernel.image);
    console.log(`Linux ${version}: ${JSON.stringify(guest.phases)}`);
    client = await KernelClient.connect(guest.socketPath, 'vm.test');
  });
  afterAll(async () => {
    client?.dispose();
    await guest?.dispose();
  });

  test('the kernel that answers is the one that was chosen', async () => {
    expect(client.hello.kernel.release).toBe(kernel.release);
    expect(buildOf(kernel)).toBe(client.hello.kernel.build);
    expect((await guest.run('uname', '-r')).trim()).toBe(kernel.release);
    expect(client.hello.capabilities).toMatchObject({
      load: { ok: true },
      btf: { ok: true },
      tracing: { ok: true },
      kprobes: { ok: true },
      network: { ok: true },
      jit: true,
    });
  });

  test('its verifier accepts and rejects', async () => {
    const programs = ['by_kprobe', 'by_fentry', 'by_lsm', 'by_tc', 'by_xdp', 'refused'];
    const { programs: verdicts, error } = await client.request('verify', {
      object: features,
      programs,
      log: 'rejected',
    });
    expect(error).toBeUndefined();
    const byName = Object.fromEntries(verdicts.map((verdict) => [verdict.name, verdict]));
    for (const name of programs.slice(0, -1)) {
      expect(byName[name], `${name}: ${byName[name]?.message}`).toMatchObject({ verdict: 'accepted' });
    }
    expect(byName['refused']!.verdict).toBe('rejected');
    expect(byName['refused']!.log).toContain("R0 invalid mem access 'map_value_or_null'");
  });

  /**
   * Loads one program, attaches it, and returns how often it ran during `act`, which is repeated until it has: a packet
   * may take a while to its hook.
   */
  const countRuns = async (name: string, act: () => Promise<unknown>, spec?: object): Promise<number> => {
    const session = await KernelClient.connect(guest.socketPath, 'vm.test');
    try {
      const { object } = await session.request('objectOpen', { object: features, programs: [name] });
      const loaded = await session.request('objectLoad', { object, log: 'rejected' });
      const program = loaded.programs.find((each) => each.name === name)!.handle;
      await session.request('attach', { program, spec: (spec ?? { hook: 'auto' }) as { hook: 'auto' } });
      const map = loaded.maps.find((each) => each.name === 'hits')!.handle;
      return await until(`${name} to run`, async () => {
        await act();
        const { value } = await session.request('mapLookup', { map, key: new Uint8Array(4) });
        return Number(Buffer.from(value!).readBigUInt64LE()) || undefined;
      });
    } finally {
      session.dispose();
    }
  };
  const setHostname = (): Promise<string> => guest.run('hostname', 'bpf-studio');

  test.each(['by_kprobe', 'by_fentry', 'by_tracepoint'])('%s sees each of two calls', async (name) => {
    const runs = await countRuns(name, async () => {
      await setHostname();
      await setHostname();
    });
    expect(runs).toBe(2);
  });

  test('an LSM program is asked', async () => {
    expect(await countRuns('by_lsm', setHostname)).toBeGreaterThan(0);
  });

  test(`kprobe.multi ${kprobeMulti ? 'attaches' : 'is refused'}`, async () => {
    const spec = { hook: 'kprobeMulti', functions: ['__x64_sys_sethostname'], return: false };
    const runs = countRuns('by_kprobe_multi', setHostname, spec);
    if (kprobeMulti) expect(await runs).toBe(1);
    else await expect(runs).rejects.toThrow('kprobe.multi needs Linux 5.18 or newer with CONFIG_FPROBE');
  });

  test(`XDP and tc (${tcx ? 'tcx' : 'clsact'}) see packets on a veth pair of the guest`, async () => {
    const setUp = [
      'ip link add bpfs0 type veth peer name bpfs1',
      'ip netns add bpfs-peer',
      'ip link set bpfs1 netns bpfs-peer',
      'ip address add 192.0.2.1/24 dev bpfs0',
      'ip link set bpfs0 up',
      'ip -n bpfs-peer address add 192.0.2.2/24 dev bpfs1',
      'ip -n bpfs-peer link set bpfs1 up',
    ];
    await guest.run('sh', '-c', setUp.join(' && '));
    // The answer to the first packet, an ARP reply, is what comes in.
    const send = (): Promise<string> =>
      guest.run('bash', '-c', 'for i in 1 2 3; do echo x > /dev/udp/192.0.2.2/9; done');
    const xdp = { hook: 'xdp', interface: 'bpfs0', mode: 'native' };
    expect(await countRuns('by_xdp', send, xdp)).toBeGreaterThan(0);
    const tc = { hook: 'tc', interface: 'bpfs0', direction: 'egress' };
    const runs = (implementation: string): Promise<number> =>
      countRuns('by_tc', send, { ...tc, implementation });
    expect(await runs(tcx ? 'tcx' : 'clsact')).toBeGreaterThan(0);
    if (!tcx) await expect(runs('tcx')).rejects.toThrow('tcx needs Linux 6.6 or newer');
  });

  test('struct_ops registers a congestion control, and a closed session unregisters it', async () => {
    const available = (): Promise<string> =>
      guest.run('cat', '/proc/sys/net/ipv4/tcp_available_congestion_control');
    const session = await KernelClient.connect(guest.socketPath, 'vm.test');
    const { object } = await session.request('objectOpen', { object: await compile('struct-ops') });
    const { maps } = await session.request('objectLoad', { object, log: 'rejected' });
    await session.request('attachStructOps', { map: maps.find((map) => map.structOps)!.handle });
    expect(await available()).toContain('bpfs_idle');
    session.dispose();
    // The host releases a session's things after its connection ended: ask until it has.
    await expect.poll(available).not.toContain('bpfs_idle');
  });

  if (version !== '6.12') return;

  test('vmlinux.h made from its image is the one it makes itself', async () => {
    const image = await bootableImage(kernel.image);
    if ('problem' in image) throw new Error(image.problem);
    const { kernel: identity } = client.hello;
    const directory = await imageVmlinuxDirectory(dist, scratch, identity, image.file);
    const { text } = await client.request('vmlinuxHeader', {});
    expect(readFileSync(path.join(directory, 'vmlinux.h'), 'utf8') === text).toBe(true);
    // So a client finds it without asking.
    expect(await vmlinuxDirectory(client, scratch)).toBe(directory);
  });

  test('the guest sees the system read-only, and no home directory', async () => {
    expect((await guest.run('ls', '/home', '/root').catch((error: Error) => error.message)).trim()).toMatch(
      /\/home.*No such file/s,
    );
    expect(await guest.run('ls', '-A', '/root')).toBe('');
    await expect(guest.run('touch', '/usr/bpf-studio-was-here')).rejects.toThrow('Read-only');
    expect(existsSync('/usr/bpf-studio-was-here')).toBe(false);
    expect(await guest.run('cat', `/boot/config-${kernel.release}`)).toContain('CONFIG_BPF_LSM=y');
  });

  test('a panic ends the VM, and says so to whoever waits', async () => {
    // Nobody answers this command; its end is the VM's.
    void guest.run('sh', '-c', 'echo c > /proc/sysrq-trigger').catch(() => {});
    expect(await guest.gone).toMatch(/panicked \(Kernel panic.*sysrq/);
    expect(await client.gone).toMatch(/ended|closed/);
  });
});

describe('ends', () => {
  const kernel = kernelAtHand('6.12');
  if (typeof kernel === 'string') {
    test.skip(`(${kernel})`, () => {});
    return;
  }
  const options = { distDirectory: dist, elevate: 'never', log: () => {} } as const;
  const start = async (
    named: { qemu?: string } = {},
  ): Promise<Exclude<Awaited<ReturnType<typeof startVm>>, { code: string }>> => {
    const vm = await startVm({ kind: 'vm', kernel: kernel.image }, { ...options, ...named });
    if ('code' in vm) throw new Error(vm.message);
    return vm;
  };
  /** The VM's private directory is in its QEMU's arguments, and in nobody else's. */
  const noneLeft = (directory: string): Promise<true> =>
    until(`no process with ${directory}`, () => processesWith(directory).length === 0);

  test('QEMU killed: the request under way fails with hostGone, and the reason names the signal', async () => {
    const vm = await start();
    const client = await KernelClient.connect(vm.socketPath, 'vm.test');
    const [qemu] = childrenOf(vm.pid);
    // Writing the kernel's types as C takes seconds under emulation.
    const request = client.request('vmlinuxHeader', {});
    process.kill(qemu!, 'SIGKILL');
    await expect(request).rejects.toMatchObject({ code: 'hostGone' });
    expect(await vm.gone).toBe('The VM is gone: QEMU was killed by SIGKILL.');
    expect(existsSync(vm.socketPath)).toBe(false);
  });

  test('relay killed: no QEMU is left', async () => {
    const vm = await start();
    const directory = path.dirname(vm.socketPath);
    expect(processesWith(directory)).toHaveLength(1);
    process.kill(vm.pid, 'SIGKILL');
    expect(await vm.gone).toContain('SIGKILL');
    await noneLeft(directory);
    rmSync(directory, { recursive: true });
  });

  test('relay killed, and QEMU not with it: the guest ends by itself when its port does', async () => {
    // Takes back what ties QEMU's life to the relay's.
    const bin = mkdtempSync(path.join(scratch, 'bin-'));
    const wrapper = path.join(bin, 'my-qemu');
    writeFileSync(wrapper, `#!/bin/sh\nexec setpriv --pdeathsig clear ${findQemu()} "$@"\n`, {
      mode: 0o755,
    });
    const vm = await start({ qemu: wrapper });
    const directory = path.dirname(vm.socketPath);
    const [qemu] = childrenOf(vm.pid);
    // Stopped, so that there is time to see that it outlives the relay.
    process.kill(qemu!, 'SIGSTOP');
    process.kill(vm.pid, 'SIGKILL');
    await vm.gone;
    try {
      expect(processesWith(directory)).toEqual([qemu]);
      process.kill(qemu!, 'SIGCONT');
      await noneLeft(directory);
    } finally {
      if (existsSync(`/proc/${qemu}`)) process.kill(qemu!, 'SIGKILL');
      rmSync(directory, { recursive: true });
    }
  });

  test('starter killed: neither relay nor QEMU is left, nor its directory', async () => {
    const starter = path.join(scratch, 'starter.js');
    await esbuild.build({
      entryPoints: [path.join(root, 'test/vm/starter.ts')],
      outfile: starter,
      bundle: true,
      platform: 'node',
      format: 'cjs',
      logLevel: 'error',
    });
    const child = spawn(process.execPath, [starter, kernel.image, dist], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const line = await new Promise<string>((resolve) =>
      createInterface({ input: child.stdout }).once('line', resolve),
    );
    const { socketPath, relay } = JSON.parse(line) as { socketPath: string; relay: number };
    const directory = path.dirname(socketPath);
    expect(processesWith(directory)).toHaveLength(1);
    child.kill('SIGKILL');
    await noneLeft(directory);
    await until('the relay ends', () => !isRunning(relay));
    await until('the directory to go', () => !existsSync(directory));
  });

  test('a start can be cancelled', async () => {
    const abort = new AbortController();
    const before = childrenOf(process.pid);
    const starting = startVm({ kind: 'vm', kernel: kernel.image }, { ...options, signal: abort.signal });
    const relay = await until('a relay', () =>
      childrenOf(process.pid).find((pid) => !before.includes(pid) && commandOf(pid).includes('vm.js')),
    );
    const qemu = await until('QEMU', () =>
      childrenOf(relay).find((pid) => commandOf(pid).includes('qemu-system')),
    );
    abort.abort();
    expect(await starting).toMatchObject({ code: 'cancelled' });
    expect([relay, qemu].filter(isRunning)).toEqual([]);
  });

  test('a kernel that panics before its first process runs is started once more, and the log says why it panicked', async () => {
    const bin = mkdtempSync(path.join(scratch, 'bin-'));
    const wrapper = path.join(bin, 'my-qemu');
    // Once, in place of QEMU, what a guest's console showed when an interrupt came at a bad time under emulation.
    const panic = [
      '[    1.338] BUG: unable to handle page fault for address: 00000000322a0000',
      '[    1.338] RIP: 0010:some_function+0x12/0x40',
      '[    1.339] Kernel panic - not syncing: Fatal exception in interrupt',
    ];
    writeFileSync(
      wrapper,
      `#!/bin/sh\nif mkdir ${bin}/once 2>/dev/null; then printf '%s\\n' ${panic.map((line) => `'${line}'`).join(' ')}\nelse exec ${findQemu()} "$@"\nfi\n`,
      { mode: 0o755 },
    );
    const log: string[] = [];
    const vm = await startVm(
      { kind: 'vm', kernel: kernel.image },
      { ...options, qemu: wrapper, log: (line) => log.push(line) },
    );
    if ('code' in vm) throw new Error(vm.message);
    await vm.dispose();
    expect(log.filter((line) => line.includes('starting again'))).toEqual([
      expect.stringContaining(
        'panicked (Kernel panic - not syncing: Fatal exception in interrupt; BUG: unable to handle page fault for address: 00000000322a0000; RIP: 0010:some_function+0x12/0x40)',
      ),
    ]);
  });

  test('a damaged image is said to be damaged', async () => {
    const image = readFileSync(kernel.image);
    const cut = path.join(scratch, 'vmlinuz-cut');
    writeFileSync(cut, image.subarray(0, image.length / 2));
    expect(await startVm({ kind: 'vm', kernel: cut }, options)).toMatchObject({
      code: 'bootFailed',
      message: expect.stringMatching(/vmlinuz-cut is damaged: it ends before/),
      hint: expect.stringContaining('BPF: Select Kernel'),
    });
    const scratched = path.join(scratch, 'vmlinuz-scratched');
    writeFileSync(scratched, image.fill(0x55, image.length / 2, image.length / 2 + 4096));
    expect(await startVm({ kind: 'vm', kernel: scratched }, options)).toMatchObject({
      code: 'bootFailed',
      message: expect.stringMatching(/vmlinuz-scratched is damaged/),
    });
  });

  test('without QEMU the command that installs it is named', async () => {
    const searchPath = process.env['PATH'];
    process.env['PATH'] = scratch;
    try {
      expect(await startVm({ kind: 'vm', kernel: kernel.image }, options)).toMatchObject({
        code: 'noQemu',
        hint: 'sudo apt-get install --no-install-recommends qemu-system-x86',
      });
    } finally {
      process.env['PATH'] = searchPath;
    }
  });

  test('a QEMU that is named and is none is told with who named it', async () => {
    const named = (qemu: string) => startVm({ kind: 'vm', kernel: kernel.image }, { ...options, qemu });
    for (const qemu of ['/nonexistent/qemu', scratch, kernel.image]) {
      expect(await named(qemu)).toMatchObject({
        code: 'noQemu',
        message: expect.stringContaining(`${qemu}, which the setting bpf.qemu.path names`),
      });
    }
  });
});
