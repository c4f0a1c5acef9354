/** What breakpoints ask, as C expressions over a run. */
import { fail } from '../../../toolchain/problem';
import type { OpenedRun } from '../../recorder/open-run';
import type { Questions } from './arm';

export function questionsOf(_run: OpenedRun): Questions {
  const no = () => fail('breakpoint/expression', 'Expressions in breakpoints are not supported.', '');
  return { condition: no, logMessage: no };
}
