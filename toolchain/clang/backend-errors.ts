/**
 * What LLVM's BPF backend refuses to generate code for, said for somebody who wrote C: LLVM's words are those of
 * BPFISelLowering.cpp, BPFISelDAGToDAG.cpp and BPFRegisterInfo.cpp, versions 14 to 21.
 */
export interface BackendError {
  /** Id in the catalogue. */
  id: `bpf/${string}`;
  message: string;
  help: string;
}

interface Rule {
  pattern: RegExp;
  explain(match: RegExpExecArray): BackendError;
}

const memoryFunctions = /^mem(set|cpy|move|cmp)$/;
/** Names of the run-time library for floating point: `__muldf3`, `__floatunsidf`, `__fixdfdi`. */
const floatingPoint =
  /^__(add|sub|mul|div|neg|ext|trunc|float|fix|cmp|[lg][te]|eq|ne|unord|pow)\w*[sdxth]f\w*$/;

const rules: Rule[] = [
  {
    pattern: /[Aa] call to built-in function '(\w+)' is not supported/,
    explain: ([, name = '']) => builtinCall(name),
  },
  {
    pattern: /too many arguments|stack arguments are not supported|defined with too many args/,
    explain: () => ({
      id: 'bpf/function-signature',
      message: 'BPF functions take at most 5 arguments, in registers; this one has more',
      help: 'Put arguments into a struct and pass its address, or make the function static __always_inline.',
    }),
  },
  {
    pattern: /variadic functions are not supported|functions with VarArgs/,
    explain: () => ({
      id: 'bpf/function-signature',
      message: 'BPF functions cannot take a variable number of arguments',
      help: 'Use a macro, or a function with a fixed number of arguments; bpf_printk() and BPF_SNPRINTF() are macros.',
    }),
  },
  {
    pattern: /aggregate returns are not supported|only integer returns supported|pass by value not supported/,
    explain: () => ({
      id: 'bpf/function-signature',
      message:
        'BPF functions pass and return single values of up to 8 bytes (16 for arguments), not larger structs',
      help: 'Pass the address of a struct that the function fills in, or make the function static __always_inline.',
    }),
  },
  {
    pattern: /unsupported signed division/,
    explain: () => ({
      id: 'bpf/signed-division',
      message: 'This version of the BPF instruction set has no signed division',
      help: 'Divide unsigned values: make both operands unsigned, after a check that they are not negative. With -mcpu=v4 clang emits signed division, which needs Linux 6.6.',
    }),
  },
  {
    pattern: /BPF stack limit (is|of \d+ bytes is) exceeded/,
    explain: () => ({
      id: 'bpf/stack-size',
      message:
        'The local variables of this function need more than the 512 bytes of stack that a BPF program has',
      help: 'Keep large variables in a BPF_MAP_TYPE_PERCPU_ARRAY map of one entry and look it up; values that are built for a ring buffer go into bpf_ringbuf_reserve().',
    }),
  },
  {
    pattern: /unsupported dynamic stack allocation/,
    explain: () => ({
      id: 'bpf/stack-size',
      message: 'A BPF program cannot have variables on the stack whose size is not known at compile time',
      help: 'Give the array a constant size.',
    }),
  },
  {
    pattern: /Invalid usage of the XADD return value|unsupported atomic operation/,
    explain: () => ({
      id: 'bpf/cpu-version',
      message: 'This atomic operation is not in the version of the BPF instruction set that is compiled for',
      help: 'Compile with -mcpu=v3 (Linux 5.12 and later), on 8-byte or 4-byte values; or use __sync_fetch_and_add() without its result.',
    }),
  },
  {
    pattern: /Cannot select: .*\bbrind\b/,
    explain: () => ({
      id: 'bpf/unsupported-code',
      message: 'BPF has no jump to a computed address, which a computed goto in this function needs',
      help: 'Use switch, or if and else, with goto to labels by name.',
    }),
  },
  {
    pattern: /^(?:error in backend: )?(Cannot select: |unimplemented opcode: )|only small returns supported/,
    explain: () => ({
      id: 'bpf/unsupported-code',
      message: 'LLVM has no BPF instructions for something in this function',
      help: 'Computed goto (goto *label), va_arg(), __builtin_return_address() and 128-bit results have none: use switch, and integers of up to 64 bits.',
    }),
  },
];

function builtinCall(name: string): BackendError {
  if (floatingPoint.test(name)) {
    return {
      id: 'bpf/floating-point',
      message: `BPF has no floating point, which this needs (clang would call ${name})`,
      help: 'Calculate with integers: multiply before dividing, e.g. `value * 3 / 2`, or leave it to user space.',
    };
  }
  if (memoryFunctions.test(name)) {
    return {
      id: 'bpf/builtin-call',
      message: `clang would have to call ${name}(), which BPF programs do not have: the size is not known at compile time, or too large for single stores`,
      help: 'Up to 1,024 bytes of constant size become single instructions. For more, or for a size known at run time only, use a bounded loop over a volatile pointer, bpf_probe_read_kernel() to copy, or a map value, which begins as zeros.',
    };
  }
  if (name === '__stack_chk_fail') {
    return {
      id: 'bpf/builtin-call',
      message:
        'This clang protects stacks by default, and BPF programs have nothing to call when a check fails',
      help: 'Compile with -fno-stack-protector.',
    };
  }
  if (name === 'abort') {
    return {
      id: 'bpf/builtin-call',
      message:
        'clang ends the program here by abort(), which BPF programs do not have: at a trap, or where the C standard leaves undefined what happens',
      help: 'Return from the program instead of __builtin_trap(); look for shifts by too much, division by zero and uninitialised values.',
    };
  }
  if (/^__\w*ti\d?$/.test(name)) {
    return {
      id: 'bpf/builtin-call',
      message: `BPF has no 128-bit arithmetic, which this needs (clang would call ${name})`,
      help: 'Use 64-bit values; multiply and divide in steps that do not overflow.',
    };
  }
  return {
    id: 'bpf/builtin-call',
    message: `clang would have to call ${name}(), which BPF programs do not have`,
    help: `Write what it does with operations that BPF has, or define a static function ${name}() in this file.`,
  };
}

/** The explanation of one of the backend's messages; undefined for those of clang itself. */
export function explainBackend(message: string): BackendError | undefined {
  for (const { pattern, explain } of rules) {
    const match = pattern.exec(message);
    if (match) return explain(match);
  }
  return undefined;
}
