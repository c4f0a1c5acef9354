/** Which map types cannot be walked from user space, and why, in the field's words. */

const reasons: Record<string, string> = {
  ringbuf: 'a ring buffer has no entries to look up: its records are consumed as they arrive (open a reader)',
  user_ringbuf:
    'a user ring buffer is written by user space and drained by the program; it has no entries to look up',
  queue: 'a queue has no keys: peek shows the element that would be popped next',
  stack: 'a stack has no keys: peek shows the element that would be popped next',
  bloom_filter: 'a bloom filter keeps only hash bits, not the values that were pushed',
  sk_storage:
    'socket storage is kept with each socket, not in one table: an element can be looked up only by a file descriptor of its socket',
  task_storage:
    'task storage is kept with each task, not in one table: an element can be looked up only by a pidfd of its task',
  inode_storage:
    'inode storage is kept with each inode, not in one table: an element can be looked up only by a file descriptor of its file',
  cgrp_storage:
    'cgroup storage is kept with each cgroup, not in one table: an element can be looked up only by a file descriptor of its cgroup directory',
  perf_event_array:
    'a perf event array holds perf events, which the kernel does not give back (open a reader for its records)',
  arena: 'an arena is memory shared by mmap, without keys',
  struct_ops: 'a struct_ops map holds one value, the table of operations; look up key 0',
  insn_array: 'an instruction array maps instructions of one program and is read by the verifier',
};

/** Why entries of this type cannot be listed; undefined when they can. */
export function whyNotIterable(type: string): string | undefined {
  return reasons[type];
}
