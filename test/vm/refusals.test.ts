/** What a kernel refuses for other reasons than the program: tried in VMs, where such a kernel can be had. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findQemu } from '../../kernel/targets/vm/qemu';
import { compileBpf } from '../verifier/compile';
import { kernelAtHand } from './kernels-at-hand';
import { dist, GUEST_FILES, GUEST_NODE, root, startGuest, type Guest } from './guest';

const fixtures = path.join(root, 'test/fixtures/vm');

interface Report {
  programs: { name: string; verdict: string; diagnostics: Finding[] }[];
}
interface Finding {
  code: string;
  message: string;
  data: { help: string; kernelMessage: string };
}

/** The command line as it runs in the guest, with objects compiled here. */
async function guestWith(image: string, ...sources: string[]): Promise<Guest> {
  const files: Record<string, Uint8Array> = {};
  for (const name of ['cli.js', 'kernel-host.js', 'bpf-studio.node'])
    files[name] = readFileSync(path.join(dist, name));
  for (const name of sources) files[`${name}.o`] = await compileBpf(path.join(fixtures, `${name}.bpf.c`));
  return startGuest(image, files);
}

/** The findings of an object's first program; `before` is what starts the command. */
async function verify(guest: Guest, name: string, before: string[] = []): Promise<Finding[]> {
  const verifier = [
    GUEST_NODE,
    `${GUEST_FILES}/cli.js`,
    'verify',
    '--json',
    '--target',
    'local',
    `${GUEST_FILES}/${name}.o`,
  ];
  // A rejection is status 1, and here no failure of the command.
  const output = await guest.run('sh', '-c', '"$@"; test $? -le 1', 'sh', ...before, ...verifier);
  const report = JSON.parse(output.trim()) as Report;
  return report.programs[0]!.diagnostics;
}

function why(version: string): string | undefined {
  const kernel = kernelAtHand(version);
  return typeof kernel === 'string' ? kernel : findQemu() ? undefined : 'no QEMU';
}
const imageOf = (version: string) => {
  const kernel = kernelAtHand(version);
  return typeof kernel === 'string' ? '' : kernel.image;
};

describe.each(['5.10', '7.3'])('Linux %s', (version) => {
  const missing = why(version);
  if (missing) {
    test.skip(`(${missing})`, () => {});
    return;
  }
  let guest: Guest;
  beforeAll(async () => {
    guest = await guestWith(imageOf(version), 'large-map', 'reads-kernel');
  });
  afterAll(() => guest?.dispose());
  /** Root that may not raise its limit of locked memory, as in a container. */
  const limited = ['prlimit', '--memlock=65536:65536', 'setpriv', '--bounding-set=-sys_resource'];

  test('a map beyond the limit of locked memory', async () => {
    expect(await verify(guest, 'large-map')).toEqual([]);
    const [found, ...others] = await verify(guest, 'large-map', limited);
    expect(others).toEqual([]);
    // Newer kernels do not count maps against it.
    if (version !== '5.10') return expect(found).toBeUndefined();
    expect(found!.code).toBe('bpf/memlock');
    expect(found!.message).toContain('the map counts');
    expect(found!.data.kernelMessage).toContain("try raising 'ulimit -l'? current value: 64.0 KiB");
    expect(found!.data.help).toContain('ulimit -l unlimited');
  });

  test('reading kernel memory under lockdown', async () => {
    expect(await verify(guest, 'reads-kernel')).toEqual([]);
    await guest.run('sh', '-c', 'echo confidentiality > /sys/kernel/security/lockdown');
    const [found] = await verify(guest, 'reads-kernel');
    expect(found).toMatchObject({
      code: 'bpf/lockdown',
      // libbpf takes the older name where the kernel does not let it use the newer one.
      data: {
        kernelMessage: expect.stringMatching(
          /^(unknown func|program of this type cannot use helper) bpf_probe_read/,
        ) as string,
      },
    });
    expect(found!.message).toContain('locked down for confidentiality');
    expect(found!.data.help).toContain('/sys/kernel/security/lockdown');
  });
});
