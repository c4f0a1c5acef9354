import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { KernelClient } from '../client/client';
import { KernelError } from '../client/errors';
import type { Results } from '../protocol';
import { Compiler, inKernelFor, openTestKernel, remaining } from './testing';

let kernel: Awaited<ReturnType<typeof openTestKernel>>;
let client: KernelClient;
let compiler: Compiler;

beforeAll(async () => {
  kernel = await openTestKernel();
  ({ client } = kernel);
  compiler = await Compiler.create(client);
});
afterAll(() => kernel.dispose());

const MAP = `struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); __type(key, u64); __type(value, u64); } vfymap SEC(".maps");
`;
const GOOD = `SEC("xdp") int vfygood(struct xdp_md *c) { return XDP_PASS; }
`;
const BAD = `SEC("xdp") int vfybad(struct xdp_md *c) {
  u64 key = 1;
  u64 *value = bpf_map_lookup_elem(&vfymap, &key);
  return *value;
}
`;
/** The verifier walks every iteration of a loop whose counter the compiler may not know, and rejects what follows. */
const COSTLY = `SEC("xdp") int vfycostly(struct xdp_md *c) {
  u32 sum = 0;
  for (int i = 0; i < 90000; i++) {
    asm volatile("" : "+r"(i));
    sum += i;
  }
  return sum + *(u8 *)(long)c->data;
}
`;

function verdictOf(result: Results['verify'], name: string) {
  const found = result.programs.find((program) => program.name === name);
  if (!found) throw new Error(`no verdict on ${name}`);
  return found;
}

