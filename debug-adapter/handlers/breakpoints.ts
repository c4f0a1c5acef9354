/** Requests that say where to stop. */
import type { Handlers, SessionAccess } from './handler';

const NO_BREAKPOINTS = 'The kernel runs a BPF program as a whole; it cannot stop at a line.';

export function breakpointHandlers(
  session: SessionAccess,
): Handlers<'setBreakpoints' | 'setFunctionBreakpoints' | 'setExceptionBreakpoints'> {
  return {
    setBreakpoints: ({ source, breakpoints = [] }) => ({
      breakpoints: session.breakpoints.set(
        source.path ?? '',
        breakpoints.map(({ line }) => line),
        session.current(),
      ),
    }),
    setFunctionBreakpoints: (given) => ({
      breakpoints: given.breakpoints.map(() => ({ verified: false, message: NO_BREAKPOINTS })),
    }),
    setExceptionBreakpoints: () => ({}),
  };
}
