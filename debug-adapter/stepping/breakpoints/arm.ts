/** A breakpoint as it was set, read against a run: where it stands there, and what it asks. */
import type { OpenedRun } from '../../recorder/open-run';
import { exceptionSource, isExceptionFilter } from './exceptions';
import { siteOfFunction } from './functions';
import { parseHitCondition } from './hit-condition';
import { siteOfInstruction, siteOfLine } from './lines';
import type { Sited } from './lines';
import { askOf, messageOf } from './questions';
import type { Armed } from './stops';
import type { Breakpoint, DataBreakpoint, Placement } from './store';

/** What a data breakpoint watches. */
export type SiteOfData = (breakpoint: DataBreakpoint) => Promise<Sited>;

export async function arm(
  run: OpenedRun,
  breakpoint: Breakpoint,
  siteOfData: SiteOfData,
): Promise<{ placement: Placement; armed?: Armed }> {
  const { placement, source } = await siteOf(run, breakpoint, siteOfData);
  if (!source || !breakpoint.enabled) return { placement };
  const { condition, hitCondition } = breakpoint;
  const logMessage = breakpoint.kind === 'line' ? breakpoint.logMessage : undefined;
  const asked = isGiven(condition) ? await askOf(run, condition) : undefined;
  const counted = isGiven(hitCondition) ? parseHitCondition(hitCondition) : undefined;
  const log = isGiven(logMessage) ? await messageOf(run, logMessage) : undefined;
  for (const read of [asked, counted, log])
    if (read && !read.ok)
      return { placement: { ...placement, verified: false, message: inWords(read.problem) } };
  return {
    placement,
    armed: {
      breakpoint,
      source,
      ...(asked?.ok ? { condition: asked.value } : {}),
      ...(counted?.ok ? { hitCondition: counted.value } : {}),
      ...(log?.ok ? { log: log.value } : {}),
    },
  };
}

function isGiven(text: string | undefined): text is string {
  return text !== undefined && text.trim() !== '';
}

function inWords({ message, hint }: { message: string; hint: string }): string {
  return `${message} ${hint}`.trim();
}

async function siteOf(run: OpenedRun, breakpoint: Breakpoint, siteOfData: SiteOfData): Promise<Sited> {
  switch (breakpoint.kind) {
    case 'line':
      return siteOfLine(run, breakpoint);
    case 'function':
      return siteOfFunction(run, breakpoint.name.trim());
    case 'instruction':
      return siteOfInstruction(run, breakpoint.insn);
    case 'data':
      return siteOfData(breakpoint);
    case 'exception':
      return isExceptionFilter(breakpoint.filter)
        ? { placement: { verified: true }, source: exceptionSource(run, breakpoint.filter) }
        : { placement: { verified: false, message: `There is no filter "${breakpoint.filter}".` } };
  }
}
