/** What Linux 7.3 or newer, which explains its rejections itself, says of a program that an older kernel rejected. */
import type { KernelClient } from '../kernel/client/client';
import type { ProgramVerdict } from '../kernel/protocol';
import { compareReleases } from '../kernel/targets/vm/kernels';
import { kernelsAtHand, type MatrixKernel } from './choose';

/** The first release whose verifier log ends with a report. */
export const REPORTS_SINCE = '7.3';

export interface SecondOpinion {
  /** `uname -r` of the kernel asked. */
  kernel: string;
  verdict: 'accepted' | 'rejected' | 'error';
  /** Its report, verbatim; absent when it gives none for this rejection. */
  report?: string;
  /** Its terminal words. Absent when it accepted. */
  message?: string;
}

/** The newest kernel at hand that gives reports; undefined when there is none. */
export function reportingKernel(atHand: readonly MatrixKernel[] = kernelsAtHand()): MatrixKernel | undefined {
  return atHand.filter(({ release }) => givesReports(release)).at(-1);
}

/** Whether a release's own log has the report already. */
export function givesReports(release: string): boolean {
  return compareReleases(release.replace(/^(\d+\.\d+).*$/, '$1'), REPORTS_SINCE) >= 0;
}

/** Asks about the named programs of an object; a map from program to opinion. Rejects with a KernelError. */
export async function secondOpinions(
  client: KernelClient,
  object: Uint8Array,
  programs: string[],
  signal: AbortSignal,
): Promise<Map<string, SecondOpinion>> {
  const answer = await client.request('verify', { object, programs, log: 'rejected' }, { signal });
  return opinionsOf(answer.programs, client.hello.kernel.release);
}

/** A kernel's verdicts as opinions; a map from program to opinion. */
export function opinionsOf(programs: readonly ProgramVerdict[], kernel: string): Map<string, SecondOpinion> {
  return new Map(
    programs.map(({ name, verdict, message, log }) => {
      const report = reportIn(log ?? '');
      const said = verdict === 'accepted' ? undefined : message;
      return [
        name,
        {
          kernel,
          verdict,
          ...(report ? { report } : {}),
          ...(said === undefined ? {} : { message: said }),
        },
      ];
    }),
  );
}

/** The report's lines, from its header to the statistics that end every log. */
export function reportIn(log: string): string | undefined {
  const start = log.lastIndexOf('Verification failed: ');
  if (start < 0 || (start > 0 && log[start - 1] !== '\n')) return undefined;
  const rest = log.slice(start);
  const end = /^(?:processed \d+ insns|verification time \d+)/m.exec(rest)?.index ?? rest.length;
  return rest.slice(0, end).trimEnd();
}

/** An opinion in words, for a person. */
export function opinionText({ kernel, verdict, report, message }: SecondOpinion): string {
  if (verdict === 'accepted') return `Linux ${kernel} accepts this program.`;
  if (report) return `Linux ${kernel} says:\n${report}`;
  const word = verdict === 'rejected' ? 'rejects it too, without a report' : 'could not verify it';
  return `Linux ${kernel} ${word}${message ? `: ${message}` : '.'}`;
}
