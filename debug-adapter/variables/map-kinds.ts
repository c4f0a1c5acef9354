/** What can be seen and changed of a map from user space, by its type. */
import type { LoadedMap } from '../../kernel/protocol';

/** Enough of a map's shape to draw it. */
export type MapShape =
  /** Every index from 0 to max_entries exists. */
  | 'array'
  /** Entries come and go; listed by iterating. */
  | 'keyed'
  /** One end can be looked at. */
  | 'queue'
  /** Nothing can be listed. */
  | 'hidden';

const ARRAYS = new Set(['array', 'percpu_array']);
const QUEUES = new Set(['queue', 'stack']);

const HIDDEN: Record<string, string> = {
  ringbuf: 'records are consumed by reading: they appear in the output as they arrive',
  perf_event_array: 'records are consumed by reading: they appear in the output as they arrive',
  user_ringbuf: 'records are written by user space and consumed by the program; there is nothing to look up',
  bloom_filter:
    'it keeps hashes only, so its members cannot be listed; to ask for one, evaluate the map with [VALUE]',
  sk_storage: 'entries belong to sockets; the kernel finds them by a file descriptor of the socket only',
  inode_storage: 'entries belong to inodes; the kernel finds them by a file descriptor of the file only',
  task_storage: 'entries belong to tasks; the kernel finds them by a pidfd of the task only',
  cgrp_storage: 'entries belong to cgroups; the kernel finds them by a file descriptor of the cgroup only',
  arena: 'memory shared by mmap, without entries',
  struct_ops: 'the operations that it registers are functions of this object',
  cgroup_array: 'it holds cgroups, which the kernel does not give back',
  xskmap: 'it holds AF_XDP sockets, which the kernel does not give back',
  reuseport_sockarray: 'it holds sockets; only maps whose value has 8 bytes give back their cookies',
  insn_array: 'it maps instructions of one program and is read by the verifier only',
};

export function shapeOf(map: LoadedMap): MapShape {
  if (ARRAYS.has(map.type)) return 'array';
  if (QUEUES.has(map.type)) return 'queue';
  if (map.type === 'reuseport_sockarray' && map.valueSize === 8) return 'keyed';
  return HIDDEN[map.type] === undefined ? 'keyed' : 'hidden';
}

/** Why entries of the map cannot be listed. */
export function whyHidden(map: LoadedMap): string | undefined {
  return shapeOf(map) === 'hidden' ? HIDDEN[map.type] : undefined;
}

export function isPerCpu(map: LoadedMap): boolean {
  return map.type.includes('percpu_');
}

/** Bytes of one value as user space reads it. */
export function valueStride(map: LoadedMap, possibleCpus: number): number {
  return isPerCpu(map) ? Math.ceil(map.valueSize / 8) * 8 * possibleCpus : map.valueSize;
}

/** BPF_F_RDONLY and BPF_F_WRONLY speak of user space. */
const RDONLY = 1 << 3;
const WRONLY = 1 << 4;

/** Why user space cannot write the map's values; undefined when it can. */
export function whyReadOnly(map: LoadedMap): string | undefined {
  if (map.frozen) return 'the map is frozen: the verifier relied on its values when the program was loaded';
  if ((map.flags & RDONLY) !== 0) return 'the map is read-only for user space (BPF_F_RDONLY)';
  const holdsReferences = REFERENCES[map.type];
  return holdsReferences === undefined
    ? undefined
    : `its values are ${holdsReferences}, set by file descriptor`;
}

export function whyUnreadable(map: LoadedMap): string | undefined {
  return (map.flags & WRONLY) === 0 ? undefined : 'the map is write-only for user space (BPF_F_WRONLY)';
}

/** Maps whose values are references to kernel objects, and what those are. */
const REFERENCES: Record<string, string> = {
  array_of_maps: 'maps',
  hash_of_maps: 'maps',
  prog_array: 'programs',
  sockmap: 'sockets',
  sockhash: 'sockets',
  reuseport_sockarray: 'sockets',
  stack_trace: 'stacks that the kernel recorded',
  struct_ops: 'functions',
};
