/** Runs are put together from nobody's records but their own, whatever else is in the part of the ring that was read. */
import { describe, expect, test } from 'vitest';
import { TRACE_HEADER } from '../recorder/instrument/emit';
import { FLIGHT, START, START_ID } from '../recorder/instrument/flight-layout';
import { firstWord } from '../recorder/instrument/ring';
import { mayHavePrivateStacks, runsIn } from './flight-runs';

/**
 * A program of 20 instructions with a load at 3, one in a loop at 5, and one at 8, and a function behind it with a
 * load at 25.
 */
const EARLY = 2;
const IN_LOOP = 3;
const LATE = 4;
const IN_FUNCTION = 5;
const register = (number: number) => ({ kind: 'register', register: number, checked: false }) as const;
const record = (id: number, insn: number, registers: number[]) => ({
  id,
  points: [{ insn, side: 'after' as const, fields: registers.map(register) }],
  size: 8 + 8 * registers.length,
  address: 1,
  scratch: 2,
  spilled: [],
});
const records = [
  record(START_ID, 0, [10, 1]),
  record(EARLY, 3, [1]),
  record(IN_LOOP, 5, [1]),
  record(LATE, 8, [1]),
  record(IN_FUNCTION, 25, [1]),
];
const END_POSITION = START.SIZE;
const OFFSETS = { [EARLY]: END_POSITION + 8, [LATE]: END_POSITION + 32 };
const flight = {
  records,
  mainEnd: 20,
  layout: {
    size: END_POSITION + 56,
    packet: undefined,
    endPosition: END_POSITION,
    placed: [
      { record: records[1]!, offset: OFFSETS[EARLY]! },
      { record: records[3]!, offset: OFFSETS[LATE]! },
    ],
    loose: [records[2]!, records[4]!],
    countsEnds: true,
  },
};
const KEY = 0x123;

/** Writes records as the kernel does, and gives the values that the runs found have. */
function valuesOf(write: (ring: ReturnType<typeof ringOf>) => void, privateStacks = false): bigint[][] {
  const ring = ringOf();
  write(ring);
  const { bytes, length } = ring.content();
  const runs = runsIn([{ key: KEY, start: 0, end: length, bytes }], { flight, privateStacks });
  return runs.map(({ trace }) => {
    const view = new DataView(trace.buffer);
    const values: bigint[] = [];
    // Behind the record of its beginning, 24 bytes, each has a number and a value.
    for (let at = TRACE_HEADER + 24; at < trace.length; at += 16)
      values.push(view.getBigUint64(at + 8, true));
    return values;
  });
}

function ringOf() {
  const bytes = new Uint8Array(8192);
  const view = new DataView(bytes.buffer);
  const starts = new Map<number, number>();
  let length = 0;
  const word = (position: number) => firstWord(KEY) + BigInt(position);
  const add = (id: number, frame: number, size: number) => {
    const at = length;
    view.setBigUint64(at, word(at), true);
    view.setUint32(at + FLIGHT.ID, id, true);
    view.setUint32(at + FLIGHT.FRAME, frame, true);
    length += size;
    return at;
  };
  return {
    content: () => ({ bytes, length }),
    start: (frame: number) => void starts.set(frame, add(START_ID, frame, flight.layout.size)),
    value: (id: number, frame: number, value: bigint) =>
      view.setBigUint64(add(id, frame, FLIGHT.FIELDS + 8) + FLIGHT.FIELDS, value, true),
    /** In the block. */
    place: (id: typeof EARLY | typeof LATE, frame: number, value: bigint) => {
      const start = starts.get(frame)!;
      const at = start + OFFSETS[id]!;
      view.setBigUint64(at, word(start), true);
      view.setBigUint64(at + 8, word(length), true);
      view.setBigUint64(at + 16, value, true);
    },
    end: (frame: number) => {
      const start = starts.get(frame);
      if (start === undefined) return;
      view.setBigUint64(start + END_POSITION, word(length), true);
      view.setBigUint64(start + START.END, word(start), true);
    },
    /** What a run of an earlier lap has left in a block that is not begun yet. */
    leftover: (id: typeof EARLY | typeof LATE, value: bigint) => {
      view.setBigUint64(length + OFFSETS[id]!, firstWord(KEY) - 4096n, true);
      view.setBigUint64(length + OFFSETS[id]! + 16, value, true);
    },
  };
}

