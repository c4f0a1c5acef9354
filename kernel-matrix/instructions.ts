/** Instructions that a kernel does not know. BTF tells nothing of them, so the kernel's own words have to. */
import { missingOf, type Missing } from '../toolchain/requirements/availability';
import type { Need } from '../toolchain/requirements/requirements';
import type { Cell } from './matrix';

/** How verifiers from 5.10 on refuse an instruction that they do not know (kernel/bpf/verifier.c). */
const UNKNOWN =
  /unknown opcode|unknown insn class|uses reserved fields|uses invalid atomic opcode|invalid BPF_LDX mode/;

/** What kernels refused so, of programs that have such instructions. `cells` from old to new. */
export function refusedInstructions(needs: readonly Need[], cells: readonly Cell[]): Missing[] {
  return needs.flatMap((need) => {
    if (need.requirement.kind !== 'instructions') return [];
    const verdicts = cells.map(({ kernel, programs }) => ({
      release: kernel.release,
      programs: programs.filter(({ name }) => need.programs.includes(name)),
    }));
    const refusing = verdicts.filter(({ programs }) =>
      programs.some(({ verdict, message = '' }) => verdict === 'rejected' && UNKNOWN.test(message)),
    );
    if (refusing.length === 0) return [];
    const taking = verdicts.find(({ programs }) => programs.some(({ verdict }) => verdict === 'accepted'));
    return [
      missingOf(
        need,
        need.requirement.name,
        refusing.map(({ release }) => release),
        taking?.release,
      ),
    ];
  });
}
