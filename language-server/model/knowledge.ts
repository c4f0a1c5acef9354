/**
 * What the verifier knew of the variables of a document's programs. A log of every path is dear and mostly not read,
 * so the kernel is asked for it when somebody looks, once for each verdict and program.
 */
import type { KernelClient } from '../../kernel/client/client';
import type { ProgramVerdict } from '../../kernel/protocol';
import { readDwarf } from '../../toolchain/dwarf/dwarf';
import { readBpfObject } from '../../toolchain/elf/object';
import { loadedLayout } from '../../toolchain/program/loaded-layout';
import { readKnowledge } from '../../toolchain/verifier/knowledge/knowledge';
import type { LineKnowledge } from '../../toolchain/verifier/knowledge/knowledge';
import { indexLog } from '../../toolchain/verifier/logIndex';
import { sourcePositions } from '../../toolchain/verifier/position';
import type { Session } from '../session';
import type { BpfDocument } from './document';
import { pathsOf, type Verification } from './verify';

export interface ProgramKnowledge {
  program: string;
  /** `uname -r` of the kernel that knows. */
  kernel: string;
  /** Whether this is of the last path only, since the log of all would be too long. */
  isLastPath: boolean;
  /** By zero-based line of the document. */
  lines: ReadonlyMap<number, LineKnowledge>;
}

/**
 * A program that took more instructions is asked for its last path only: with states and precision notes a log has
 * some 460 bytes an instruction, so that all of them are 14 MB and half a second.
 */
const MAX_INSTRUCTIONS = 30_000;

interface Asked {
  programs: Map<string, Promise<ProgramKnowledge | undefined>>;
  abort: AbortController;
}
const asked = new WeakMap<Verification, Asked>();

/** Only of the text as it is: undefined while a verdict on it is still to come, or without a kernel. */
export async function knowledgeOf(
  session: Session,
  bpf: BpfDocument,
  isWanted: (program: ProgramVerdict) => boolean,
): Promise<ProgramKnowledge[] | undefined> {
  const { verification } = bpf;
  if (!verification || bpf.verifiedVersion !== bpf.version) return undefined;
  const client = await session.kernel.client();
  if (!('request' in client) || bpf.verifiedVersion !== bpf.version) return undefined;
  const known = asked.get(verification) ?? { programs: new Map(), abort: new AbortController() };
  asked.set(verification, known);
  const found = verification.programs.filter(isWanted).map((program) => {
    let answer = known.programs.get(program.name);
    if (!answer) {
      answer = ask(client, verification, bpf.path, program, known.abort.signal);
      known.programs.set(program.name, answer);
      // What failed is tried again when somebody looks again.
      answer.catch(() => known.programs.delete(program.name));
    }
    return answer;
  });
  return (await Promise.all(found)).filter((one) => one !== undefined);
}

/** The text was edited: nobody waits any more for what the kernel says of the older one. */
export function stopAsking({ verification }: BpfDocument): void {
  if (verification) asked.get(verification)?.abort.abort();
}

const lines = new WeakMap<ProgramVerdict, Set<number>>();

/** Lines of the document that a program has instructions of, zero-based. */
export function linesOf({ btf }: Verification, path: string, program: ProgramVerdict): ReadonlySet<number> {
  const known = lines.get(program);
  if (known) return known;
  const positions = sourcePositions(program.lineInfo, btf, pathsOf(path));
  const found = new Set<number>();
  for (let insn = 0; insn < program.insnCount; insn++) {
    const at = positions.at(insn);
    if (at?.path === path) found.add(at.range.start.line);
  }
  lines.set(program, found);
  return found;
}

async function ask(
  client: KernelClient,
  { object, btf, kernel }: Verification,
  path: string,
  { name, stats }: ProgramVerdict,
  signal: AbortSignal,
): Promise<ProgramKnowledge | undefined> {
  const read = readBpfObject(object);
  const dwarf = read.ok ? readDwarf(read.value.elf) : undefined;
  if (!read.ok || !dwarf) return undefined;
  const isLastPath = (stats?.insns ?? 0) > MAX_INSTRUCTIONS;
  const log = isLastPath ? 'all' : 'states';
  const { programs } = await client.request('verify', { object, programs: [name], log }, { signal });
  const verdict = programs.find((program) => program.name === name);
  if (!verdict?.log) return undefined;
  const layout = loadedLayout(read.value, name, verdict.lineInfo);
  const knowledge = readKnowledge({
    log: indexLog(verdict.log),
    positions: sourcePositions(verdict.lineInfo, btf, pathsOf(path)),
    dwarf,
    inObject: (insn) => layout.at(insn),
  });
  return { program: name, kernel, isLastPath, lines: knowledge.get(path) ?? new Map() };
}
