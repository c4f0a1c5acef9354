import type { Entry, Rule } from './kinds';
import { argumentRegister, memberBefore, nullCheck } from './null-check';
import { neutralReturn, plainType } from './words';

/** For a pointer that is NULL for certain on this path; see refine.ts. */
export const knownNull: Rule = {
  pattern: /^R(\d+) invalid mem access '(?:scalar|inv)'/,
  say: ({ match, register, here }) => `${register(match[1])} is NULL on this path, and ${here} uses it`,
  help: ({ match, variable, programType }) => {
    const name = variable(match[1]);
    const value = name ? `\`${name}\`` : 'it';
    return `Leave where it is found to be NULL (return ${neutralReturn(programType)};), or give ${value} another value there.`;
  },
};

/** For a pointer to something that was released on this path; see refine.ts. */
export const usedAfterRelease: Rule = {
  pattern: /^R(\d+) invalid mem access '(?:scalar|inv)'/,
  say: ({ match, register, here }) => `${here} uses ${register(match[1])} after it was released`,
};

/** For masks and products of pointers that are refused for the size of their number; see refine.ts. */
export const operatorOnPointer: Rule = {
  pattern: /^math between (\S+) pointer and/,
  say: ({ match, here }) =>
    `${here} computes with ${plainType(match[1] as string)} what is neither a sum nor a difference`,
};

const MOVED_CONTEXT =
  'Read the member by its name at this place: an unrolled loop or a switch instead of a variable index, ctx->cb[1] instead of a pointer to it. In a tracing program bpf_probe_read_kernel(&value, sizeof(value), &ctx->args[i]) reads it at any index.';

const wrongPointerHelp: Record<string, string> = {
  pkt_end:
    'Access goes from data upward: add the offset to data, and compare the end of the access with data_end. For bytes counted from the end use bpf_skb_load_bytes or bpf_xdp_load_bytes.',
  map_ptr: 'Look an entry up first: bpf_map_lookup_elem(&map, &key), and follow what it returns.',
};

