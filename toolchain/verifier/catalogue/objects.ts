import type { Entry, Facts } from './kinds';
import { releasesOf } from './releases';

/** References, locks and the kernel's other objects, and the contexts in which code may run. */
export const objectEntries: Entry[] = [
  {
    id: 'bpf/unreleased-reference',
    title: 'Reference that is not released',
    wants:
      'What was acquired (a socket, a ring buffer record, a task …) must be released on every path to the end.',
    help: 'Release it before each return: bpf_ringbuf_submit or bpf_ringbuf_discard, bpf_sk_release, bpf_task_release, bpf_obj_drop …',
    related: ['allocation', 'decision'],
    rules: [
      {
        pattern: /^Unreleased reference id=(\d+) alloc_insn=(\d+)/,
        say: stillHeld,
        help: giveBack,
      },
      { pattern: /^Leaking reference id=\d+ alloc_insn=\d+/ },
      { pattern: /would lead to reference leak|cannot be mixed with socket references/ },
      { pattern: /^reference (leak|has not been released)/ },
    ],
  },
  {
    id: 'bpf/reference-not-held',
    title: 'Release of something that is not held',
    wants: 'Only an object whose reference the program holds at this point may be released, and only once.',
    help: 'Release it once per path, and only where the acquiring call succeeded.',
    related: ['origin'],
    rules: [
      { pattern: /reference has not been acquired before/ },
      { pattern: /must be referenced( when passed to release function)?$/ },
      { pattern: /^release (helper|kfunc|kernel function) \S+ expects/ },
      { pattern: /^(arg \d+ is an unacquired reference|function expects only one referenced object)/ },
      { pattern: /must have zero offset when passed to release func/ },
      { pattern: /^invalid bpf_context access .* Reference may already be released/ },
    ],
  },
  {
    id: 'bpf/lock',
    title: 'Lock that is not taken or released as it must be',
    wants:
      'A bpf_spin_lock must be released on every path, one at a time, and nothing but plain code may run while it is held.',
    help: 'Call bpf_spin_unlock on every path, and move helper calls out of the locked part.',
    related: ['lock', 'decision'],
    rules: [
      {
        pattern: /^(BPF_EXIT instruction .*bpf_spin_lock-ed region|bpf_(res_)?spin_unlock is missing)/,
        say: () => 'This path ends while the lock is still held',
      },
      {
        pattern: /bpf_spin_lock-ed region/,
        say: ({ here }) => `${here} is not allowed while a bpf_spin_lock is held`,
      },

      { pattern: /_unlock (without taking a lock|of different lock|cannot be out of order)/ },
      { pattern: /^Locking two bpf_spin_locks are not allowed/ },
      {
        pattern: /function calls are not allowed while holding a lock/,
        say: ({ here }) => `${here} is not allowed while a bpf_spin_lock is held`,
      },
      {
        pattern:
          /^(Acquiring the same lock again|tracing progs cannot use bpf_spin_lock|socket filter progs cannot use bpf_spin_lock|sleepable progs cannot use bpf_spin_lock)/,
      },
      {
        pattern:
          /has no valid (\S+_lock|bpf_spin_lock)|doesn't have 'struct bpf_spin_lock'|has more than one 'struct bpf_spin_lock'/,
      },
      { pattern: /(bpf_spin_lock|_lock) (at off=\d+ must be held|is mangled)/ },
      {
        pattern:
          /doesn't point to 'struct (bpf_)?(res_)?spin_lock'|must be held for|has to have BTF in order to use (bpf_spin|\S+)_lock/,
      },
      { pattern: /^can't (res_)?spin_\{lock,unlock\}|^held lock and object are not/ },
    ],
  },
  {
    id: 'bpf/sleepable',
    title: 'Call that may sleep where sleeping is not allowed',
    wants:
      'Only sleepable programs may call functions that sleep, and not inside RCU, preemption-disabled or locked parts.',
    help: 'Use a sleepable section (e.g. fentry.s, lsm.s, uprobe.s) or a call that does not sleep.',
    rules: [
      {
        pattern: /^helper call might sleep in a non-sleepable prog/,
        say: ({ here }) => `${here} may sleep, and this program is not one that may`,
      },
      { pattern: /^(sleepable helper|kernel func) \S+ ?(is sleepable )?(with)?in / },
      { pattern: /^(sleepable global function|global functions that may sleep are not allowed)/ },
      { pattern: /(can be sleepable|cannot be sleepable|can only be sleepable)$/ },
      { pattern: /^Sleepable program/ },
      { pattern: /is not sleepable$/ },
    ],
  },
  {
    id: 'bpf/rcu',
    title: 'RCU section that is not closed or not open',
    wants: 'bpf_rcu_read_lock and bpf_rcu_read_unlock must come in pairs on every path.',
    help: 'Unlock on every path before the end, and do not nest.',
    related: ['decision'],
    rules: [
      { pattern: /^(unmatched rcu read unlock|nested rcu read lock)/ },
      {
        pattern: /^BPF_EXIT instruction .*rcu_read_lock-ed region|^bpf_rcu_read_unlock is missing/,
        say: () => 'This path ends inside the RCU section',
      },
      {
        pattern: /rcu_read_lock-ed region/,
        say: ({ here }) => `${here} is not allowed inside an RCU section`,
      },
      { pattern: /expected an RCU CS|Calling bpf_rcu_read/ },
      { pattern: /requires RCU critical section protection/ },
    ],
  },
  {
    id: 'bpf/preempt',
    title: 'Preemption that is not enabled again',
    wants:
      'bpf_preempt_disable must be undone by bpf_preempt_enable on every path, as often as it was called.',
    help: 'Call bpf_preempt_enable on every path before the end.',
    related: ['decision'],
    rules: [
      {
        pattern: /bpf_preempt_(enable|disable)|unmatched attempt to enable preemption|non-preemptible region/,
      },
    ],
  },
  {
    id: 'bpf/irq',
    title: 'Interrupts that are not restored',
    wants:
      'What bpf_local_irq_save disabled must be restored on every path, from the same unchanged variable, the last saved first.',
    help: 'Call bpf_local_irq_restore with the address of the same variable on every path, in reverse order.',
    related: ['decision'],
    rules: [{ pattern: /irq flags?\b|irq state|bpf_local_irq_(save|restore)/ }],
  },
  {
    id: 'bpf/dynptr',
    title: 'Dynptr used in a way that is not allowed',
    wants: 'A dynptr must be initialised by a helper before use, lie on the stack, and not be overwritten.',
    help: 'Initialise it with bpf_dynptr_from_mem, bpf_ringbuf_reserve_dynptr or the like, and pass its address unchanged.',
    related: ['origin'],
    rules: [{ pattern: /dynptr/i }],
  },
  {
    id: 'bpf/iterator',
    title: 'Iterator used in a way that is not allowed',
    wants: 'An iterator goes from new through next to destroy, on every path.',
    help: 'Use bpf_for() or bpf_for_each(), which call all three.',
    rules: [
      { pattern: /iter(_\w+)? (pointer|as )|an (un)?initialized iter|css_task_iter|pointer to an iterator/ },
    ],
  },
  {
    id: 'bpf/kptr',
    title: 'Kernel pointer in a map used in a way that is not allowed',
    wants:
      'Kernel pointers in map values go in and out through bpf_kptr_xchg, in eight bytes, at a constant offset.',
    help: 'Use bpf_kptr_xchg, and release what it returns.',
    related: ['origin'],
    rules: [{ pattern: /kptr|uptr disallowed/ }],
  },
  {
    id: 'bpf/graph',
    title: 'List or tree used in a way that is not allowed',
    wants:
      'Nodes and roots of bpf_list and bpf_rbtree belong together by their declaration, and are touched with their lock held.',
    help: 'Hold the lock, pass the right root, and keep to one owner.',
    related: ['origin'],
    rules: [
      {
        pattern:
          /rbtree|bpf_(list|rb)_(head|node|root)|non-?_?owning|allocated object|graph (node|root)|bpf_refcount/i,
      },
      { pattern: /^(arg#1 offset=|operation on \S+ expects arg#1)/ },
    ],
  },
  {
    id: 'bpf/timer',
    title: 'Timer or work queue used in a way that is not allowed',
    wants: 'Timers and work queues live in map values, and go with the map they are in.',
    help: 'Put one struct bpf_timer into the value of an array or hash map, and pass that map to bpf_timer_init.',
    rules: [
      {
        pattern:
          /bpf_timer|bpf_wq|bpf_task_work|(timer|workqueue|wq|task_work) pointer in |doesn't match map pointer in/,
      },
    ],
  },
  {
    id: 'bpf/exception',
    title: 'Exception that is not allowed here',
    wants:
      'bpf_throw ends the program, so it may not be called with anything held, and its callback is one global function that returns a number.',
    help: 'Release everything before bpf_throw, call it outside callbacks, and name one callback with __exception_cb().',
    rules: [{ pattern: /exception c(all)?b|bpf_throw/ }],
  },
  {
    id: 'bpf/callback',
    title: 'Callback used in a way that is not allowed',
    wants: 'A callback is a static function of the program, and the maps it is used with must allow it.',
    help: 'Pass a static function of the declared signature.',
    rules: [{ pattern: /callback/ }],
  },
  {
    id: 'bpf/arena',
    title: 'Arena used in a way that is not allowed',
    wants: 'Arena pointers are cast by the compiler and belong to the one arena of the program.',
    help: 'Declare one BPF_MAP_TYPE_ARENA map and mark pointers with __arena.',
    rules: [{ pattern: /arena|addr_space_cast/ }],
  },
];

/** `` This path ends while `sk` (the result of bpf_sk_lookup_tcp on line 16) is still held ``. */
function stillHeld({ taken }: Facts): string {
  if (!taken) return 'This path ends while a reference is still held';
  const { callee, variable, where } = taken;
  const isArgument = releasesOf(callee)?.argument !== undefined;
  if (isArgument) return `This path ends without the end of what ${callee} began${where}`;
  const result = `the result of ${callee}${where}`;
  return `This path ends while ${variable ? `\`${variable}\` (${result})` : result} is still held`;
}

function giveBack({ taken }: Facts): string | undefined {
  if (taken?.callee === 'bpf_kptr_xchg') {
    return 'What bpf_kptr_xchg returns belongs to the program: release it where it is not NULL, e.g. bpf_task_release(old), or bpf_obj_drop(old) for an object that bpf_obj_new made.';
  }
  const release = taken && releasesOf(taken.callee);
  if (!taken || !release) return undefined;
  const calls = release.names.join(' or ');
  return taken.callee.startsWith('bpf_iter_')
    ? `Call ${calls} with the same iterator on every way out, a return from inside the loop too; bpf_for() and bpf_for_each() do so themselves.`
    : `Call ${calls} on every way out${release.argument === undefined ? ' on which it is not NULL' : ''}.`;
}
