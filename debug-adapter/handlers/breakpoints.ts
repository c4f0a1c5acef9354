/** Requests that say where to stop. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import type { Debuggee } from '../debuggee';
import type { Breakpoint, Placement } from '../stepping/breakpoints/store';
import { noException } from '../errors';
import { exceptionFilters } from '../stepping/breakpoints/exceptions';
import { locations } from '../stepping/breakpoints/lines';
import { addressOf, insnAt } from '../stepping/disassembly';
import type { Handlers, SessionAccess } from './handler';

const NOT_YET = 'Placed when the program has run.';
const NOT_RECORDED =
  'The kernel runs a BPF program as a whole, and this run was not recorded, so that there is nothing to stop in.';

export function breakpointHandlers(
  session: SessionAccess,
): Handlers<
  | 'setBreakpoints'
  | 'setFunctionBreakpoints'
  | 'setInstructionBreakpoints'
  | 'setExceptionBreakpoints'
  | 'exceptionInfo'
  | 'breakpointLocations'
> {
  const { breakpoints, place: answer } = session;
  return {
    setBreakpoints: ({ source, breakpoints: wanted = [] }) =>
      answer(breakpoints.setLines(source.path ?? '', wanted)),
    setFunctionBreakpoints: ({ breakpoints: wanted }) => answer(breakpoints.setFunctions(wanted)),
    setInstructionBreakpoints: ({ breakpoints: wanted }) =>
      answer(
        breakpoints.setInstructions(
          wanted.map(({ instructionReference, offset = 0, ...asked }) => ({
            ...asked,
            insn: insnAt(instructionReference, offset),
          })),
        ),
      ),
    setExceptionBreakpoints: ({ filters, filterOptions = [] }) =>
      answer(
        breakpoints.setExceptions([
          ...filters.map((filter) => ({ filter })),
          ...filterOptions.map(({ filterId, condition }) => ({ filter: filterId, condition })),
        ]),
      ),
    exceptionInfo: ({ threadId }) => {
      session.thread(threadId);
      const { stop } = session.stepping('exceptionInfo').stepper;
      const exception = stop?.breakpoints.find((one) => one.kind === 'exception');
      if (!stop || !exception) throw noException();
      const { label } = exceptionFilters.find(({ filter }) => filter === exception.filter) ?? {};
      return {
        exceptionId: label ?? exception.filter,
        description: stop.texts.join('\n'),
        breakMode: 'always',
      };
    },
    breakpointLocations: ({ source, line, endLine = line }) => {
      const { stepping } = session.current() ?? {};
      // Before there is a run nobody knows.
      if (!stepping) return { breakpoints: [] };
      return { breakpoints: locations(stepping.stepper.run, source.path ?? '', line, endLine) };
    },
  };
}

/** Sets breakpoints in what is debugged, and says what became of each. */
export async function placeBreakpoints(
  wanted: readonly Breakpoint[],
  debuggee: Debuggee | undefined,
): Promise<DebugProtocol.Breakpoint[]> {
  const placements = await debuggee?.place?.(wanted);
  return wanted.map((breakpoint, index) => {
    const place = placements?.[index];
    return place ? described(breakpoint, place) : unplaced(breakpoint, debuggee ? NOT_RECORDED : NOT_YET);
  });
}

function unplaced(breakpoint: Breakpoint, message: string): DebugProtocol.Breakpoint {
  return described(breakpoint, { verified: false, message });
}

function described(breakpoint: Breakpoint, place: Placement): DebugProtocol.Breakpoint {
  const asked = breakpoint.kind === 'line' ? breakpoint.line : undefined;
  return describePlacement(breakpoint.id, place, asked);
}

/** @param asked the line that was asked for, where it stands if nothing else is said. */
export function describePlacement(id: number, place: Placement, asked?: number): DebugProtocol.Breakpoint {
  const { verified, message, path, line, column, insn } = place;
  const at = line ?? asked;
  return {
    id,
    verified,
    ...(message === undefined ? {} : { message }),
    ...(at === undefined ? {} : { line: at }),
    ...(column === undefined || column === 0 ? {} : { column }),
    ...(path === undefined ? {} : { source: { name: path.split('/').at(-1)!, path } }),
    ...(insn === undefined ? {} : { instructionReference: addressOf(insn) }),
  };
}
