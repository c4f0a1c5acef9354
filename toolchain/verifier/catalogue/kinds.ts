/** How an explanation is written down. The catalogue is data: adding a class means adding an entry. */

/** What a rule may use to speak in the programmer's words. */
export interface Facts {
  /** The kernel line that the rule matched. */
  match: RegExpExecArray;
  /**
   * What the register is in the program: `` `v` (the result of bpf_map_lookup_elem on line 9) ``, or its number when
   * the path does not tell.
   */
  register(number: string | undefined): string;
  /** As {@link register}, but undefined when the path does not tell more than the number. */
  source(number: string | undefined): string | undefined;
  /** `` `bpf_xdp_adjust_head(ctx, 4)` on line 14 ``: a call that ended packet pointers read before, if there is one. */
  invalidation(number: string | undefined): string | undefined;
  /** Name of the variable that the value of a register was assigned to by the call it comes from. */
  variable(number: string | undefined): string | undefined;
  /** `` on the path where `len > 64` is false ``, as far as that is certain; else ` on this path`. */
  way: string;
  /** The source expression at the failing instruction, in backquotes; a long call is cut to `` `f(…)` ``. */
  here: string;
  /** The helper or kernel function that the failing instruction calls. */
  callee: string | undefined;
  /** `` in the loop on line 18, inside the one on line 17 ``; empty where the path is in none that the source tells. */
  loops: string;
  /** Whether a register holds an argument of a global function that is verified on its own. */
  isParameter(number: string | undefined): boolean;
  /** What kind of value a register holds, in the kernel's words: `pkt`, `map_value`. */
  type(number: string | undefined): string | undefined;
  /** Whether the register is made of a pointer and a number that is not a constant. */
  isIndexed(number: string | undefined): boolean;
  /** Whether the number added to the packet pointer in a register is so large that no comparison counts. */
  isBeyondPackets(number: string | undefined): boolean;
  /** The variable that a stack offset lies in: `` `key` ``, and its size in bytes. */
  onStack(offset: number): { name: string; size: number } | undefined;
  /** The call that `alloc_insn=` names: what it is, what its result is called, where it stands. */
  taken: { callee: string; variable: string | undefined; where: string } | undefined;
  /** The failing instruction in the kernel's assembly; empty if unknown. */
  assembly: string;
  /** Number out of all the kernel's last words, by a pattern with one group. */
  find(pattern: RegExp): string | undefined;
  /** The program's type in the kernel's words, e.g. `xdp`. */
  programType: string;
}

export interface Rule {
  /** Matches one of the kernel's last lines. */
  pattern: RegExp;
  /** The finding in plain words; the entry's title when absent. */
  say?: (facts: Facts) => string;
  /** What to do, with the program's own names; the entry's help when absent, or when it has nothing to say. */
  help?: (facts: Facts) => string | undefined;
}

/** Which related places an entry's findings have. */
export type RelatedKind =
  /** Where the value of the register that the message names came from. */
  | 'origin'
  /** The last decision that led here. */
  | 'decision'
  /** `alloc_insn=N`: where the reference was taken. */
  | 'allocation'
  /** The last comparison with the packet's end. */
  | 'packetCheck'
  /** Where a helper changed the packet, which makes pointers into it invalid. */
  | 'invalidation'
  /** Where the object was released that a pointer belonged to. */
  | 'release'
  /** Where the lock was taken. */
  | 'lock';

export interface Entry {
  id: `bpf/${string}`;
  /** A few words, for lists. */
  title: string;
  /** What the verifier wants, in one or two sentences. */
  wants: string;
  /** What to do, as an instruction. */
  help: string;
  /** `program`: the finding is about the program as a whole, wherever the log ended. */
  scope?: 'program';
  related?: RelatedKind[];
  rules: Rule[];
}
