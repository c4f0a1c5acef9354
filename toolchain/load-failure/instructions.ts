/**
 * Instructions that a kernel does not know: newer versions of the instruction set (clang's `-mcpu`), and what clang
 * emits for C that BPF has nothing for. Encodings: Documentation/bpf/standardization/instruction-set.rst.
 */
import type { BpfObject } from '../elf/object';
import { findSection, relocationsOf, SectionFlag } from '../elf/elf';
import type { MapPath } from '../verifier/position';
import type { LoadFinding } from './finding';
import { placeInSection } from './source-places';
import { isOlder, kernelName } from './target';
import type { TargetFacts } from './target';

interface NewerInstruction {
  /** What it does, for a sentence. */
  what: string;
  cpu: 'v3' | 'v4';
  /** First Linux release whose verifier knows it. */
  since: string;
  help: string;
}

const withV3 = 'Compile with -mcpu=v3 (bpf.clang.extraArgs) for kernels before Linux 6.6';
const v4 = (what: string, help = `${withV3}.`): NewerInstruction => ({ what, cpu: 'v4', since: '6.6', help });

const signedDivision = v4(
  'a signed division',
  `${withV3}; clang refuses signed division there, so divide unsigned values.`,
);
const signExtension = v4('a sign-extending move');
const signedLoad = v4('a sign-extending load');
const byteSwap = v4('an unconditional byte swap');
const longJump = v4('a jump with a 32-bit offset (gotol)');
const atomicResult: NewerInstruction = {
  what: 'an atomic operation other than a plain addition',
  cpu: 'v3',
  since: '5.12',
  help: 'Older kernels have only the atomic addition whose result is not used: write __sync_fetch_and_add(&x, n) as a statement of its own, or keep a value for each CPU in a per-CPU map.',
};
const acquireRelease: NewerInstruction = {
  what: 'a load-acquire or store-release',
  cpu: 'v4',
  since: '6.15',
  help: 'Compile with -mcpu=v3, or use __sync_fetch_and_add and the like.',
};

/** What newer instruction this is, from its eight bytes; undefined for those of all kernels since 5.1. */
function newerInstruction(code: number, offset: number, immediate: number): NewerInstruction | undefined {
  const kind = code & 0x07;
  const operation = code & 0xf0;
  if (kind === 0x04 || kind === 0x07) {
    if ((operation === 0x30 || operation === 0x90) && offset === 1) return signedDivision;
    if (operation === 0xb0 && (offset === 8 || offset === 16 || offset === 32)) return signExtension;
    if (kind === 0x07 && operation === 0xd0) return byteSwap;
    return undefined;
  }
  if (code === 0x06) return longJump;
  if (kind === 0x01 && (code & 0xe0) === 0x80) return signedLoad;
  if (kind === 0x03 && (code & 0xe0) === 0xc0) {
    if (immediate === 0x100 || immediate === 0x110) return acquireRelease;
    if (immediate !== 0) return atomicResult;
  }
  return undefined;
}

/** `callx`, which clang emits for a call through a pointer. */
const CALL_REGISTER = 0x8d;

/** BPF_LD | BPF_IMM | BPF_DW: a constant of 64 bits, which takes two places. */
const WIDE_CONSTANT = 0x18;

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
      const insn = Math.floor(offset / 8);
      const target = elf.sections[elf.symbols[symbol]?.section ?? 0];
      const isCode = target !== undefined && (target.flags & SectionFlag.Exec) !== 0;
      if (
        insn < firstInsn ||
        insn >= firstInsn + insnCount ||
        section.data[offset] !== WIDE_CONSTANT ||
        !isCode
      )
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
  newer?: NewerInstruction;
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
    if (newer && facts && !isOlder(facts.release, newer.since)) continue;
    const at = placeInSection(object, section, insn, mapPath);
    const place = { places: [{ kind: 'program' as const, name: program }], ...(at && { at }) };
    if (!newer) {
      return {
        id: 'bpf/indirect-call',
        message: 'BPF programs cannot call through a pointer: clang compiled this to an indirect call',
        help: 'Call the function by its name, choose between functions with if or switch, or use a tail call (bpf_tail_call with a BPF_MAP_TYPE_PROG_ARRAY).',
        ...place,
      };
    }
    return {
      id: 'bpf/cpu-version',
      message: `${kernelName(facts)} does not know ${newer.what}: it came with Linux ${newer.since} (BPF instruction set ${newer.cpu})`,
      help: newer.help,
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
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    const end = Math.min(firstInsn + insnCount, Math.floor(data.length / 8));
    for (let insn = firstInsn; insn < end; insn++) {
      const code = view.getUint8(insn * 8);
      const offset = view.getInt16(insn * 8 + 2, object.elf.littleEndian);
      const immediate = view.getInt32(insn * 8 + 4, object.elf.littleEndian);
      if (code === WIDE_CONSTANT) insn++;
      else if (code === CALL_REGISTER) yield { section, insn, code };
      else {
        const newer = newerInstruction(code, offset, immediate);
        if (newer) yield { section, insn, code, newer };
      }
    }
  }
}
