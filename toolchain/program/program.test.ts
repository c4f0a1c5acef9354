import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { clangAtHand } from '../../test/support/clang';
import { buildContext, describeContext, explainRefusedContext } from './context';
import { layouts } from './context-layouts';
import { describeReturnValue } from './return-values';
import { insteadOfTestRun, testRunSupport } from './test-run';

describe('return values', () => {
  it.each([
    ['xdp', 1, 'XDP_DROP (1)'],
    ['xdp', 9, '9 (not an XDP action; the kernel warns and treats it as XDP_ABORTED)'],
    ['sched_cls', 0xffffffff, 'TC_ACT_UNSPEC (-1)'],
    ['sched_cls', 2, 'TC_ACT_SHOT (2)'],
    ['cgroup_skb', 3, 'passed, congestion told (3)'],
    ['lsm', 0xffffffff, '-EPERM (-1)'],
    ['netfilter', 1, 'NF_ACCEPT (1)'],
    ['flow_dissector', 129, 'BPF_FLOW_DISSECTOR_CONTINUE (129)'],
    ['socket_filter', 60, '60 (bytes of the packet to keep)'],
    ['syscall', 7, '7'],
    ['syscall', 0xffffffea, '-EINVAL (-22)'],
  ])('%s %i is %s', (type, raw, text) => {
    expect(describeReturnValue(type, raw).text).toBe(text);
  });
});

describe('context layouts', () => {
  // The compiler that knows the UAPI header is the oracle for the offsets written down here.
  it.each([layouts.skBuff, layouts.xdpMd, layouts.skLookup, layouts.flowKeys])('$struct', async (layout) => {
    const checks = layout.fields.map(
      ({ name, offset }) =>
        `_Static_assert(__builtin_offsetof(${layout.struct}, ${name}) == ${offset}, "${name}");`,
    );
    const size = `_Static_assert(sizeof(${layout.struct}) == ${layout.size}, "size");`;
    const source = ['#include <linux/bpf.h>', ...checks, size].join('\n');
    const multiarch = `/usr/include/${process.arch === 'x64' ? 'x86_64' : 'aarch64'}-linux-gnu`;
    execFileSync(await clangAtHand(), ['-fsyntax-only', '-target', 'bpf', `-I${multiarch}`, '-x', 'c', '-'], {
      input: source,
    });
  });

  it('writes named fields and reads them back', () => {
    const built = buildContext(layouts.skBuff, {
      mark: 5,
      cb: [1, 2, 3],
      tstamp: '0xffffffffffffffff',
      remote_ip4: '10.0.0.1',
    });
    expect(built.ok && describeContext(layouts.skBuff, built.value)).toEqual({
      mark: '5',
      cb: '[1, 2, 3, 0, 0]',
      tstamp: '18446744073709551615',
      remote_ip4: '10.0.0.1',
    });
    const lookup = buildContext(layouts.skLookup, { family: 'AF_INET', remote_port: 80 });
    expect(lookup.ok && Array.from(lookup.value.slice(8, 12))).toEqual([2, 0, 0, 0]);
    expect(lookup.ok && Array.from(lookup.value.slice(36, 38))).toEqual([0, 80]);
  });

  it('passes as many tracepoint arguments as are given', () => {
    const built = buildContext(layouts.rawTracepoint, { args: [1, '-1'] });
    expect(built.ok && Array.from(built.value)).toEqual([
      1,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      ...Array<number>(8).fill(255),
    ]);
  });

  it.each([
    [{ marc: 1 }, /^context\.marc: struct __sk_buff has no such field; a test run takes mark, priority/],
    [{ mark: 'x' }, /^context\.mark: "x" is not a whole number/],
    [{ mark: 2 ** 32 }, /^context\.mark: 4294967296 does not fit in 32 bits/],
    [{ cb: [1, 2, 3, 4, 5, 6] }, /^context\.cb: has 6 elements, there is room for 5/],
    [{ remote_ip6: '10.0.0.1' }, /^context\.remote_ip6: "10.0.0.1" is not an IPv6 address/],
  ])('%j is refused in words', (values, expected) => {
    const built = buildContext(layouts.skBuff, values);
    expect(built.ok ? '' : `${built.problems[0]!.path}: ${built.problems[0]!.message}`).toMatch(expected);
  });

  it('explains what a kernel refused', () => {
    expect(explainRefusedContext(layouts.skBuff, { mark: 1, len: 5 })).toMatch(
      /^a test run does not take len of/,
    );
    expect(explainRefusedContext(layouts.skBuff, { mark: 1 })).toBeUndefined();
  });
});

it('knows what cannot be run, and what to do instead', () => {
  expect(testRunSupport('kprobe')).toBeUndefined();
  expect(insteadOfTestRun('kprobe')).toContain('"request": "attach"');
});
