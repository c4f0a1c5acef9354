/** What a class of fixes takes and gives. */
import type { Diagnostic } from '../../toolchain/diagnostic';
import type { SourceFile } from '../../toolchain/c/source';
import type { SyntaxNode } from '../../toolchain/c/tree';
import type { Failure } from '../../toolchain/verifier/report';
import type { FunctionCode } from './code/function';

/** A replacement of `[start, end)` of the text, in UTF-16 units. */
export interface TextEdit {
  start: number;
  end: number;
  text: string;
}

/** A change that may mend the program. Whether it does, the kernel decides. */
export interface Candidate {
  /** In the programmer's words: ``Return XDP_PASS when `v` is NULL``. */
  title: string;
  edits: TextEdit[];
  /** It does something the programmer may not mean, so that no editor should apply it unasked. */
  isAlternative?: boolean;
  /** Tried only when nothing else holds: it makes the kernel accept more than it should. */
  isLastResort?: boolean;
  /** Of several candidates with the same word only the first that holds is a fix: they differ in a number. */
  group?: string;
  /** When it uncovers another failure, a candidate of the same manner is tried for that first. */
  manner?: 'mask';
}

export interface FailingProgram {
  name: string;
  section: string;
  /** In the kernel's words: `xdp`, `sched_cls`. */
  type: string;
}

/** What is wrong: words of the verifier or libbpf with the path that led there, of clang, or a hint of our own. */
export type Trouble =
  | { by: 'verifier'; failure: Failure; program: FailingProgram }
  | { by: 'clang'; diagnostic: Diagnostic }
  /** The kernel accepted the program; what is hinted at was looked up in the kernel's lists. */
  | { by: 'hint'; diagnostic: Diagnostic; program: FailingProgram };

/** Everything a fix may be derived from. It asks no kernel and no compiler. */
export interface Situation {
  source: SourceFile;
  trouble: Trouble;
  /** Of the verifier's trouble; what clang found, or is only hinted at, has none. */
  failure: Failure | undefined;
  program: FailingProgram | undefined;
  /** Functions of this file, programs included. */
  functions: readonly FunctionCode[];
  /** The function with the failing place. */
  code: FunctionCode;
  /** The smallest node at the failing place. */
  node: SyntaxNode;
  /** The node where an instruction of the program comes from; undefined when that is not in this file. */
  nodeOf(instruction: number | undefined): SyntaxNode | undefined;
}

/** Candidates for one class of failures, the best first; none when the code is of no form it can judge. */
export type Fix = (situation: Situation) => Candidate[];
