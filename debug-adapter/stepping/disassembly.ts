/** Instructions of a recorded program for the disassembly view, with the names of what they call and load. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { isKfuncCall, isSubprogramCall } from '../../toolchain/insn/effects';
import { disassemble } from '../../toolchain/insn/disassemble';
import { encodeInsns } from '../../toolchain/insn/insn';
import { LD_IMM64, Pseudo } from '../../toolchain/insn/opcodes';
import type { OpenedRun } from '../recorder/open-run';
import type { SourceFiles } from './source-files';

const INSN_SIZE = 8;
/** More than a view shows at once. */
const MOST = 10_000;

/** Where an instruction stands: 8 bytes each from 0 on; what lies before the program has the addresses below 2^64. */
export function addressOf(insn: number): string {
  return `0x${BigInt.asUintN(64, BigInt(insn * INSN_SIZE)).toString(16)}`;
}

/** The instruction at a reference that {@link addressOf} made. */
export function insnAt(reference: string, byteOffset = 0): number {
  return Math.floor((Number(BigInt.asIntN(64, BigInt(reference))) + byteOffset) / INSN_SIZE);
}

/** Instructions around a reference; those outside of the program are said to be so, as DAP wants. */
export function disassembly(
  run: OpenedRun,
  sources: SourceFiles,
  first: number,
  count: number,
): DebugProtocol.DisassembledInstruction[] {
  let shown = '';
  return Array.from({ length: Math.min(count, MOST) }, (_, index) => {
    const insn = first + index;
    const decoded = run.code.insns[insn];
    const address = addressOf(insn);
    if (!decoded) {
      const isHalf = run.code.insns[insn - 1]?.code === LD_IMM64;
      const instruction = isHalf ? '(second half of the instruction before)' : '';
      return { address, instruction, presentationHint: 'invalid' as const };
    }
    // Code without a line of its own is not given the one that stands before it.
    const at = run.source.line[insn]! < 0 ? undefined : run.source.placeOf(insn);
    const here = at ? `${at.path}:${at.line}` : shown;
    const isNew = here !== shown;
    shown = here;
    const symbol = run.source.functions.find(({ start }) => start === insn)?.name;
    return {
      address,
      instructionBytes: Buffer.from(encodeInsns([decoded]))
        .toString('hex')
        .replace(/..(?!$)/g, '$& '),
      instruction: instructionText(run, insn)!,
      ...(symbol === undefined ? {} : { symbol }),
      ...(at && isNew ? { location: sources.source(at.path), line: at.line, column: at.column } : {}),
    };
  });
}

/** An instruction as the verifier's log writes it, with names instead of numbers; undefined outside of the program. */
export function instructionText(run: OpenedRun, insn: number): string | undefined {
  const { code, source } = run;
  const decoded = code.insns[insn];
  if (!decoded) return undefined;
  if (isSubprogramCall(decoded)) return `call ${functionAt(run, code.target[insn]!)}`;
  const symbol = isKfuncCall(decoded) ? source.symbolAt(insn) : undefined;
  if (symbol !== undefined) return `call ${symbol}`;
  if (decoded.code !== LD_IMM64) return disassemble(decoded);
  const { src, dst, imm, high } = decoded;
  if (src === Pseudo.MAP) return `r${dst} = map[${mapName(run, imm)}]`;
  if (src === Pseudo.MAP_VALUE) return `r${dst} = map[${mapName(run, imm)}][0]+${high}`;
  if (src === Pseudo.FUNCTION) return `r${dst} = func[${functionAt(run, insn + 1 + imm)}]`;
  return disassemble(decoded);
}

function functionAt({ source }: OpenedRun, start: number): string {
  return source.functions.find((one) => one.start === start)?.name ?? `pc ${start}`;
}

function mapName({ recording }: OpenedRun, handle: number): string {
  return recording.maps.find((map) => map.handle === handle)?.name ?? String(handle);
}