describe('verify', () => {
  test('tells the cost of an accepted program', async () => {
    const object = await compiler.compile(GOOD);
    const { programs } = await client.request('verify', { object, log: 'rejected' });
    expect(programs).toHaveLength(1);
    expect(programs[0]).toMatchObject({ name: 'vfygood', section: 'xdp', type: 'xdp', verdict: 'accepted' });
    // `return XDP_PASS` is two instructions: load the constant, exit.
    expect(programs[0]).toMatchObject({ insnCount: 2, stats: { insns: 2, stackDepth: [0] } });
    expect(programs[0]?.log).toBeUndefined();
  });

  test('judges programs that libbpf loads only on request, and says that they are', async () => {
    const object = await compiler.compile(MAP + GOOD + BAD.replace('"xdp"', '"?xdp"'));
    const { programs } = await client.request('verify', { object, log: 'rejected' });
    expect(programs.map(({ name, optional = false, verdict }) => [name, optional, verdict])).toEqual([
      ['vfygood', false, 'accepted'],
      ['vfybad', true, 'rejected'],
    ]);
    // To be kept, an object is loaded as libbpf would.
    const opened = await client.request('objectOpen', { object });
    const loaded = await client.request('objectLoad', { object: opened.object, log: 'rejected' });
    expect(loaded.programs.map(({ name }) => name)).toEqual(['vfygood']);
    await client.request('objectClose', { object: opened.object });
  });

  test('gives one rejected program among others its reason and its whole log, and the others their verdicts', async () => {
    const object = await compiler.compile(MAP + GOOD + BAD + GOOD.replace('vfygood', 'vfygood2'));
    const result = await client.request('verify', { object, log: 'rejected' });
    expect(result.programs.map((program) => `${program.name} ${program.verdict}`)).toEqual([
      'vfygood accepted',
      'vfybad rejected',
      'vfygood2 accepted',
    ]);
    const bad = verdictOf(result, 'vfybad');
    expect(bad.message).toBe("R0 invalid mem access 'map_value_or_null'");
    expect(bad.errno).toBe('EACCES');
    expect(bad.log).toContain('return *value;');
    expect(bad.log).toContain(bad.message);
    // Offsets of instructions in line_info ascend and stay within the program, even though it was rejected.
    const lines = new DataView(bad.lineInfo.buffer, bad.lineInfo.byteOffset, bad.lineInfo.byteLength);
    expect(lines.byteLength).toBeGreaterThanOrEqual(16 * 3);
    expect(lines.getUint32(0, true)).toBe(0);
    expect(lines.getUint32(lines.byteLength - 16, true)).toBeLessThan(bad.insnCount);
    expect(result.maps.map((map) => `${map.name} ${map.type} ${map.keySize}/${map.valueSize}`)).toEqual([
      'vfymap hash 8/8',
    ]);
  });

  test('a rejection that was foreseen reads like any other, one that was not to be neither', async () => {
    // A log of megabytes does not fit at once; a program that is mended meanwhile has no log that anybody asked for.
    const object = await compiler.compile(MAP + GOOD + BAD + COSTLY);
    const plain = await client.request('verify', { object, log: 'rejected' });
    const names = ['vfygood', 'vfybad', 'vfycostly', 'vfynobody'];
    const foreseen = await client.request('verify', { object, log: 'rejected', likelyRejected: names });
    for (const name of ['vfygood', 'vfybad', 'vfycostly']) {
      const [before, after] = [verdictOf(plain, name), verdictOf(foreseen, name)];
      expect([name, after.verdict, after.message]).toEqual([name, before.verdict, before.message]);
      // Each load has its own times, and maps at other addresses.
      const steps = (log: string | undefined) =>
        log?.replaceAll(/^verification time .*$/gm, '').replaceAll(/0x[0-9a-f]{16}/g, 'address');
      expect(steps(after.log)?.slice(-2000)).toEqual(steps(before.log)?.slice(-2000));
    }
  });

  test('judges several rejected programs each on its own', async () => {
    const second = BAD.replace('vfybad', 'vfybad2').replace('return *value', 'return value[1]');
    const { programs } = await client.request('verify', {
      object: await compiler.compile(MAP + BAD + second + GOOD),
      log: 'none',
    });
    expect(programs.map((program) => program.verdict)).toEqual(['rejected', 'rejected', 'accepted']);
    expect(programs.every((program) => program.log === undefined)).toBe(true);
  });

  test('returns a log of many megabytes whole when all of it is asked for', async () => {
    const object = await compiler.compile(COSTLY);
    const { programs } = await client.request('verify', { object, log: 'all' });
    const { log = '', message, stats, verdict, logIsTail } = programs[0]!;
    expect(verdict).toBe('rejected');
    expect(message).toContain('outside of the packet');
    // The first buffer has 16 MiB: this had to grow, and both ends are there.
    expect(log.length).toBeGreaterThan(16 * 1024 * 1024);
    expect(logIsTail).toBeUndefined();
    expect(log).toMatch(/^(func#0 @0\n)?0: /);
    expect(log).toContain(message);
    expect(log.trimEnd().split('\n').at(-1)).toContain(`processed ${stats?.insns} insns`);
  });

  test('gives the end of a long log to explain a rejection', async () => {
    const object = await compiler.compile(COSTLY);
    const { programs } = await client.request('verify', { object, log: 'rejected' });
    const { log = '', message, logIsTail } = programs[0]!;
    expect(log).toContain(message);
    // Kernels before 6.4 keep a log's beginning only, so they are asked for the whole.
    const { major, minor } = client.hello.kernel.version;
    if (major > 6 || (major === 6 && minor >= 4)) {
      expect(logIsTail).toBe(true);
      expect(log.length).toBeLessThan(5 * 1024 * 1024);
      expect(log).toMatch(/^(\d+: |; |from |R\d|last_idx|mark_precise|regs=|parent)/);
    } else {
      expect(log).toMatch(/^(func#0 @0\n)?0: /);
    }
  });

  test('stops a long verification in the kernel when it is cancelled', async () => {
    const object = await compiler.compile(COSTLY);
    const cancel = new AbortController();
    const request = client.request('verify', { object, log: 'states' }, { signal: cancel.signal });
    await inKernelFor(client, 100);
    cancel.abort();
    // Confirmed by the host, whose work has ended, and not given up by the client after a time.
    await expect(request).rejects.toMatchObject({
      code: 'cancelled',
      message: expect.not.stringContaining('did not confirm'),
    });
  });

  test('leaves nothing in the kernel', async () => {
    await client.request('verify', { object: await compiler.compile(MAP + GOOD + BAD), log: 'all' });
    // Who lists programs at the same time holds each for a moment.
    await expect.poll(() => remaining(client, 'vfy')).toEqual([]);
  });

  test('calls it an error, not a rejection, when the kernel does not know the attach target', async () => {
    const object = await compiler.compile(
      `SEC("fentry/bpf_studio_no_such_function") int vfynone(void *c) { return 0; }\n${GOOD}`,
    );
    const result = await client.request('verify', { object, log: 'rejected' });
    const none = verdictOf(result, 'vfynone');
    expect(none.verdict).toBe('error');
    expect(none.message).toContain('bpf_studio_no_such_function');
    expect(verdictOf(result, 'vfygood').verdict).toBe('accepted');
  });

  test('says what keeps a whole object from being loaded: a map that cannot be made', async () => {
    const object = await compiler.compile(
      GOOD + MAP.replace('__uint(max_entries, 8)', '__uint(max_entries, 8); __uint(map_flags, 1 << 30)'),
    );
    const result = await client.request('verify', { object, log: 'rejected' });
    expect(result.error?.message).toContain("map 'vfymap': failed to create");
    expect(verdictOf(result, 'vfygood')).toMatchObject({ verdict: 'error' });
  });

  test.each(['xdp/first', 'xdp1'])(
    'settles what loaders settle: entries of a map, and a type for %s',
    async (section) => {
      const object = await compiler.compile(
        GOOD.replace('SEC("xdp")', `SEC("${section}")`) +
          MAP.replace('__uint(max_entries, 8)', '__uint(max_entries, 0)'),
      );
      const result = await client.request('verify', { object, log: 'rejected' });
      expect(result.error).toBeUndefined();
      expect(verdictOf(result, 'vfygood')).toMatchObject({ verdict: 'accepted', type: 'xdp', typeOf: 'xdp' });
    },
  );

  test('names a CO-RE field that the kernel does not have', async () => {
    const object = await compiler.compile(
      `struct task_struct___other { int bpf_studio_no_such_field; } __attribute__((preserve_access_index));
      SEC("raw_tp/sched_switch") int vfycore(void *c) {
        struct task_struct___other *t = (void *)bpf_get_current_task();
        return BPF_CORE_READ(t, bpf_studio_no_such_field);
      }`,
      { vmlinux: true },
    );
    const { programs } = await client.request('verify', { object, log: 'rejected' });
    expect(programs[0]?.verdict).toBe('rejected');
    expect(programs[0]?.log).toContain('bpf_studio_no_such_field');
  });
});

describe('bad objects get a clear error', () => {
  async function errorOf(object: Uint8Array): Promise<KernelError> {
    const error: unknown = await client
      .request('verify', { object, log: 'rejected' })
      .catch((thrown: unknown) => thrown);
    if (!(error instanceof KernelError)) throw new Error('the object was accepted');
    expect(error.hint).toBeTruthy();
    return error;
  }

  test('text', async () => {
    const error = await errorOf(Buffer.from('int main() { return 0; }\n'.repeat(10)));
    expect(error.code).toBe('badObject');
    expect(error.message).toContain('not an ELF file');
  });

  test('an object for another machine', async () => {
    const object = Buffer.from(await compiler.compile(GOOD));
    object.writeUInt16LE(62, 18);
    expect((await errorOf(object)).message).toBe(
      'The object is compiled for ELF machine 62, not for BPF (247).',
    );
  });

  test('a truncated object', async () => {
    const object = await compiler.compile(MAP + GOOD);
    const error = await errorOf(object.subarray(0, 200));
    expect(error.code).toBe('badObject');
    expect(error.message).toMatch(/^libbpf cannot read the object: /);
  });

  test('a program that the object does not have', async () => {
    const object = await compiler.compile(GOOD);
    const request = client.request('verify', { object, programs: ['nobody'], log: 'rejected' });
    await expect(request).rejects.toMatchObject({
      code: 'badRequest',
      message: 'the object has no program "nobody"',
      hint: 'It has: vfygood.',
    });
  });

  test('objects without debug information are judged all the same', async () => {
    const { programs } = await client.request('verify', {
      object: await compiler.compile(GOOD, { debugInfo: false }),
      log: 'rejected',
    });
    expect(programs[0]).toMatchObject({ verdict: 'accepted' });
    expect(programs[0]?.lineInfo).toHaveLength(0);
  });
});
