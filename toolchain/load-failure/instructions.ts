/** Instructions that a kernel does not know, and what clang emits for C that BPF has nothing for. */
import type { BpfObject } from '../elf/object';
import { findSection, relocationsOf, SectionFlag } from '../elf/elf';
import { additionOf, additions } from '../insn/additions';
import type { AdditionName } from '../insn/additions';
import { decodeInsns } from '../insn/insn';
import { CALL_REGISTER, INSN_SIZE, LD_IMM64 } from '../insn/opcodes';
import type { MapPath } from '../verifier/position';
import type { LoadFinding } from './finding';
import { placeInSection } from './source-places';
import { isOlder, kernelName } from './target';
import type { TargetFacts } from './target';

const withV3 = 'Compile with -mcpu=v3 (bpf.clang.extraArgs) for kernels before Linux 6.6';

/** What to do where the kernel does not know it; compiling for an older instruction set when absent. */
const advice: Partial<Record<AdditionName, string>> = {
  'signed-division': `${withV3}; clang refuses signed division there, so divide unsigned values.`,
  atomics:
    'Older kernels have only the atomic addition whose result is not used: write __sync_fetch_and_add(&x, n) as a statement of its own, or keep a value for each CPU in a per-CPU map.',
  'acquire-release': 'Compile with -mcpu=v3, or use __sync_fetch_and_add and the like.',
  'indirect-jump': 'Compile with -fno-jump-tables: then clang makes comparisons of the switch.',
  'may-goto': 'Use a loop with a constant limit, or bpf_loop(), instead of can_loop and cond_break.',
  'address-space-cast': 'Arenas need this; keep the data in another type of map for older kernels.',
};

/** The verifier's words for instructions that it cannot decode. */
const undecodable =
  /^(unknown opcode|unknown insn class|invalid BPF_\w+ opcode|BPF_\w+ uses reserved fields|invalid atomic operand|number of funcs in func_info doesn't match)/;

/** `BPF_PSEUDO_FUNC`, the address of a function: kernel/bpf/verifier.c has it since this release. */
const FUNCTION_ADDRESS_SINCE = '5.13';

/**
 * A function that is handed on as a callback. Kernels that cannot take its address do not see that it belongs to the
 * program, and then count fewer functions than the object describes.
 */
function explainCallback(
  object: BpfObject,
  program: string,
  facts: TargetFacts | undefined,
  mapPath: MapPath,
): LoadFinding | undefined {
  if (facts && !isOlder(facts.release, FUNCTION_ADDRESS_SINCE)) return undefined;
  const { elf, programs, subprograms } = object;
  const own = programs.filter(({ name }) => name === program);
  for (const { section: name, firstInsn, insnCount } of [...own, ...subprograms]) {
    const section = findSection(elf, name);
    if (!section) continue;
    for (const { offset, symbol } of relocationsOf(elf, section.index)) {
      const insn = Math.floor(offset / INSN_SIZE);
      const target = elf.sections[elf.symbols[symbol]?.section ?? 0];
      const isCode = target !== undefined && (target.flags & SectionFlag.Exec) !== 0;
      if (insn < firstInsn || insn >= firstInsn + insnCount || section.data[offset] !== LD_IMM64 || !isCode)
        continue;
      const at = placeInSection(object, name, insn, mapPath);
      return {
        id: 'bpf/unknown-helper',
        message: `${kernelName(facts)} cannot take the address of a function, so it has no helpers that call one back: both came with Linux ${FUNCTION_ADDRESS_SINCE}`,
        help: 'Go through it with a bounded loop instead, or choose a newer kernel ("BPF: Select Kernel", --target vm:PATH-TO-VMLINUZ).',
        places: [{ kind: 'program', name: program }],
        ...(at && { at }),
      };
    }
  }
  return undefined;
}

interface Located {
  section: string;
  insn: number;
  code: number;
  newer?: AdditionName;
}

/** The finding when the verifier's words and the object's own instructions agree. */
export function explainInstruction(
  line: string,
  program: string,
  object: BpfObject,
  facts: TargetFacts | undefined,
  mapPath: MapPath,
): LoadFinding | undefined {
  if (!undecodable.test(line)) return undefined;
  if (/^number of funcs in func_info/.test(line)) {
    const callback = explainCallback(object, program, facts, mapPath);
    if (callback) return callback;
  }
  const opcode = /^unknown opcode ([\da-f]{2})/.exec(line)?.[1];
  for (const located of suspicious(object, program)) {
    const { section, insn, code, newer } = located;
    if (opcode !== undefined && Number.parseInt(opcode, 16) !== code) continue;
    const addition = newer && additions[newer];
    if (addition && facts && !isOlder(facts.release, addition.since)) continue;
    const at = placeInSection(object, section, insn, mapPath);
    const place = { places: [{ kind: 'program' as const, name: program }], ...(at && { at }) };
    if (!newer || !addition) {
      return {
        id: 'bpf/indirect-call',
        message: 'BPF programs cannot call through a pointer: clang compiled this to an indirect call',
        help: 'Call the function by its name, choose between functions with if or switch, or use a tail call (bpf_tail_call with a BPF_MAP_TYPE_PROG_ARRAY).',
        ...place,
      };
    }
    return {
      id: 'bpf/cpu-version',
      message: `${kernelName(facts)} does not know ${addition.what}: it came with Linux ${addition.since}${addition.cpu ? ` (BPF instruction set ${addition.cpu})` : ''}`,
      help: advice[newer] ?? `${withV3}.`,
      ...place,
    };
  }
  return undefined;
}

/** Instructions of the program, then of its subprograms' section, that not every kernel takes. */
function* suspicious(object: BpfObject, program: string): Generator<Located> {
  const own = object.programs.filter(({ name }) => name === program);
  for (const { section, firstInsn, insnCount } of [...own, ...object.subprograms]) {
    const data = findSection(object.elf, section)?.data;
    if (!data) continue;
    const bytes = data.subarray(firstInsn * INSN_SIZE, (firstInsn + insnCount) * INSN_SIZE);
    for (const [index, decoded] of decodeInsns(bytes, object.elf.littleEndian).entries()) {
      if (!decoded) continue;
      const { code } = decoded;
      const insn = firstInsn + index;
      if (code === CALL_REGISTER) yield { section, insn, code };
      else {
        const newer = additionOf(decoded);
        if (newer) yield { section, insn, code, newer };
      }
    }
  }
}
