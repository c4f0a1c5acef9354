/** Commands that ask how the run came to where it is, and what ran. */
import type { CoverageResponse } from '../../../debug-adapter/protocol';
import { withRun } from '../../../debug-adapter/coverage/sum';
import { printCoverage } from '../coverage';
import { placeText } from '../debugger';
import type { ReplayCommand } from './command';

export const asking: ReplayCommand[] = [
  {
    names: ['when'],
    summary: 'where in the run this is',
    run(replay) {
      const { description, reason } = replay.stop;
      const [frame] = replay.frames;
      replay.print([description ?? reason, frame && placeText(frame)].filter(Boolean).join(', '));
    },
  },
  {
    names: ['coverage', 'cov'],
    summary: 'lines and branches that ran in the whole run',
    async run(replay) {
      const { files } = await replay.adapter.request<CoverageResponse>('bpf/coverage');
      printCoverage(withRun(new Map(), files).sum, 1, [replay.recording], replay.io);
    },
  },
];
