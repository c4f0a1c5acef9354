/** What somebody who begins gets wrong on a command line: each answer says what happened, why, and what to do next. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bpfStudio, start, startCommand } from './command-line';
import { dist } from '../support/bpf-object';
import { describeAsRoot } from '../support/root';

const prelude = `#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "Dual MIT/GPL";
`;
const sources = {
  'packet.bpf.c': `${prelude}SEC("xdp") int on_packet(struct xdp_md *ctx) { return XDP_PASS; }\n`,
  'semicolon.bpf.c': `${prelude}SEC("xdp") int on_packet(struct xdp_md *ctx) { return XDP_PASS }\n`,
  'call.bpf.c': `${prelude}SEC("uprobe") int on_call(void *ctx) { return 0; }\n`,
  'sample.bpf.c': `${prelude}SEC("perf_event") int on_sample(void *ctx) { return 0; }\n`,
  'switch.bpf.c': `${prelude}SEC("tracepoint/sched/sched_switch") int on_switch(void *ctx) { return 0; }\n`,
};
let directory: string;
const file = (name: keyof typeof sources) => path.join(directory, name);
beforeAll(() => {
  directory = mkdtempSync(path.join(os.tmpdir(), 'bpf-studio-mistakes-'));
  for (const [name, text] of Object.entries(sources)) writeFileSync(path.join(directory, name), text);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe('without a kernel', () => {
  it.each(['run', 'attach'] as const)(
    '%s shows what clang finds, and why there is no kernel',
    async (name) => {
      const result = await bpfStudio(name, file('semicolon.bpf.c'), '--target', 'vm:/nonexistent/vmlinuz');
      expect(result.stderr).toMatch(/expected ';' after return.*there is no file \/nonexistent\/vmlinuz/s);
      expect(result.stderr).toContain('kernels fetch');
      expect(result.status).toBe(2);
    },
  );

  it('does not carry out in part a command line that makes no sense', async () => {
    const result = await bpfStudio('run', file('semicolon.bpf.c'), '--target', 'moon');
    expect(result.stderr).toContain('"moon" is not a target');
    expect(result.stderr).not.toContain('expected');
  });
});

it('doctor looks at the QEMU that the environment names', async () => {
  const named = async (qemu: string) => {
    const checks = (await start(['doctor', '--json'], { BPF_STUDIO_QEMU: qemu }).finished).json();
    return checks.find(({ id }) => id === 'qemu');
  };
  expect(await named(process.execPath)).toMatchObject({ state: 'ok', found: process.execPath });
  expect(await named('/nonexistent/qemu')).toMatchObject({
    state: 'degraded',
    found: expect.stringMatching(/\/nonexistent\/qemu, which the environment variable BPF_STUDIO_QEMU names/),
  });
});

describeAsRoot('on this machine', () => {
  it.each([
    ['zz 00', /"z" is not hexadecimal.*"ffffffffffff 020000000001 0800".*\[\{"type": "ethernet"/s],
    ['[{"type": "ehternet"}]', /packet\[0\]\.type: "ehternet" is not one of ethernet, .*For example \[/s],
    ['nowhere.pcap:1', /nowhere\.pcap cannot be read: there is no such file\. Name a \.pcap/],
  ])('a packet %s', async (packet, message) => {
    const result = await bpfStudio('run', file('packet.bpf.c'), '--packet', packet);
    expect(result.stderr).toMatch(message);
    expect(result.status).toBe(2);
  });

  const absent = 4_194_303; // PID_MAX_LIMIT - 1: no Debian counts that far by itself.
  const libc = '/lib/x86_64-linux-gnu/libc.so.6';
  it.each([
    ['packet.bpf.c', '{"hook": "xpd"}', /"xpd" is none of auto, kprobe, .*For example \{"hook": "xdp"/s],
    ['packet.bpf.c', '{"hook": "xdp"}', /"interface": is missing.*"interface": "eth0"\}/s],
    ['packet.bpf.c', '{hook: xdp}', /not JSON.*--spec '\{"hook": "xdp", "interface": "eth0"\}'/s],
    ['call.bpf.c', '"uprobe"', /"uprobe" is not an object that names a hook.*For example \{/s],
    [
      'call.bpf.c',
      `{"hook": "uprobe", "binary": "${libc}", "function": "no_such", "return": false}`,
      /has no function no_such.*nm -D/s,
    ],
    [
      'call.bpf.c',
      '{"hook": "uprobe", "binary": "/nonexistent", "function": "main", "return": false}',
      /there is no file \/nonexistent.*absolute path/s,
    ],
    [
      'call.bpf.c',
      `{"hook": "uprobe", "binary": "${libc}", "function": "malloc", "return": false, "pid": ${absent}}`,
      /there is no process \d+; it may have ended.*`ps`.*leave "pid" out/s,
    ],
  ] as const)('attach %s --spec %s', async (name, spec, message) => {
    const result = await bpfStudio('attach', file(name), '--spec', spec);
    expect(result.stderr).toMatch(message);
    expect(result.status).toBe(2);
  });

  it.each([
    ['call.bpf.c', /SEC\("uprobe"\) does not say.*"hook": "uprobe", "binary"/s],
    ['sample.bpf.c', /SEC\("perf_event"\) does not say.*"hook": "perfEvent"/s],
    ['packet.bpf.c', /needs an interface.*--interface IF; there are .*lo/s],
  ] as const)('attach %s without a word on where', async (name, message) => {
    const result = await bpfStudio('attach', file(name));
    expect(result.stderr).toMatch(message);
    expect(result.status).toBe(2);
  });

  it('takes the 64-bit numbers of a spec as launch.json has them', async () => {
    const spec = '{"hook": "perfEvent", "type": 1, "config": 0, "sampleFrequency": 99}';
    const command = [path.join(dist, 'cli.js'), 'attach', file('sample.bpf.c'), '--spec', spec];
    const attached = startCommand([process.execPath, ...command], { env: process.env });
    await attached.seen(/on_sample: perf event/);
    attached.signal('SIGINT');
    expect((await attached.finished).status).toBe(0);
  });

  it('tells of a process that ends while it is probed', async () => {
    const victim = spawn('sleep', ['60']);
    await once(victim, 'spawn');
    const spec = { hook: 'uprobe', binary: libc, function: 'malloc', return: false, pid: victim.pid };
    const command = ['attach', file('call.bpf.c'), '--spec', JSON.stringify(spec)];
    const attached = startCommand([process.execPath, path.join(dist, 'cli.js'), ...command], {
      env: process.env,
    });
    await attached.seen(/Ctrl-C detaches/);
    victim.kill();
    const { stderr, status } = await attached.finished;
    expect(stderr).toMatch(/uprobe .*malloc in process \d+ is gone: process \d+ has ended/);
    expect(status).toBe(1);
  });

  it('an interface that is not there', async () => {
    const { stderr } = await bpfStudio('attach', file('packet.bpf.c'), '-i', 'bpfs-none');
    expect(stderr).toMatch(/there is no interface named bpfs-none.*`ip link`/);
  });

  it.each([['dump'], ['lookup', '1'], ['delete', '1']])(
    'maps %s of a map that is not loaded',
    async (action, ...rest) => {
      const result = await bpfStudio('maps', action, 'bpfs_none', ...rest);
      expect(result.stderr).toMatch(/No map bpfs_none is loaded in this kernel\.\n {2}bpf-studio maps lists/);
      expect(result.status).toBe(2);
    },
  );

  /** Runs the command in a mount namespace of its own, after a shell has prepared it: nobody else loses anything. */
  const prepared = (script: string, ...args: string[]) => {
    const cli = [process.execPath, path.join(dist, 'cli.js'), ...args];
    const command = ['unshare', '-m', 'sh', '-c', `set -e; ${script}; exec "$@"`, 'sh', ...cli];
    return startCommand(command, { env: process.env }).finished;
  };

  it('without tracefs: what to mount, and what works all the same', async () => {
    const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
    const where = mounts.map((line) => line.split(' ')).filter(([, , type]) => type === 'tracefs');
    const hide = where.length > 0 ? `umount ${where.map(([, each]) => each).join(' ')}` : 'true';
    const attached = await prepared(hide, 'attach', file('switch.bpf.c'));
    expect(attached.stderr).toMatch(
      /read from tracefs.*sudo mount -t tracefs tracefs \/sys\/kernel\/tracing/,
    );
    expect(attached.status).toBe(2);
    const doctor = (await prepared(hide, 'doctor', '--json')).json();
    expect(doctor.find(({ id }) => id === 'tracefs')).toMatchObject({
      state: 'degraded',
      fix: ['mount -t tracefs tracefs /sys/kernel/tracing'],
    });
  });

  it('on a kernel without BTF: what cannot be had, and which kernel has it', async ({ skip }) => {
    skip(!existsSync('/sys/kernel/btf'), 'this kernel has no BTF to hide');
    const hide = `mount --bind ${directory} /sys/kernel/btf`;
    const header = await prepared(hide, 'vmlinux');
    expect(header.stderr).toMatch(/built without BTF \(CONFIG_DEBUG_INFO_BTF\).*Choose another kernel/s);
    expect(header.status).toBe(2);
    writeFileSync(path.join(directory, 'types.bpf.c'), '#include "vmlinux.h"\n');
    const verified = await prepared(hide, 'verify', path.join(directory, 'types.bpf.c'));
    expect(verified.stdout).toMatch(
      /'vmlinux\.h' file not found.*BTF of the kernel in use, which gave none/s,
    );
    expect(verified.stdout).toContain('bpf-studio vmlinux');
    const relocated = `${prelude}struct task_struct { int pid; } __attribute__((preserve_access_index));
SEC("tp_btf/sched_switch") int on_switch(__u64 *ctx) { return ((struct task_struct *)ctx[1])->pid; }\n`;
    writeFileSync(path.join(directory, 'relocated.bpf.c'), relocated);
    const [report] = (
      await prepared(hide, 'verify', '--json', path.join(directory, 'relocated.bpf.c'))
    ).json();
    expect(report).toMatchObject({
      programs: [
        {
          verdict: 'error',
          diagnostics: [
            {
              code: 'bpf/btf',
              message: expect.stringMatching(/^Linux \S+ has no BTF of its own types, which/) as string,
              data: { help: expect.stringContaining('CONFIG_DEBUG_INFO_BTF') as string },
            },
          ],
        },
      ],
    });
    const doctor = (await prepared(hide, 'doctor', '--json')).json();
    expect(doctor.find(({ id }) => id === 'btf')).toMatchObject({ state: 'degraded' });
    // Programs that need none of it are judged all the same.
    expect((await prepared(hide, 'verify', file('packet.bpf.c'))).status).toBe(0);
  });

  it('a program of a type that the kernel lacks', async ({ skip }) => {
    // Defined by the file that CONFIG_BPF_LIRC_MODE2 compiles.
    const isThere = /\blirc_mode2_prog_ops$/m.test(readFileSync('/proc/kallsyms', 'utf8'));
    skip(isThere, 'this kernel has CONFIG_BPF_LIRC_MODE2');
    const text = `${prelude}SEC("lirc_mode2") int on_key(unsigned int *sample) { return 0; }\n`;
    writeFileSync(path.join(directory, 'infrared.bpf.c'), text);
    const result = await bpfStudio('attach', path.join(directory, 'infrared.bpf.c'));
    expect(result.stderr).toMatch(
      /on_key: Linux \S+ has no program type lirc_mode2, or it was built without it/,
    );
    expect(result.status).toBe(2);
    const [report] = (await bpfStudio('verify', '--json', path.join(directory, 'infrared.bpf.c'))).json();
    // A kernel that shows no configuration cannot be asked for the option.
    const hasConfiguration = existsSync('/proc/config.gz') || existsSync(`/boot/config-${os.release()}`);
    expect(report).toMatchObject({
      programs: [{ diagnostics: [{ code: hasConfiguration ? 'bpf/kernel-option' : 'bpf/program-type' }] }],
    });
    if (hasConfiguration) expect(JSON.stringify(report)).toContain('built without CONFIG_BPF_LIRC_MODE2');
  });
});
