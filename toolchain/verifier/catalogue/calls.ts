import type { Entry, Facts, Rule } from './kinds';
import { mapAdvice, mapOfType } from './map-functions';
import { plainExpectation, plainType } from './words';

/** `0xbad2310`, which libbpf puts in place of an instruction whose CO-RE relocation failed (libbpf/relo_core.c). */
const POISONED_CALL = '195896080';

/** Calls of helpers, kernel functions and the program's own functions. */
export const callEntries: Entry[] = [
  {
    id: 'bpf/core-relocation',
    title: 'Field or type that this kernel does not have',
    wants:
      'A CO-RE access to something the kernel lacks may stand in the program only where it is never reached on that kernel.',
    help: 'Guard the access with bpf_core_field_exists() or bpf_core_type_exists(), or provide the variant this kernel has.',
    rules: [
      {
        pattern: new RegExp(`^invalid func unknown#${POISONED_CALL}`),
        say: ({ here }) =>
          `${here} needs a field, type or enum value that this kernel does not have: libbpf could not resolve the CO-RE relocation`,
      },
      {
        pattern: /^failed to resolve CO-RE relocation <\w+> \[\d+\] (.*?) \(/,
        say: ({ match, here }) => `${here} needs \`${match[1]}\`, which this kernel does not have`,
      },
      { pattern: /^failed to resolve CO-RE relocation/ },
    ],
  },
  {
    id: 'bpf/helper-not-allowed',
    title: 'Helper that this program type may not call',
    wants:
      'Each program type has its own set of helpers; some need a program that is sleepable or has a certain attach type.',
    help: 'Use a helper that this program type has, or another program type; bpf-helpers(7) lists which goes with which.',
    rules: [
      {
        pattern: /^(?:program of this type cannot use helper|unknown func) (\w+)#(\d+)/,
        say: ({ match: [, name, number], programType }) =>
          name === 'unknown'
            ? `This kernel has no helper number ${number}`
            : `A program of type ${programType} may not call \`${name}\``,
      },
      {
        pattern: /^func (\w+)#\d+ (not supported for program type|supported only for)/,
        say: ({ match, programType }) => `A program of type ${programType} may not call \`${match[1]}\``,
      },
      { pattern: /^helper call is not allowed in probe/ },
      { pattern: /^BPF_LD_\[ABS\|IND\] instructions not allowed for this program type/ },
      { pattern: /^cannot update sockmap in this context/ },
    ],
  },
  {
    id: 'bpf/unknown-helper',
    title: 'Helper that this kernel does not have',
    wants: 'A helper must exist in the kernel that loads the program.',
    help: 'Use a newer kernel, or guard the call with bpf_core_enum_value_exists(enum bpf_func_id, …).',
    rules: [
      {
        pattern: /^invalid func (\S+)#(\d+)/,
        say: ({ match: [, name, number] }) =>
          name === 'unknown'
            ? `This kernel has no helper number ${number}`
            : `\`${name}\` cannot be called in this kernel`,
      },
    ],
  },
  {
    id: 'bpf/license',
    title: 'Helper for GPL-compatible programs only',
    wants:
      'Some helpers and kernel functions may be called only by programs that declare a GPL-compatible license.',
    help: 'Declare one: char LICENSE[] SEC("license") = "GPL"; ("Dual MIT/GPL" and "Dual BSD/GPL" count too).',
    rules: [
      {
        pattern: /^cannot call (GPL-restricted|kernel) function from non-GPL compatible program/,
        say: ({ here }) =>
          `${here} is for GPL-compatible programs only, and this program declares no such license`,
      },
      { pattern: /from non-GPL compatible program/ },
      { pattern: /must have a GPL compatible license/ },
    ],
  },
  {
    id: 'bpf/helper-argument',
    title: 'Argument of the wrong kind',
    wants:
      'A helper takes each argument only as the kind of value it is declared for: a pointer to initialised stack or map memory, a map, the context, a constant.',
    help: 'Compare the call with the helper’s description in bpf-helpers(7).',
    related: ['origin'],
    rules: [
      {
        pattern: /^R(\d+) type=(\S+) expected=(.*)$/,
        say: ({ match: [, number, type, expected], here, source }) =>
          `Argument ${number} of ${here} must be ${plainExpectation(expected as string)}, but ${argument(source(number), plainType(type as string))}`,
        help: argumentHelp,
      },
      { pattern: /^R\d+ is of type \S+ but \S+ is expected/ },
      {
        pattern:
          /^R(\d+) (is not a (const|known constant|constant address)|must be a known constant|unbounded size, use)/,
        say: ({ match, here }) => `Argument ${match[1]} of ${here} must be a constant`,
        help: ({ callee }) =>
          callee === 'bpf_ringbuf_reserve'
            ? 'Reserve a constant size, the largest there is; for a size known at run time only use bpf_ringbuf_reserve_dynptr, or bpf_ringbuf_output of a buffer.'
            : 'Pass a number that is known when the program is compiled.',
      },
      {
        pattern: /^cannot pass map_type (\d+) into func (\w+)#/,
        say: ({ match }) => `\`${match[2]}\` does not take ${mapOfType(match[1])}`,
        help: ({ match }) => mapAdvice(match[2], match[1]),
      },
      { pattern: /doesn't have constant offset/ },
      { pattern: /has incorrect map type|isn't map pointer|has an empty map pointer/ },
      { pattern: /variable offset stack pointer cannot be passed into helper/ },
      { pattern: /^(R\d+|arg#?\d+|\S+) memory, len pair leads to invalid memory access/ },
      { pattern: /^string is not zero-terminated|cannot be used as const string/ },
      {
        pattern:
          /has to be at a constant offset|^Helper has invalid btf|^cannot pass in (?!dynptr)\S+ at an offset/,
      },
      { pattern: /^(expected \S+ or socket|R\d+ must point to kernel BTF|invalid arg_type for sockmap)/ },
      { pattern: /is a pointer to in-kernel struct with non-zero offset/ },
      { pattern: /^Invalid format string/ },
      {
        pattern: /^helper access to the packet is not allowed/,
        say: ({ here }) =>
          `${here} takes no pointer into the packet: copy what it needs into a local variable`,
      },
      { pattern: /doesn't point to a map value|expected pointer to func/ },
      { pattern: /^get_local_storage\(\) doesn't support non-zero flags/ },
      { pattern: /^expected prog array map for tail call|^tail_call abusing map_ptr/ },
      { pattern: /^unknown func \S+.*R1 != ctx|: r1 != ctx$/ },
      { pattern: /^Caller passes invalid args into func#/ },
    ],
  },
  {
    id: 'bpf/kfunc-not-allowed',
    title: 'Kernel function that this program may not call',
    wants: 'A kernel function is open only to the program types it was registered for.',
    help: 'Use a program type the kernel function is registered for, or a helper instead.',
    rules: [
      {
        pattern: /^calling kernel function (\S+) is not allowed/,
        say: ({ match, programType }) =>
          `A program of type ${programType} may not call the kernel function \`${match[1]}\``,
      },
      { pattern: /^calling kernel functions? (is|are) not (supported|allowed)/ },
      { pattern: /^(destructive kfunc calls|program must be sleepable to call sleepable kfunc)/ },
      { pattern: /^kernel function \S+ is sleepable but the program is not/ },
      { pattern: /cannot be used in tracing programs on types with NMI unsafe fields/ },
      {
        pattern:
          /^(invalid kernel function call not eliminated|negative offset disallowed for kernel module)/,
      },
      { pattern: /^metadata kfuncs can't be offloaded/ },
      { pattern: /^JIT (does not support|is required for) calling (kernel function|kfunc)/ },
      { pattern: /^(invalid )?kernel (function )?btf_id \d+/ },
      {
        pattern:
          /^(fd_idx|fd_array|kfunc offset|invalid module BTF|too many different|address of kernel func)/,
      },
      { pattern: /^(cannot find function \S+ in BTF|failed to find BTF for kernel function)/ },
      {
        pattern:
          /^(cannot find address for kernel function|(BTF fd for )?kfunc .*module BTF|metadata kfuncs require)/,
      },
    ],
  },
  {
    id: 'bpf/subprogram',
    title: 'Function that cannot be verified as it is declared',
    wants:
      'A global function is verified on its own, for any arguments of the declared types; it must take scalars, the context, or pointers to sized types, and return a number.',
    help: 'Make the function static, or change its parameters to what a global function may take.',
    rules: [
      { pattern: /^Global function \S+\(\) (doesn't return scalar|return value not|with)/ },
      { pattern: /^Arg#\d+ type \S+ in \S+\(\) is not supported yet/ },
      { pattern: /^(Function \S+ has|Invalid BTF of func|Global functions need valid BTF)/ },
      {
        pattern: /^global function calls are not allowed with/,
      },
      { pattern: /^callee expects \d+ args/ },
      { pattern: /^(missing btf func_info|func_info BTF section|number of funcs in func_info)/ },
      { pattern: /^unreliable BTF for function/ },
      { pattern: /is a packet pointer, but func#\d+ may change packet data/ },
      {
        pattern:
          /in func[ _]info(?! section| BTF)|^(invalid func info rec|nonzero insn_off \d+ for the first func)/,
      },
      {
        pattern:
          /^(BTF of func(#|_id )\d+ doesn't point|Invalid type of function|same or smaller insn offset)/,
      },
      {
        pattern:
          /^(kernel supports at most \d+ parameters|global function \S+ has \d+ >|func#\d+ writes \d+ stack arg)/,
      },
      { pattern: /^R\d+ is not a pointer$/ },
      {
        pattern:
          /^arg#\d+ (reference type|type tag|arena cannot|untrusted cannot|has (unsupported set|invalid comb|pointer tag))/,
      },
      { pattern: /^arg#\d+ has type .*, but only struct or primitive types/ },
    ],
  },
  {
    id: 'bpf/kfunc-argument',
    title: 'Argument that the kernel function does not take',
    wants: 'Arguments of a kernel function must have exactly the types its BTF declares.',
    help: 'Compare the call with the function’s declaration in vmlinux.h.',
    related: ['origin'],
    rules: [
      { pattern: /^kernel function \S+ args?#\d+ (expected pointer|pointer type)/ },
      { pattern: /^kernel function \S+ (returns|unhandled)/ },
      { pattern: /^\S+ is \S+ expected (STRUCT|UNION) / },
      {
        pattern:
          /^arg#\d+ (pointer type|expected pointer|expects pointer|doesn't point|is (neither|of type)|is \S+ expected)/,
      },
      { pattern: /^arg#\d+ (type|struct|has|should|must|untrusted|arena)/ },
      { pattern: /^Unrecognized \S+ type/ },
      {
        pattern:
          /(pointer type \S+ \S+ must point to|expect(ed|s) pointer to ctx|expected for bpf_(percpu_)?obj_drop)/,
      },
      {
        pattern: /^kernel function \S+ \S+ expected pointer to|reference type\('.*size cannot be determined/,
      },
      { pattern: /^R\d+ (is not a scalar|must be a known constant)/ },
      {
        pattern:
          /^(bpf_obj_new|bpf_percpu_obj_new|local type ID argument|kfunc bpf_rdonly_cast|Unknown type ID)/,
      },
      { pattern: /^\S+ (allocation size exceeds|memory size \d+ is too large)/ },
      { pattern: /prog->aux cannot be a stack argument|^reg type unsupported for arg#/ },
      { pattern: /^(acquire kernel function does not return|kfunc \S+ has inconsistent)/ },
    ],
  },
  {
    id: 'bpf/extension-program',
    title: 'Replacement that does not match the function it replaces',
    wants:
      'A freplace program takes the place of one global function of a loaded program and must have its exact signature, BTF and abilities.',
    help: 'Give the replacement the parameters and return type of the function, and replace only global functions of programs with BTF.',
    rules: [
      { pattern: /^(Return type \S+ of \S+\(\) doesn't match|arg\d+ in \S+\(\) (is|has) )/ },
      { pattern: /^arg\d+ \S+\(struct \S+ \*\) doesn't match/ },
      { pattern: /^\S+\(\) (is not a global function|has \d+ args while)/ },
      { pattern: /^(Extension program|Program extension requires BTF|freplace programs)/ },
      { pattern: /^Cannot (replace|extend|recursively attach)/ },
    ],
  },
  {
    id: 'bpf/recursion',
    title: 'Functions that call each other too deeply',
    wants: 'Calls must form no cycle and be at most eight deep.',
    help: 'Replace recursion by a loop, or inline functions with __always_inline.',
    rules: [
      {
        pattern: /^the call stack of (\d+) frames is too deep/,
        say: ({ match }) => `Calls are ${match[1]} deep here; the limit is 8`,
      },
      { pattern: /^recursive call from/ },
      { pattern: /^too many subprograms/ },
    ],
  },
  {
    id: 'bpf/tail-call',
    title: 'Tail call that is not allowed here',
    wants:
      'A tail call does not return, so it may not skip the release of references or locks, nor leave a function that must return a value.',
    help: 'Release what is held before the tail call, and make it from the program itself.',
    rules: [
      { pattern: /^tail_calls? (is|are) (not|only) allowed/ },
      { pattern: /^cannot tail call within/ },
      { pattern: /^mixing of tail_calls and bpf-to-bpf calls/ },
      { pattern: /^program with __ref argument cannot tail call/ },
    ],
  },
];

/** Linux 7.3 says of an argument that leads into the context what it says of a load through a moved context pointer. */
export const partOfContext: Rule = {
  pattern: /^dereference of modified ctx ptr R(\d+) off=/,
  say: ({ match: [, number], here }) =>
    `Argument ${number} of ${here} must be a pointer to memory, but it leads into the context, whose members are not where the program sees them`,
  help: () => 'Copy the member to a local variable, and pass the address of that: __u32 key = ctx->…;',
};

function argument(source: string | undefined, type: string): string {
  return source && source !== type ? `${source} is ${type}` : `it is ${type}`;
}

/** Helpers that take a string from read-only memory (ARG_PTR_TO_CONST_STR). */
const TAKES_CONSTANT_STRING = /^bpf_(strncmp|snprintf|seq_printf|trace_vprintk)$/;

function argumentHelp({ match: [, , type, expected], callee, variable, match }: Facts): string | undefined {
  const wanted = plainExpectation(expected as string);
  if (expected === 'map_value' && TAKES_CONSTANT_STRING.test(callee ?? '')) {
    return 'The string must be in read-only memory: declare it as static const char name[] = "…"; outside the function.';
  }
  if (expected === 'ctx')
    return 'Pass the context as the program was given it, through every function in between.';
  if (expected === 'map_ptr' || expected === 'const_map_ptr') return 'Pass the address of a map: &map.';
  if (wanted.startsWith('a pointer to memory') && type === 'ctx') {
    return 'Copy the member of the context into a local variable, and pass the address of that.';
  }
  if (wanted.startsWith('a pointer to memory') && /^(scalar|inv)/.test(type as string)) {
    const name = variable(match[1]);
    return `Pass an address${name ? `: &${name}` : ', e.g. of a local variable that holds the value: &key'}.`;
  }
  return undefined;
}
