import { describe, expect, test } from 'vitest';
import { sectionProposals } from './attach-target';
import { attachPointOf } from './attach-point';
import { faultOf } from './map-rules';
import { nearestNames } from './nearest';

describe('names that somebody may have meant', () => {
  test.for([
    ['tcp_sendmsgg', ['tcp_recvmsg', 'tcp_sendmsg', 'udp_sendmsg'], 'tcp_sendmsg'],
    ['max_entry', ['map_extra', 'max_entries', 'map_flags'], 'max_entries'],
    ['state', ['__state', 'static_prio', 'stack'], '__state'],
    ['sched_swtich', ['sched_switch', 'sched_stat_wait'], 'sched_switch'],
    ['do_unlinkat', ['do_unlinkat.isra.0', 'do_rmdir'], 'do_unlinkat.isra.0'],
  ] as const)('%s', ([wanted, names, best]) => {
    expect(nearestNames(wanted, names)[0]).toBe(best);
  });

  test('nothing is proposed where nothing is close, nor the name itself', () => {
    expect(nearestNames('number_of_wishes', ['pid', 'tgid', 'comm'])).toEqual([]);
    expect(nearestNames('vfs_read', ['vfs_read'])).toEqual([]);
    expect(nearestNames('', ['a', 'b'])).toEqual([]);
    expect(nearestNames('ab', ['cd', 'ef'])).toEqual([]);
    // Three letters of nine, two of five: other words, not other spellings.
    expect(nearestNames('vfs_write', ['vfs_fsync', 'nfs_wait_', 'vfs_statx'])).toEqual([]);
    expect(nearestNames('dummy', ['dump', 'gummi', 'yummy2'])).toEqual([]);
  });
});

test.for([
  ['kprob/do_unlinkat', 'kprobe/do_unlinkat'],
  ['kretprob/vfs_read', 'kretprobe/vfs_read'],
  ['tracepiont/sched/sched_switch', 'tracepoint/sched/sched_switch'],
  ['cgroup/conect4', 'cgroup/connect4'],
  ['xdp_prog_simple', 'xdp'],
  ['tc_ingress', 'tcx/ingress'],
  ['sockop', 'sockops'],
  ['fexist/vfs_read', 'fexit/vfs_read'],
] as const)('a section %s was meant to be %s', ([written, meant]) => {
  expect(sectionProposals(written)).toContain(meant);
});

test('a section that is like none has no proposal', () => {
  expect(sectionProposals('my_own_section')).toEqual([]);
});

test('attach points are what libbpf looks up when it attaches', () => {
  expect(attachPointOf('kprobe/vfs_read+0x10')).toMatchObject({ kind: 'function', name: 'vfs_read' });
  expect(attachPointOf('?tp/sched/sched_switch')).toMatchObject({ category: 'sched', name: 'sched_switch' });
  expect(attachPointOf('kprobe.multi/tcp_*')).toMatchObject({ kind: 'functions', pattern: 'tcp_*' });
  for (const section of ['kprobe', 'kprobe/', 'xdp', 'tp/sched', 'fentry/vfs_read', 'kprobe/a b', '/', '']) {
    expect(attachPointOf(section)).toBeUndefined();
  }
});

test('a definition that keeps every rule has no fault', () => {
  const map = { type: 'hash', keySize: 4, valueSize: 8, maxEntries: 16, flags: 0, hasInner: false };
  expect(faultOf(map)).toBeUndefined();
  expect(faultOf({ ...map, type: 'ringbuf', keySize: 0, valueSize: 0, maxEntries: 4096 })).toBeUndefined();
  expect(faultOf({ ...map, type: 'task_storage', maxEntries: 0, flags: 1 })).toBeUndefined();
  expect(faultOf({ ...map, type: 'array', keySize: 8 })?.members).toContain('key_size');
});
