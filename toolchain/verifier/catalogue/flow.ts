import type { Entry } from './kinds';

/** Control flow, loops, the size of the work, return values. */
export const flowEntries: Entry[] = [
  {
    id: 'bpf/infinite-loop',
    title: 'Loop that may never end',
    wants: 'Each round of a loop must change something that leads to its end.',
    help: 'Count the rounds against a constant limit, or use bpf_for() or bpf_loop().',
    rules: [
      {
        pattern: /^infinite loop detected at insn (\d+)/,
        say: () => 'This loop comes back to where it was without any progress towards its end',
      },
      {
        pattern: /^back-edge from insn (\d+) to (\d+)/,
        say: () => 'This kernel allows no loop here: the jump goes back',
      },
    ],
  },
  {
    id: 'bpf/complexity',
    title: 'Program too complex to verify',
    wants:
      'The verifier looks at every path; it gives up after one million instructions or too many open branches.',
    help: 'Bound loops more tightly, use bpf_loop() or bpf_for(), split work into global functions or tail calls.',
    rules: [
      {
        pattern: /^BPF program is too large\. Processed (\d+) insn/,
        say: ({ match, loops }) =>
          `The verifier gave up after ${count(match[1])} instructions${loops ? `,${loops}` : ''}`,
      },
      {
        pattern: /^The sequence of (\d+) jumps is too complex/,
        say: ({ match, loops }) =>
          `The verifier gave up with ${count(match[1])} branches still to follow${loops ? `,${loops}` : ''}`,
      },
      { pattern: /too many iterations$/ },
      { pattern: /^liveness analysis exceeded complexity limit/ },
      { pattern: /^the sum of R\d+ u(min|max)_value/ },
      { pattern: /bpf_loop iteration limit reached$|could not be pushed for speculative verification/ },
    ],
  },
  {
    id: 'bpf/unreachable',
    title: 'Code that cannot be reached',
    wants: 'Every instruction must be reachable from the start, and every path must end with exit.',
    help: 'Remove the dead code; if it comes from undefined behaviour in the source, mend that (clang -Wall shows most).',
    rules: [
      { pattern: /^unreachable insn (\d+)/ },
      { pattern: /^jump out of range from insn (\d+) to (\d+)/ },
      { pattern: /^(last insn is not an exit or jmp|jump into the middle of ldimm64)/ },
      {
        pattern:
          /^(jump table for insn|R\d+ points to outside of jump table|register R\d+ doesn't point to any offset)/,
      },
      {
        pattern:
          /^(invalid insn idx|call to invalid destination|indirect jump out of range|no jump tables found)/,
      },
      { pattern: /^insn \d+ cannot be patched/ },
    ],
  },
  {
    id: 'bpf/return-value',
    title: 'Return value that is not allowed',
    wants: 'Some program types may return only certain values, and every program must return a number.',
    help: 'Return one of the values this program type allows, on every path.',
    related: ['origin', 'decision'],
    rules: [
      {
        pattern:
          /^At program exit the register R0 has smin=(-?\d+) smax=(-?\d+) should have been in \[(-?\d+), (-?\d+)\]/,
        say: ({ match: [, low, high, from, to], programType }) =>
          `${low === high ? returned(low) : `A value from ${low} to ${high}`} is returned here; a program of type ${programType} may return ${from} to ${to}`,
      },
      {
        pattern:
          /^(?:At|In) (?:async )?callback(?: return)? the register R0 has smin=(-?\d+) smax=(-?\d+) should have been in \[(-?\d+), (-?\d+)\]/,
        say: ({ match: [, low, high, from, to] }) =>
          `${low === high ? returned(low) : `A value from ${low} to ${high}`} is returned here; ${from === to ? `this callback may return only ${from}` : `a callback may return ${from} to ${to}`}`,
        help: () =>
          'Return 0 to go on, or 1 to stop where the helper knows that (bpf_loop, bpf_for_each_map_elem); callbacks of timers and workqueues return 0.',
      },
      {
        pattern:
          /^(?:At|In) (program exit|async callback|callback return|subprogram exit)[^R]*(?:the register )?R0 (.*)$/,
        say: ({ match, programType }) =>
          `What is returned at ${match[1]} is not allowed in a program of type ${programType}: it ${match[2]}`,
      },
      { pattern: /^At .* the register R0/ },
      { pattern: /^(At program exit|At subprogram exit|In async callback)/ },
      { pattern: /^R0 (not a scalar value|leaks addr as return value)/ },
      { pattern: /^(cannot return stack pointer to the caller|BPF_LSM_CGROUP that attach to void)/ },
    ],
  },
  {
    id: 'bpf/instruction',
    title: 'Instruction the kernel does not accept',
    wants: 'Instructions must be ones this kernel knows, with unused fields zero.',
    help: 'Compile for an instruction set the kernel has: -mcpu=v1, v2 or v3.',
    rules: [
      {
        pattern:
          /^(ldimm64(?! failed to find the address)|pseudo btf_id|reserved field|Unknown conditional jump|r11 load|LD_ABS)/,
      },
      {
        pattern:
          /^(unknown opcode|unknown insn class|invalid BPF_\S+ opcode|BPF_\S+ uses (reserved|invalid))/,
      },
      {
        pattern: /^(div by zero|invalid shift|invalid BPF_LD|invalid bpf_ld_imm64|unrecognized bpf_ld_imm64)/,
      },
      { pattern: /uses reserved fields/ },
      { pattern: /^same insn cannot be used with different pointers/ },
      { pattern: /^at the time of BPF_LD_ABS/ },
      { pattern: /^R\d+ is invalid$|^R\d+ has type \S+, expected PTR_TO_INSN|from insn_array$/ },
      { pattern: /can't create jump table/ },
      { pattern: /^(invalid atomic operand size|64-bit (load-acquires|store-releases)|invalid may_goto)/ },
    ],
  },
  {
    id: 'bpf/atomic',
    title: 'Atomic operation that is not allowed here',
    wants:
      'Atomic operations work on map values, on the stack and on memory the program owns, not on packets or the context.',
    help: 'Copy the value into a map or a local variable and work on that.',
    related: ['origin'],
    rules: [{ pattern: /^BPF_(ATOMIC|XADD|ST) (stores into|loads from) R\d+/ }],
  },
];

/** `1000001` → `1,000,001`. */
function count(number: string | undefined): string {
  return Number(number ?? '0').toLocaleString('en-US');
}

/** Newer kernels print the lower 32 bits without a sign: `4294967295` is the program's -1. */
function returned(number: string | undefined): string {
  const value = BigInt(number ?? '0');
  return value >= 1n << 31n && value < 1n << 32n ? `${BigInt.asIntN(32, value)}` : String(value);
}
