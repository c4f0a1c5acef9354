import type { Entry } from './kinds';

/** What fails before the verifier looks at an instruction, mostly in libbpf's words. */
export const loadingEntries: Entry[] = [
  {
    id: 'bpf/permission',
    title: 'Not permitted to load programs',
    wants:
      'Loading needs CAP_BPF, and CAP_PERFMON or CAP_NET_ADMIN for most program types; the kernel may also forbid some types altogether.',
    help: 'Choose a kernel where you have the right (command "BPF: Select Kernel", the vm target needs none), or run with sudo.',
    scope: 'program',
    rules: [
      { pattern: /(allowed|required) (only )?(for|to) CAP_|capabilit(y|ies)|CAP_(BPF|PERFMON|SYS_ADMIN)/ },
      { pattern: /Operation not permitted|\bEPERM\b|-1\b.*permitted/ },
    ],
  },
  {
    id: 'bpf/section',
    title: 'Section name that says no program type',
    wants: 'The name in SEC() tells libbpf which type of program this is.',
    help: 'Use a section name that libbpf knows, such as SEC("xdp"), SEC("tc"), SEC("kprobe/FUNCTION"), SEC("tracepoint/CATEGORY/NAME").',
    scope: 'program',
    rules: [
      {
        pattern: /missing BPF prog type, check ELF section name '([^']*)'/,
        say: ({ match }) => `SEC("${match[1]}") names no program type that libbpf knows`,
      },
      { pattern: /(invalid|failed to guess|unrecognized ELF) (ELF )?section/ },
      { pattern: /failed to (guess|determine) program type/ },
    ],
  },
  {
    id: 'bpf/attach-target',
    title: 'Attach target that this kernel does not have',
    wants:
      'Programs attached through BTF (fentry, fexit, tp_btf, LSM, struct_ops …) name a function or type that must be in the kernel’s BTF.',
    help: 'Check the name against this kernel: functions may be inlined, renamed or absent; "BPF: Attach Program" offers those it has.',
    scope: 'program',
    rules: [
      {
        pattern: /failed to find (kernel )?BTF type ID of '?([^' :]+)'?/,
        say: ({ match }) => `This kernel's BTF has no ${match[2]} to attach to`,
      },
      { pattern: /(attach_btf_id \d+|Tracing programs must provide btf_id|Subprog \S+ doesn't exist)/ },
      {
        pattern:
          /^(Attaching|Attach to function|FENTRY\/FEXIT program|Only (FENTRY|fentry)|Cannot (replace|extend|recursively|nest)|Can attach to only JITed|Tracing program can only)/,
      },
      { pattern: /^(Extension program|freplace programs)/ },
      { pattern: /(\S+\(\) is not modifiable|can't modify return codes|not allowed for fmod_ret)/ },
      {
        pattern:
          /^The function \S+ (has \d+ arguments|has malformed|return type|with variable args|arg\d+ type)/,
      },
      { pattern: /(struct_ops|attach to (invalid|unsupported) member|The address of function)/ },
      { pattern: /not in the list of tracepoints|no such tracepoint|failed to find .*in (vmlinux|kernel)/ },
      { pattern: /^(Return type|arg\d+ (in )?\S+\().*(match|while)/ },
    ],
  },
  {
    id: 'bpf/attach-type',
    title: 'Attach type that this kernel does not have',
    wants: 'A section names a program type and how it is attached; both must be known to the kernel.',
    help: 'Choose a newer kernel with "BPF: Select Kernel", or a section that this one has.',
    scope: 'program',
    rules: [],
  },
  {
    id: 'bpf/attach-point',
    title: 'Attach point that this kernel does not have',
    wants:
      'kprobes and tracepoints are looked up when they are attached, so the verdict on the program says nothing of them.',
    help: 'Check the name against this kernel: "BPF: Attach Program" offers those it has.',
    scope: 'program',
    rules: [],
  },
  {
    id: 'bpf/map-definition',
    title: 'Map definition that libbpf cannot read',
    wants: 'A map is a struct of __uint, __type and __array members, with BTF, in SEC(".maps").',
    help: 'Define it as struct { __uint(type, …); __uint(max_entries, …); __type(key, …); __type(value, …); } NAME SEC(".maps");',
    scope: 'program',
    rules: [
      { pattern: /legacy map definitions/ },
      { pattern: /map '[^']+': (unsupported|unexpected|invalid|should|can't|conflicting|unknown field)/ },
      { pattern: /map '[^']+': map type isn't specified|can't determine (key|value) size/ },
    ],
  },
  {
    id: 'bpf/map-memory',
    title: 'Map that is larger than the kernel allows',
    wants: 'Keys, values and maps have limits of size, and the memory for all entries must be there.',
    help: 'Make max_entries, the key or the value smaller.',
    scope: 'program',
    rules: [
      {
        pattern: /map '([^']+)': failed to create: -(E2BIG|ENOMEM)/,
        say: ({ match }) => `The kernel has no room for the map ${match[1]} (${match[2]})`,
      },
    ],
  },
  {
    id: 'bpf/map-type',
    title: 'Type of map that this kernel does not have',
    wants: 'The kernel must be new enough for the type of map, and built with it.',
    help: 'Use another type of map, or choose a kernel that has it with "BPF: Select Kernel".',
    scope: 'program',
    rules: [],
  },
  {
    id: 'bpf/map-create',
    title: 'Map that could not be created',
    wants:
      'Type, sizes, number of entries and flags of a map must fit together, and the kernel must know the type.',
    help: 'Compare the definition with the description of the map type; ring buffers want a power of two of pages, arrays a 4-byte key.',
    scope: 'program',
    rules: [
      {
        pattern: /map '([^']+)': failed to create: -?(.*)$/,
        say: ({ match }) => `The kernel refused to create the map ${match[1]} (${match[2]})`,
      },
      {
        pattern: /(?:Error in bpf_(?:object__)?create_map\w*|failed to create map)[^'(]*[('](\w+)/,
        say: ({ match }) => `The kernel refused to create the map ${match[1]}`,
      },
      { pattern: /map '[^']+': failed/ },
      { pattern: /^(map|inner map) .*(misconfigured|not supported)|bpf_struct_ops map cannot be used/ },
    ],
  },
  {
    id: 'bpf/map-use',
    title: 'Map that this program may not use',
    wants: 'Some program types may use only certain kinds of maps.',
    help: 'Use a map type that goes with this program type, preallocated where the kernel wants it.',
    rules: [
      { pattern: /(preallocated hash map|run-time allocated hash maps)/ },
      {
        pattern:
          /^(map_ptr access not supported|invalid map_ptr|no direct value access|direct value (access|offset)|fd -?\d+ is not pointing)/,
      },
      {
        pattern:
          /^(only one cgroup storage|offload device mismatch|Sleepable programs can only use|The total number of (maps|btfs))/,
      },
      {
        pattern: /^(map '[^']+' (has to have BTF|is not a struct type|doesn't have|has (no|more|repeating)))/,
      },
      { pattern: /^tracing progs cannot use/ },
    ],
  },
  {
    id: 'bpf/btf',
    title: 'BTF that is missing or was refused',
    wants: 'The object must carry BTF that this kernel can read, and CO-RE needs the kernel’s own BTF.',
    help: 'Compile with -g; a kernel without /sys/kernel/btf/vmlinux was built without CONFIG_DEBUG_INFO_BTF: choose another with "BPF: Select Kernel".',
    scope: 'program',
    rules: [
      { pattern: /BTF is mandatory/ },
      { pattern: /[Ee]rror loading \.?BTF/ },
      { pattern: /failed to find valid kernel BTF|kernel is missing BTF|in-kernel BTF is malformed/ },
      { pattern: /(ELF|BTF) section .*(corrupted|missing)|failed to (parse|load|init) \.?BTF/ },
      {
        pattern:
          /^(Invalid (line_info|core_relo|insn code at line_info)|missing bpf_line_info|nonzero tailing record)/,
      },
    ],
  },
  {
    id: 'bpf/debug-info',
    title: 'Object without BTF',
    wants: 'Maps, externs and CO-RE relocations are described by BTF, which clang writes with -g.',
    help: 'Compile with -g: clang -O2 -g -target bpf -c FILE.bpf.c -o FILE.o',
    scope: 'program',
    rules: [{ pattern: /BTF is required, but is missing or corrupted/ }],
  },
  {
    id: 'bpf/endianness',
    title: 'Object of the other byte order',
    wants: 'Instructions and constants must have the byte order of the machine they run on.',
    help: 'Compile with -target bpf, which takes the byte order of the machine that compiles.',
    scope: 'program',
    rules: [{ pattern: /non-native endianness|endianness mismatch/ }],
  },
  {
    id: 'bpf/object',
    title: 'Object that libbpf cannot load',
    wants: 'An ELF object compiled for BPF, whose programs are functions that other files can see.',
    help: 'Compile with clang -O2 -g -target bpf -c FILE.bpf.c -o FILE.o, and do not declare programs static.',
    scope: 'program',
    rules: [
      { pattern: /program '.*' is static and not supported/ },
      { pattern: /compiled for ELF machine|is not an ELF file|libbpf cannot read the object: elf: / },
    ],
  },
  {
    id: 'bpf/cpu-version',
    title: 'Instruction that this kernel does not know',
    wants:
      'The BPF instruction set grew: v3 with Linux 5.1, atomics with 5.12, v4 with 6.6; clang’s -mcpu chooses.',
    help: 'Compile with -mcpu=v3.',
    rules: [],
  },
  {
    id: 'bpf/indirect-call',
    title: 'Call through a pointer',
    wants: 'Calls must name their function, so that the verifier can follow them.',
    help: 'Call the function by its name, choose with if or switch, or use a tail call.',
    rules: [],
  },
  {
    id: 'bpf/builtin-call',
    title: 'Call of a library function that BPF does not have',
    wants: 'There is no C library: what clang cannot write as instructions it would have to call.',
    help: 'Use constant sizes of up to 1,024 bytes for memset and memcpy, 64-bit arithmetic, and -fno-stack-protector.',
    rules: [],
  },
  {
    id: 'bpf/function-signature',
    title: 'Function with arguments or a result that BPF cannot pass',
    wants: 'A BPF function has up to 5 arguments in registers and one result of up to 8 bytes.',
    help: 'Pass the address of a struct, or make the function static __always_inline.',
    rules: [],
  },
  {
    id: 'bpf/signed-division',
    title: 'Signed division',
    wants: 'Before version 4 the instruction set has only unsigned division.',
    help: 'Divide unsigned values, or compile with -mcpu=v4 for Linux 6.6 and later.',
    rules: [],
  },
  {
    id: 'bpf/floating-point',
    title: 'Floating point',
    wants: 'BPF has integers only.',
    help: 'Calculate with integers: multiply before dividing.',
    rules: [],
  },
  {
    id: 'bpf/unsupported-code',
    title: 'C that LLVM has no BPF instructions for',
    wants: 'Vectors, alloca, va_arg and 128-bit values have no instructions in BPF.',
    help: 'Write it with integers of up to 64 bits and arrays of constant size.',
    rules: [],
  },
  {
    id: 'bpf/extern',
    title: 'Kernel symbol or setting that does not exist',
    wants:
      'Externs name kernel functions, variables or configuration options, which must exist unless they are __weak.',
    help: 'Declare it __weak and test it before use, or choose a kernel that has it.',
    scope: 'program',
    rules: [
      {
        pattern:
          /extern \(?(?:func ksym|var ksym|strong|weak)?\)? ?'([^']+)'.*(not found|not resolved|incompatible|no matching)/,
        say: ({ match }) => `This kernel has no ${match[1]}`,
      },
      {
        pattern: /failed to find BTF for extern '([^']+)'/,
        say: ({ match }) => `${match[1]} is declared but defined nowhere in this program`,
      },
      {
        pattern: /^ldimm64 failed to find the address for kernel symbol '([^']+)'/,
        say: ({ match }) => `The symbol table of this kernel does not list ${match[1]}, which its BTF has`,
        help: () =>
          'Variables of the kernel are listed in /proc/kallsyms when it was built with CONFIG_KALLSYMS_ALL: choose such a kernel with "BPF: Select Kernel".',
      },
      { pattern: /(failed to load Kconfig|extern .*(not found|resolved|kcfg))/ },
      { pattern: /^<invalid kfunc call>|kfunc '(\S+)' is referenced but wasn't resolved/ },
    ],
  },
  {
    id: 'bpf/memlock',
    title: 'Locked-memory limit reached',
    wants: 'Kernels before 5.11 count BPF maps and programs against RLIMIT_MEMLOCK.',
    help: 'Raise the limit: ulimit -l unlimited.',
    scope: 'program',
    rules: [{ pattern: /ulimit -l|RLIMIT_MEMLOCK|permission error while running as root/ }],
  },
  {
    id: 'bpf/lockdown',
    title: 'Helper that a locked-down kernel refuses',
    wants:
      'A kernel that is locked down lets nobody read its memory (confidentiality) or change that of programs (integrity), BPF programs included.',
    help: 'Use a kernel that is not locked down, such as one in a VM ("BPF: Select Kernel"), or arguments that BTF types.',
    rules: [],
  },
  {
    id: 'bpf/program-size',
    title: 'Program with more instructions than the kernel takes',
    wants: 'A program has at most 1,000,000 instructions, and 4,096 when somebody without CAP_BPF loads it.',
    help: 'Unroll and inline less, or split the program with tail calls.',
    scope: 'program',
    rules: [],
  },
  {
    id: 'bpf/kernel-fault',
    title: 'The kernel itself faulted',
    wants: 'A kernel answers every program with a verdict. This one ended the thread that had asked it.',
    help: 'Read `sudo dmesg`, restart the machine before you trust its kernel again, and verify on a newer kernel, or on one in a VM ("BPF: Select Kernel", --target vm).',
    scope: 'program',
    rules: [
      {
        pattern: /^(Linux \S+) gave no answer: during .* it ended the thread that had asked/,
        say: ({ match }) => `${match[1]} faulted in its own code while it loaded this`,
      },
      {
        pattern: /^(Linux \S+) was not asked again: .* it had ended the thread that asked/,
        say: ({ match }) =>
          `${match[1]} faulted in its own code on this before and is not given it again by itself; "BPF: Verify Now" does`,
      },
    ],
  },
  {
    id: 'bpf/program-type',
    title: 'Program type this kernel does not offer',
    wants: 'The kernel must be built with the program type, and for some types with a JIT.',
    help: 'Choose a kernel that has it with "BPF: Select Kernel".',
    scope: 'program',
    rules: [
      {
        pattern: /has no program type (\w+)/,
        say: ({ match }) => `This kernel has no programs of type ${match[1]}`,
      },
      { pattern: /program type .*(not supported|is not supported)|prog type .*unsupported/ },
      {
        pattern:
          /(requires BPF JIT compiler|non-JITed|JIT (doesn't|does not) support|should be JITed|JIT is required)/,
      },
      { pattern: /unknown program type/ },
    ],
  },
  {
    id: 'bpf/kernel-option',
    title: 'Kernel built without an option that this needs',
    wants: 'Some program types and hooks exist only when the kernel was built with their option.',
    help: 'Choose a kernel that was built with it ("BPF: Select Kernel").',
    scope: 'program',
    rules: [],
  },
];
