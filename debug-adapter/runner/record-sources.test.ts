import { expect, it } from 'vitest';
import { recordTypesInSource } from './record-sources';

const types = (text: string) =>
  Object.fromEntries([...recordTypesInSource(text)].map(([map, found]) => [map, [...found]]));

it.each([
  ['struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);', { events: ['struct event'] }],
  [
    'struct event *e;\ne = bpf_ringbuf_reserve(&events, sizeof(struct event), 0);',
    { events: ['struct event'] },
  ],
  ['struct event e = {};\nbpf_ringbuf_output(&rb, &e, sizeof(e), 0);', { rb: ['struct event'] }],
  [
    'struct event e = { .a = 1 };\nbpf_perf_event_output(ctx, &samples, BPF_F_CURRENT_CPU, &e,\n  sizeof(e));',
    { samples: ['struct event'] },
  ],
  ['event_t *e;\ne = bpf_ringbuf_reserve(&rb, sizeof(event_t), 0);', { rb: ['event_t'] }],
  [
    'struct a *x = bpf_ringbuf_reserve(&rb, sizeof(*x), 0); struct b *y = bpf_ringbuf_reserve(&rb, sizeof(*y), 0);',
    { rb: ['struct a', 'struct b'] },
  ],
  // Two declarations that differ, a size that is no sizeof, a comment: nothing is certain.
  ['struct a *e; struct b *e; e = bpf_ringbuf_reserve(&rb, sizeof(*e), 0);', {}],
  ['bpf_ringbuf_output(&rb, data, length, 0);', {}],
  ['// e = bpf_ringbuf_reserve(&rb, sizeof(struct event), 0);', {}],
])('%s', (text, expected) => {
  expect(types(text)).toEqual(expected);
});