const ONE = 0x1_0000;
const OTHER = 0x9_0000;

describe('records of a run that began before what was read', () => {
  test('are nobody else’s', () => {
    const values = valuesOf((ring) => {
      ring.start(ONE);
      ring.value(IN_LOOP, OTHER, 1n);
      ring.value(IN_FUNCTION, OTHER - 64, 2n);
      ring.value(IN_LOOP, ONE, 3n);
      ring.value(IN_FUNCTION, ONE - 64, 4n);
      ring.end(OTHER);
      ring.end(ONE);
    });
    expect(values).toEqual([[3n, 4n]]);
  });

  test('on the same stack are not those of one that begins deeper', () => {
    const values = valuesOf((ring) => {
      ring.start(ONE - 512);
      ring.value(IN_FUNCTION, ONE - 600, 1n);
      ring.end(ONE - 512);
      ring.value(IN_LOOP, ONE, 2n);
      ring.end(ONE);
    });
    expect(values).toEqual([[1n]]);
  });
});

test('a run that was left without an end takes nothing from the next one on its stack', () => {
  const values = valuesOf((ring) => {
    ring.start(ONE - 128);
    ring.start(ONE);
    ring.value(IN_FUNCTION, ONE - 256, 1n);
    ring.end(ONE);
  });
  expect(values).toEqual([[1n]]);
});

test('what was recorded in the block and outside of it comes in the order in which the run wrote it', () => {
  const values = valuesOf((ring) => {
    ring.start(ONE);
    ring.place(EARLY, ONE, 1n);
    ring.value(IN_LOOP, ONE, 2n);
    ring.value(IN_LOOP, ONE, 3n);
    ring.place(LATE, ONE, 4n);
    ring.value(IN_FUNCTION, ONE - 64, 5n);
    ring.end(ONE);
  });
  expect(values).toEqual([[1n, 2n, 3n, 4n, 5n]]);
});

test('what an earlier run has left in the block is not the run’s', () => {
  const values = valuesOf((ring) => {
    ring.leftover(LATE, 9n);
    ring.start(ONE);
    ring.place(EARLY, ONE, 1n);
    ring.end(ONE);
  });
  expect(values).toEqual([[1n]]);
});

test('a run that has not ended is not shown, nor what others have written since as its own', () => {
  const values = valuesOf((ring) => {
    ring.start(ONE);
    ring.place(EARLY, ONE, 1n);
    ring.start(OTHER);
    ring.value(IN_LOOP, OTHER, 2n);
    ring.end(OTHER);
    ring.value(IN_LOOP, OTHER, 3n);
  });
  expect(values).toEqual([[2n]]);
});

test('runs within one another keep apart', () => {
  const values = valuesOf((ring) => {
    ring.start(ONE);
    ring.value(IN_FUNCTION, ONE - 64, 1n);
    ring.start(ONE - 1024);
    ring.value(IN_FUNCTION, ONE - 1100, 2n);
    ring.end(ONE - 1024);
    ring.value(IN_LOOP, ONE, 3n);
    ring.end(ONE);
  });
  expect(values).toEqual([[1n, 3n], [2n]]);
});

test('where functions have stacks of their own, one that may be of either of two runs spoils both', () => {
  const values = valuesOf((ring) => {
    ring.start(ONE);
    ring.value(IN_FUNCTION, 0x100, 1n);
    ring.start(OTHER);
    ring.value(IN_FUNCTION, 0x100, 2n);
    ring.end(OTHER);
    ring.end(ONE);
    ring.start(ONE);
    ring.value(IN_FUNCTION, 0x100, 3n);
    ring.end(ONE);
  }, true);
  expect(values).toEqual([[3n]]);
  expect(mayHavePrivateStacks('kprobe', { major: 6, minor: 13 })).toBe(true);
  expect(mayHavePrivateStacks('kprobe', { major: 6, minor: 12 })).toBe(false);
  expect(mayHavePrivateStacks('xdp', { major: 6, minor: 18 })).toBe(false);
});
