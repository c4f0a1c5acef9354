import { beyondMemory, beyondStack, beyondVariable, packetBounds, packetCheck, withinMemory } from './bounds';
import type { Entry } from './kinds';

/** Sizes from here on are unlimited to the verifier (BPF_MAX_VAR_SIZ). */
const FAR = 1 << 29;

/** Accesses beyond what is proven: packets, map values, stack, other memory. */
export const memoryEntries: Entry[] = [
  {
    id: 'bpf/packet-bounds',
    title: 'Packet access without a bounds check',
    wants:
      'Every byte of the packet that is read or written must be proven to lie before data_end, by a comparison on the path that leads to the access.',
    help: 'Compare the end of what you access with data_end first, e.g. if ((void *)(hdr + 1) > data_end) return XDP_PASS;',
    related: ['packetCheck', 'origin'],
    rules: [
      {
        pattern: /^invalid access to packet, off=(-?\d+) size=(\d+), R(\d+)\(id=(\d+),off=-?\d+,r=(\d+)\)/,
        say: packetBounds,
        help: packetCheck,
      },
      { pattern: /^invalid access to packet/ },
      { pattern: /^\S+ offset is outside of the packet/ },
    ],
  },
  {
    id: 'bpf/map-bounds',
    title: 'Access beyond the map value',
    wants: 'An offset into a map value must be proven to stay within the value, in both directions.',
    help: 'Check the index against the number of elements before using it, e.g. if (i >= ARRAY_SIZE(v->slots)) return 0;',
    related: ['origin'],
    rules: [
      {
        pattern: /^invalid access to (map (?:value|key)), (?:value|key)_size=(\d+) off=(-?\d+) size=(\d+)/,
        say: beyondMemory,
        help: withinMemory,
      },
      { pattern: /^invalid access to map value pointer/ },
    ],
  },
  {
    id: 'bpf/memory-bounds',
    title: 'Access beyond the memory area',
    wants: 'An access must stay within the memory that the pointer was given for.',
    help: 'Check the offset and the size against the size of the memory before the access.',
    related: ['origin'],
    rules: [
      {
        pattern: /^invalid access to (memory), mem_size=(\d+) off=(-?\d+) size=(\d+)/,
        say: beyondMemory,
        help: withinMemory,
      },
      { pattern: /^invalid access to flow keys|invalid variable offset to flow keys/ },
      { pattern: /^R\d+ is \S+ invalid negative access/ },
      { pattern: /^R\d+ invalid \S+ access off=/ },
      { pattern: /invalid (negative )?\S+ buffer (access|offset)/ },
      { pattern: /^\S+ invalid variable buffer offset/ },
      { pattern: /^R\d+ (max|min) value is outside of the allowed memory range/ },
    ],
  },
  {
    id: 'bpf/index-negative',
    title: 'Index that may be negative',
    wants: 'A value added to a pointer must have a lower bound of zero or more.',
    help: 'Make the index unsigned (__u32), or check it with if (i >= 0) before use.',
    related: ['origin'],
    rules: [
      {
        pattern: /^R\d+ min value is negative, either use unsigned index/,
        say: ({ here }) => `The index used in ${here} may be negative`,
      },
      {
        pattern: /^math between \S+ pointer and register with unbounded min value/,
        say: ({ here }) =>
          `The index used in ${here} may be negative: nothing on this path gives it a lower bound`,
      },
      {
        // The sum of what was added before and the least value that the index can have.
        pattern: /^value -\d+ makes \S+ pointer be out of bounds/,
        say: ({ here }) => `The index used in ${here} may be negative, far below the start of the memory`,
      },
    ],
  },
  {
    id: 'bpf/index-unbounded',
    title: 'Index without an upper bound',
    wants: 'A value added to a pointer must have an upper bound that keeps the access within the memory.',
    help: 'Check the index before use, e.g. if (i >= MAX) return 0; or mask it with i &= MAX - 1 (a power of two).',
    related: ['origin'],
    rules: [
      {
        pattern: /^R\d+ unbounded memory access, make sure to bounds check/,
        say: ({ here }) => `Nothing on this path limits how far ${here} reaches`,
      },
      {
        pattern: /^math between \S+ pointer and (-?\d+) is not allowed/,
        say: ({ match, here }) =>
          `${here} moves a pointer by ${match[1]} bytes, farther than any memory reaches`,
      },
      {
        pattern: /^value (\d+) makes \S+ pointer be out of bounds/,
        say: ({ match, here }) =>
          `The index used in ${here} has no limit that helps: it may move the pointer by ${match[1]} bytes`,
      },
      { pattern: /pointer offset -?\d+ is not allowed/ },
      { pattern: /has unknown scalar with mixed signed bounds/ },
    ],
  },
  {
    id: 'bpf/size-negative',
    title: 'Size that may be negative',
    wants: 'A size given to a helper must be proven not to be negative.',
    help: 'Make the size unsigned (__u32) and limit it: if (len > sizeof(buf)) return 0; or len &= sizeof(buf) - 1;',
    related: ['origin'],
    rules: [
      {
        pattern: /^R(\d+) min value is negative, either use unsigned or/,
        say: ({ match: [, number], here, source }) =>
          `The size in argument ${number} of ${here} may be negative${source(number) ? `: it is ${source(number)}` : ''}`,
        help: ({ match: [, number], source, variable }) =>
          /the result of bpf_/.test(source(number) ?? '')
            ? `It is negative when that call fails: if (${variable(number) ?? 'len'} < 0) return 0; before it is used as a size.`
            : undefined,
      },
    ],
  },
  {
    id: 'bpf/size-unbounded',
    title: 'Size without an upper bound',
    wants: 'A size given to a helper must have an upper bound that fits the memory it goes with.',
    help: 'Limit the size on this path: if (len > sizeof(buf)) return 0; or len &= sizeof(buf) - 1;',
    related: ['origin'],
    rules: [
      {
        pattern: /^R(\d+) unbounded memory access, use/,
        say: ({ match: [, number], here, source }) =>
          `The size in argument ${number} of ${here} has no upper bound on this path${source(number) ? `: it is ${source(number)}` : ''}`,
      },
    ],
  },
  {
    id: 'bpf/size-zero',
    title: 'Size that may be zero',
    wants: 'This helper does not accept a size of zero, so the size must be proven to be at least one.',
    help: 'Skip the call when the size is zero: if (len == 0) return 0;',
    related: ['origin'],
    rules: [
      {
        pattern: /^R(\d+) invalid zero-sized read(?:: u64=\[\d+,(\d+)\])?/,
        say: ({ match: [, number], here, source }) =>
          `The size in argument ${number} of ${here} may be zero${source(number) ? `: it is ${source(number)}` : ''}`,
        help: ({ match: [, number, most], variable }) => {
          const name = variable(number) ?? 'len';
          return Number(most ?? 0) > FAR
            ? `Limit it from both ends before the call: if (${name} < 1 || ${name} > sizeof(buf)) return 0;`
            : `Skip the call when the size is zero: if (${name} == 0) return 0;`;
        },
      },
      { pattern: /invalid zero-sized read/ },
    ],
  },
  {
    id: 'bpf/stack-size',
    title: 'Stack larger than 512 bytes',
    wants: 'A program and the functions it calls have 512 bytes of stack together.',
    help: 'Move large variables into a per-CPU array map with one entry, or make them smaller.',
    rules: [
      {
        pattern: /^combined stack size of (\d+) calls is (\d+)\. Too large/,
        say: ({ match: [, calls, size] }) =>
          `${calls} functions that call each other need ${size} bytes of stack; a program has 512`,
      },
      { pattern: /^stack size of subprog \d+ is (\d+)\. Too large/ },
      { pattern: /^stack size \d+\(extra \d+\) is too large/ },
      { pattern: /^stack depth \d+ exceeds interpreter stack depth limit/ },
      { pattern: /^tail_calls are not allowed when call stack of previous frames is (\d+) bytes/ },
      {
        pattern:
          /^invalid (?:write to |read from |indirect access to )?stack (?:R10 |fp )?off=-(?:5(?:1[3-9]|[2-9]\d)|[6-9]\d\d|\d{4,}) size=/,
        say: ({ match, here }) =>
          `${here} uses stack ${/off=-(\d+)/.exec(match[0])?.[1]} bytes below the frame pointer; a program has 512 bytes`,
      },
    ],
  },
  {
    id: 'bpf/stack-uninitialised',
    title: 'Stack memory used before it was written',
    wants:
      'Every byte of stack that is read, or that a helper reads, must have been written on the path that leads there.',
    help: 'Initialise the whole variable, padding included: struct key k = {}; or __builtin_memset(&k, 0, sizeof(k));',
    related: ['decision'],
    rules: [
      {
        pattern: /^invalid (indirect )?(?:read|access) from stack (?:R(\d+) )?off (-?\d+)\+(\d+) size (\d+)/,
        say: ({ match: [, , , off, within, size], here, onStack }) => {
          const variable = onStack(Number(off));
          const what = variable ? variable.name : `stack at offset ${off}`;
          return `${here} reads ${size} bytes of ${what}, and byte ${within} of them was never written on this path`;
        },
      },
      { pattern: /^invalid (indirect )?(?:read|access) from stack(?! (?:type )?R\d+ off=)/ },
      { pattern: /^reading from stack .* slot poisoned by dead code elimination/ },
    ],
  },
  {
    id: 'bpf/stack-bounds',
    title: 'Stack access out of bounds',
    wants:
      'Stack accesses must lie between the frame pointer and 512 bytes below it, at an offset the verifier can bound.',
    help: 'Check the index against the size of the array before the access.',
    related: ['origin'],
    rules: [
      {
        pattern: /^invalid unbounded variable-offset/,
        say: ({ here }) => `Nothing on this path limits how far ${here} reaches into the stack`,
      },
      {
        pattern: /^invalid variable-offset.* stack (?:R\d+ var_off=\S+ \S+ off=(-?\d+))?/,
        say: beyondVariable,
      },
      {
        pattern: /^invalid [a-z -]*stack (?:type )?R\d+ off=(-?\d+) (?:access_)?size=(\d+)/,
        say: beyondStack,
        help: ({ callee }) =>
          callee &&
          'Pass a variable of the size that the map or the helper has, or the size of the variable.',
      },
      { pattern: /^invalid .*stack .*off=-?\d+(?: access_size=| size=)/ },
      { pattern: /variable( offset)? stack access prohibited/ },
      { pattern: /^(attempt to corrupt spilled pointer on stack|cannot spill pointers to stack into)/ },
      { pattern: /^stack arg write offset/ },
    ],
  },
  {
    id: 'bpf/misaligned',
    title: 'Misaligned access',
    wants: 'The address must be a multiple of the size of the access.',
    help: 'Align the member, or read it with __builtin_memcpy into a local variable.',
    rules: [{ pattern: /^misaligned / }],
  },
];
