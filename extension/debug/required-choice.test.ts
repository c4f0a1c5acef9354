import { expect, test } from 'vitest';
import { requiredChoice, tcDirection } from './required-choice';
import { defaultPacket } from './default-packet';

test.each([
  ['xdp', 'xdpInterface'],
  ['xdp.frags', 'xdpInterface'],
  ['xdp/devmap', 'nothing'],
  ['tc', 'tcInterface'],
  ['tcx/egress', 'tcInterface'],
  ['netkit/peer', 'netkitInterface'],
  ['kprobe', 'kernelFunction'],
  ['kprobe/tcp_sendmsg', 'nothing'],
  ['?kretprobe', 'kernelFunction'],
  ['kprobe.multi', 'kernelFunctions'],
  ['kprobe.multi/tcp_*', 'nothing'],
  ['tp', 'tracepoint'],
  ['tracepoint/sched/sched_switch', 'nothing'],
  ['raw_tp', 'rawTracepoint'],
  ['uprobe', 'userFunction'],
  ['uprobe.s//usr/bin/bash:readline', 'nothing'],
  ['usdt', 'usdt'],
  ['perf_event', 'perfEvent'],
  ['cgroup/connect4', 'cgroup'],
  ['cgroup_skb/egress', 'cgroup'],
  ['sockops', 'cgroup'],
  ['sk_lookup', 'netns'],
  ['netfilter', 'netfilter'],
  ['fentry/tcp_v4_connect', 'nothing'],
  ['lsm/file_open', 'nothing'],
  ['iter/task', 'nothing'],
  ['struct_ops/init', 'nothing'],
])('SEC("%s") leaves open: %s', (section, choice) => {
  expect(requiredChoice(section)).toBe(choice);
});

test('the direction is asked only where the section does not say it', () => {
  expect(tcDirection('tcx/egress')).toBe('egress');
  expect(tcDirection('tc/ingress')).toBe('ingress');
  expect(tcDirection('tc')).toBeUndefined();
});

test('programs that work on packets get one, others none', () => {
  expect(defaultPacket('xdp')).toEqual([{ type: 'ethernet' }, { type: 'ipv4' }, { type: 'tcp' }]);
  expect(defaultPacket('cgroup_skb/ingress')).toBeDefined();
  expect(defaultPacket('kprobe/tcp_sendmsg')).toBeUndefined();
  expect(defaultPacket('cgroup/connect4')).toBeUndefined();
});