/** What may be done with which kind of value. */
export const pointerEntries: Entry[] = [
  {
    id: 'bpf/null-deref',
    title: 'Pointer that may be NULL',
    wants: 'A pointer that can be NULL must be compared with NULL on the path before it is used.',
    help: 'Compare it with NULL before it is used, and leave the program when it is NULL.',
    related: ['origin'],
    rules: [
      {
        pattern: /^R(\d+) invalid mem access '(\w*_or_null\w*)'/,
        say: ({ match, source, register, here, way }) =>
          `${source(match[1]) ?? memberBefore(here) ?? register(match[1])} may be NULL here, and ${here} uses it without a check${way}`,
        help: (facts) => nullCheck(facts),
      },
      {
        pattern: /^R(\d+) pointer arithmetic on (\S*_or_null\S*) prohibited, null-check it first/,
        say: ({ match, register }) =>
          `${register(match[1])} may be NULL here and is computed with before it is checked`,
        help: (facts) => nullCheck(facts),
      },
      {
        pattern: /^R(\d+) invalid mem access '(?:rcu_|trusted_|untrusted_)?ptr_\w*or_null/,
        say: ({ match, register }) => `${register(match[1])} may be NULL here`,
        help: (facts) => nullCheck(facts),
      },
      { pattern: /^R\d+ is (?:rcu_|trusted_|untrusted_)?ptr_or_null/ },
    ],
  },
  {
    id: 'bpf/null-argument',
    title: 'Argument that may be NULL',
    wants: 'This argument must not be NULL, so it has to be compared with NULL on the path before the call.',
    help: 'Compare it with NULL before the call, and leave the program when it is NULL.',
    related: ['origin'],
    rules: [
      {
        pattern: /^R(\d+) type=\S*_or_null\S* expected=/,
        say: ({ match, register, here }) =>
          `${register(match[1])} may be NULL, and ${here} does not accept NULL`,
        help: (facts) => nullCheck(facts),
      },
      {
        pattern: /^Possibly NULL pointer passed to (trusted arg|arg#|helper arg)(\d)/,
        say: ({ match: [, kind, number], register, here }) =>
          `${register(argumentRegister(kind, number))} may be NULL, and ${here} does not accept NULL`,
        help: (facts) => nullCheck(facts, argumentRegister(facts.match[1], facts.match[2])),
      },
      { pattern: /^Possibly NULL pointer passed to/ },
      { pattern: /is expected to be non-NULL/ },
    ],
  },
  {
    id: 'bpf/uninitialised',
    title: 'Value used before it was set',
    wants: 'A variable must have a value on every path that leads to its use.',
    help: 'Initialise it where it is declared, or return a value on every path.',
    related: ['origin', 'decision'],
    rules: [
      {
        pattern: /^R(\d+) !read_ok/,
        say: ({ match, here, assembly }) =>
          assembly === 'exit'
            ? 'This path ends without a return value'
            : `${here} uses a value that was never set on this path (register R${match[1]})`,
      },
      {
        pattern: /^unexpected __bpf_trap\(\) due to uninitialized variable/,
        say: () =>
          'The compiler found that this path uses a variable without a value and ended the program here',
      },
    ],
  },
  {
    id: 'bpf/scalar-pointer',
    title: 'Number used as a pointer',
    wants:
      'Only values that the verifier knows to be pointers may be dereferenced. A number that happens to be an address, also one read from kernel or user memory, is not.',
    help: 'Read what it points to with bpf_probe_read_kernel or BPF_CORE_READ, or with bpf_probe_read_user when it is an address of user space.',
    related: ['invalidation', 'origin'],
    rules: [
      {
        pattern: /^R(\d+) invalid mem access '(?:scalar|inv)'/,
        say: ({ match: [, number], register, here, invalidation }) => {
          const call = invalidation(number);
          return call
            ? `${here} follows ${register(number)}, but ${call} may have changed the packet, which ends all pointers read before`
            : `${here} follows ${register(number)}, which is a plain number to the verifier, not a pointer`;
        },
        help: ({ match: [, number], invalidation }) =>
          invalidation(number)
            ? 'Read data and data_end from the context again after that call, and compare them again before the access.'
            : undefined,
      },
    ],
  },
  {
    id: 'bpf/use-after-release',
    title: 'Pointer used after its object was released',
    wants:
      'Once an object is released, submitted, discarded or unlocked, no pointer to it or into it may be used.',
    help: 'Copy what is still needed into a local variable before the release.',
    related: ['release', 'origin'],
    // Only the path tells it apart from bpf/scalar-pointer, see refine.ts.
    rules: [],
  },
  {
    id: 'bpf/user-pointer',
    title: 'User memory followed directly',
    wants: 'Memory of user space may only be read through a helper, since it may be absent.',
    help: 'Use bpf_probe_read_user or bpf_copy_from_user.',
    related: ['origin'],
    rules: [{ pattern: /is ptr_\S+ access (user|percpu) memory/ }],
  },
  {
    id: 'bpf/struct-access',
    title: 'Access that does not fit the kernel type',
    wants:
      'An access through a typed kernel pointer must hit a member of that type, at the offset and size it has.',
    help: 'Check the type the pointer is declared with and the member you access; the kernel may not have that member.',
    related: ['origin'],
    rules: [
      {
        pattern: /^access beyond struct (\S+) at off (\d+) size (\d+)/,
        say: ({ match: [, name, off, size], here }) =>
          `${here} touches ${size} bytes at offset ${off}, beyond the end of struct ${name}`,
      },
      { pattern: /^access beyond the end of member/ },
      { pattern: /^cannot access ptr member/ },
      { pattern: /^struct \S+ doesn't have field at offset/ },
      { pattern: /^R\d+ is ptr_\S+ invalid (negative access|variable offset)/ },
      { pattern: /^direct access to \S+ is disallowed/ },
      {
        pattern: /^Type '.*' is not a struct|^write access at off \d+ with size|^field \S+ doesn't have size/,
      },
    ],
  },
  {
    id: 'bpf/wrong-pointer',
    title: 'Pointer that cannot be followed',
    wants: 'This kind of pointer may be passed on or compared, but not read or written through.',
    help: 'Use the helper that is meant for this kind of pointer.',
    related: ['invalidation', 'origin'],
    rules: [
      {
        pattern: /^R(\d+) invalid mem access '(\w+)'/,
        say: ({ match, register, here }) =>
          `${here} follows ${register(match[1])}, which is ${plainType(match[2] as string)} and cannot be read or written through`,
        help: ({ match }) => wrongPointerHelp[match[2] as string],
      },
      { pattern: /cannot be accessed directly by load\/store/ },
      { pattern: /^'struct \S+' access is allowed only to CAP_PERFMON/ },
      { pattern: /has non-overwritten BPF_PTR_POISON/ },
    ],
  },
  {
    id: 'bpf/read-only',
    title: 'Write to read-only memory',
    wants: 'This memory may be read but not written by the program.',
    help: 'Copy what you need into a local variable or a map; .rodata and maps with BPF_F_RDONLY_PROG are read-only.',
    related: ['origin'],
    rules: [
      {
        pattern: /^write into map forbidden/,
        say: ({ here }) => `${here} writes to a map that programs may only read`,
      },
      { pattern: /^read from map forbidden/ },
      {
        pattern: /^cannot write into packet|^the prog does not allow writes to packet data/,
        say: ({ programType, here }) =>
          `${here} writes to the packet, which a program of type ${programType} may only read`,
        help: () =>
          'Change packets in XDP and tc programs, or in those of types sk_skb, sk_msg and lwt_xmit.',
      },
      { pattern: /cannot write into/ },
      { pattern: /^write to change key/ },
      {
        pattern: /^only read (from \S+ )?is supported|^no write support to |^Writes through BTF pointers/,
        say: ({ here }) => `${here} writes to an object of the kernel, which may only be read`,
        help: () => 'Only helpers and kernel functions change the kernel’s objects.',
      },
      { pattern: /^frame pointer is read only/ },
      { pattern: /(is not modifiable|may write into memory pointed by)/ },
      { pattern: /doesn't point to a const string|does not point to a readonly map/ },
    ],
  },
  {
    id: 'bpf/context-access',
    title: 'Invalid access to the context',
    wants:
      'Fields of the context may be accessed only directly through the context pointer, at the offset and size that the program type allows.',
    help: 'Access the field by its name through the original context pointer; check that this program type offers the field and allows writing it.',
    related: ['origin'],
    rules: [
      {
        pattern: /^invalid bpf_context access off=(\d+) size=(\d+)/,
        say: ({ match: [, off, size], programType, here, assembly }) =>
          `A program of type ${programType} may not ${assembly.startsWith('*') ? 'write' : 'read'} ${here} (${size} bytes at offset ${off} of its context)`,
        help: ({ programType }) =>
          programType === 'socket_filter'
            ? 'A socket filter reads the packet with bpf_skb_load_bytes(skb, offset, &buffer, size), and other members of the context by their names.'
            : undefined,
      },
      { pattern: /^invalid access to context/ },
      {
        pattern: /^dereference of modified ctx ptr R\d+ off=(-?\d+)/,
        say: ({ match, here }) =>
          `${here} goes through a copy of the context pointer that was moved by ${match[1]} bytes; only the pointer itself may be used, with a constant offset`,
        help: () => MOVED_CONTEXT,
      },
      {
        pattern: /^variable ctx access var_off=/,
        say: ({ here }) => `${here} reaches the context at an offset that is not constant`,
        help: () => MOVED_CONTEXT,
      },
      { pattern: /^(dereference of modified|negative offset|variable) ctx / },
      { pattern: /^invalid bpf_context access/ },
      { pattern: /^func '\S*' (arg\d+|doesn't have \d+-th argument|offset|size)/ },
    ],
  },
  {
    id: 'bpf/pointer-arithmetic',
    title: 'Arithmetic that pointers do not allow',
    wants:
      'Only adding and subtracting bounded numbers in 64 bits is allowed on pointers, and only on some kinds of them.',
    help: 'Compute the offset as a number first, and add it to the pointer last.',
    related: ['origin'],
    rules: [
      {
        pattern: /^R(\d+) pointer arithmetic on (\S+) prohibited/,
        say: ({ match, register }) =>
          `${register(match[1])} is ${plainType(match[2] as string)}, with which no arithmetic is allowed`,
      },
      {
        pattern: /^R(\d+) bitwise operator (\S+) on pointer prohibited/,
        say: ({ match, here }) => `${here} applies ${match[2]} to a pointer`,
      },
      {
        pattern: /^R(\d+) 32-bit pointer arithmetic prohibited/,
        say: ({ here, register, match }) =>
          `${here} computes in 32 bits with ${register(match[1])}, which is a pointer`,
        help: () => 'Make it a pointer of 64 bits first: (void *)(long)ctx->data.',
      },
      {
        pattern: /^R(\d+) subtraction from stack pointer prohibited/,
        say: ({ here, register, match }) =>
          `A number that is not constant is subtracted in ${here} from ${register(match[1])}, a pointer to the stack`,
        help: () => 'Compute the index as a number, bound it in both directions, and add it to the array.',
      },
      { pattern: /^R\d+ pointer arithmetic with (\S+) operator prohibited/ },
      {
        pattern: /^(dereference of modified|negative offset) (\S+) ptr/,
        say: ({ match, here }) =>
          `${here} wants ${plainType(match[2] as string)} as it was given to the program, not moved`,
      },
      { pattern: /^variable \S+ access var_off/ },
      { pattern: /^R\d+ (32-bit pointer arithmetic|pointer arithmetic|pointer comparison) prohibited/ },
      {
        pattern: /^R\d+ pointer \|= pointer prohibited/,
        say: () =>
          'clang made one check of two NULL checks here: it joins the pointers with |, which is no operation of pointers',
        help: ({ programType }) =>
          `Check each pointer in an if of its own: if (!a) return ${neutralReturn(programType)}; if (!b) return ${neutralReturn(programType)}; where both may be missing, go on with one after the other.`,
      },
      { pattern: /^R\d+ pointer \S+ pointer prohibited/ },
      { pattern: /^R\d+ (subtraction from stack pointer prohibited|tried to subtract pointer from scalar)/ },
      { pattern: /^R\d+ (partial copy|sign-extension part) of pointer/ },
      {
        pattern: /^invalid size of register (fill|spill)/,
        say: ({ here }) => `Of ${here}, a pointer, the compiler keeps only a part on the stack`,
        help: () =>
          'Compute with it in 64 bits: __u64 length = data_end - data; where only 32 bits of a difference are used, clang drops the rest of both pointers.',
      },
      { pattern: /pointer arithmetic .*(goes out of range|prohibited for !root)/ },
      {
        pattern:
          /^R\d+ (has pointer with unsupported alu operation|tried to \S+ (beyond pointer bounds|from different))/,
      },
    ],
  },
  {
    id: 'bpf/pointer-leak',
    title: 'Kernel address would become visible',
    wants:
      'Without CAP_PERFMON a program must not store or return kernel addresses where user space can read them.',
    help: 'Store a number instead of the pointer, or load the program with CAP_PERFMON.',
    related: ['origin'],
    rules: [{ pattern: /leaks addr (as|into)/ }, { pattern: /^leaking pointer from stack/ }],
  },
  {
    id: 'bpf/untrusted-pointer',
    title: 'Pointer that is not trusted here',
    wants:
      'This call takes only pointers the verifier knows to be valid now: arguments of the program, or objects whose reference the program holds or that RCU protects.',
    help: 'Pass an argument of the program or what an acquiring call returned; what is read through several pointers, or cast, is not trusted. Read it one member at a time inside bpf_rcu_read_lock(), and check each for NULL.',
    related: ['origin'],
    rules: [
      {
        pattern: /^R(\d+) must be (referenced or trusted|a rcu pointer)/,
        say: ({ match, register, here }) =>
          `${here} takes only a pointer that is valid for certain, and ${register(match[1])} is not: what it points to may be gone`,
      },
      { pattern: /must be referenced or trusted/ },
      { pattern: /must be a rcu pointer/ },
      { pattern: /^R\d+ is not (trusted|a trusted)/ },
    ],
  },
];
