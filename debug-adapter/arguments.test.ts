import { expect, it } from 'vitest';
import { readConfiguration } from './arguments';
import { specExamples } from './runner/attach-spec';

const problem = (given: unknown) => {
  try {
    readConfiguration('attach', given);
    return 'accepted';
  } catch (error) {
    return (error as Error).message;
  }
};
const attach = (spec: unknown) => ({ program: 'a.bpf.c', attach: [{ entry: 'f', spec }] });

it('takes 64-bit numbers and names of maps as JSON has them', () => {
  const perf = { hook: 'perfEvent', type: 1, config: '0x1', sampleFrequency: 99 };
  expect(readConfiguration('attach', attach(perf)).given).toMatchObject(
    attach({ ...perf, config: 1n, sampleFrequency: 99n }),
  );
  const sockmap = { hook: 'sockmap', map: 'sockets' };
  expect(readConfiguration('attach', attach(sockmap)).given).toMatchObject(attach(sockmap));
});

it.each([
  [attach({ hook: 'kprob' }), /"attach\[0\]\.spec\.hook": /],
  [attach({ hook: 'xdp' }), /"attach\[0\]\.spec\.interface": /],
  [attach({ hook: 'perfEvent', type: 1, config: 1.5 }), /"attach\[0\]\.spec\.config": /],
  [attach('eth0'), /"attach\[0\]\.spec": /],
  [attach(null), /"attach\[0\]\.spec": /],
  [{ program: 'a.bpf.c', attach: 'all' }, /"attach": /],
  [{ program: '' }, /"program": "" is not right: it is the path/],
  [5, /"configuration": /],
])('%j is refused by attribute', (given, expected) => {
  expect(problem(given)).toMatch(expected);
});

it.each(Object.entries(specExamples))('the example of %s can be followed', (hook, example) => {
  expect(problem(attach(example))).toBe('accepted');
  expect(
    problem(attach({ hook, interface: 5, function: 5, path: 5, map: {}, category: 5, name: 5 })),
  ).toMatch(hook === 'auto' || hook === 'trace' || hook === 'netns' ? 'accepted' : /For example \{"hook": "/);
});
