/**
 * Whether what a program names in its `SEC()` is there to be attached to. Analysis, not a verdict: shown as hints, for
 * programs that the kernel accepted, and asked for only after the verdict is shown.
 */
import type { KernelClient } from '../../kernel/client/client';
import { kernelLists } from '../../kernel/client/lists';
import type { ProgramVerdict } from '../../kernel/protocol';
import { placeInSource } from '../../toolchain/c/places';
import type { SourceFile } from '../../toolchain/c/source';
import { Severity, type Diagnostic } from '../../toolchain/diagnostic';
import {
  attachPointOf,
  hintForAttachPoint,
  type AttachHint,
  type AttachPoint,
} from '../../toolchain/load-failure/attach-point';
import { replaceLast } from '../../toolchain/load-failure/attach-target';
import { targetFacts } from './target-facts';

export const ATTACH_POINT_HINT = 'bpf/attach-point';

/** Never rejects: what cannot be looked up is not hinted at. */
export async function attachHints(
  client: KernelClient,
  source: SourceFile,
  file: string,
  verdicts: readonly ProgramVerdict[],
): Promise<Diagnostic[]> {
  const accepted = new Set(verdicts.filter(({ verdict }) => verdict === 'accepted').map(({ name }) => name));
  const points = source.programs.flatMap(({ name: program, section }) => {
    const point = accepted.has(program) ? attachPointOf(section) : undefined;
    return point ? [{ program, section, point }] : [];
  });
  if (points.length === 0) return [];
  const btf = points.some(({ point }) => point.kind === 'rawTracepoint');
  const target = await targetFacts(client, { features: false, btf });
  const lists = kernelLists(client);
  const hintFor = async (point: AttachPoint): Promise<AttachHint | undefined> => {
    const hint = await hintForAttachPoint(point, lists, target);
    // Options are asked for only when something is missing: probing them takes longer than all else.
    return hint && 'option' in point
      ? hintForAttachPoint(point, lists, await targetFacts(client, { features: true, btf }))
      : hint;
  };
  const hints = await Promise.all(
    points.map(async ({ program, section, point }): Promise<Diagnostic[]> => {
      const hint = await hintFor(point);
      const range = placeInSource(source, { kind: 'section', name: program, part: point.written });
      if (!hint || !range) return [];
      const sections = hint.names?.map((name) => replaceLast(section, point.written, name)) ?? [];
      return [
        {
          path: file,
          range,
          severity: Severity.Hint,
          code: ATTACH_POINT_HINT,
          source: 'bpf-studio',
          message: hint.message,
          related: [],
          data: {
            program,
            kernel: target.release,
            ...(hint.help && { help: hint.help }),
            ...(sections.length > 0 && { sections }),
          },
        },
      ];
    }),
  );
  return hints.flat();
}
