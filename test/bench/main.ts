/** The speed that BPF Studio promises, measured. Exit status 1 when a bound is not kept. */
import { rmSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { editToExplanation, editToVerdict, keystroke } from './editor';
import { READER_ARGUMENT, logReading, readerProcess } from './log';
import { hasBpftool, readMap, verifyObjects, vmStart } from './kernel';
import { flightRecorder, snapshots } from './live';
import type { Line } from './measure';
import { longReplay, recordingCost } from './recording';
import { openWorkshop, type Workshop } from './workshop';

const isReader = process.argv[2] === READER_ARGUMENT;
const { values } = parseArgs({
  args: isReader ? [] : process.argv.slice(2),
  options: { veristat: { type: 'string' }, bpfvv: { type: 'string' }, only: { type: 'string' } },
});

const benchmarks: Record<string, (workshop: Workshop) => Promise<Line | Line[]>> = {
  verdict: editToVerdict,
  explained: editToExplanation,
  objects: (workshop) => verifyObjects(workshop, values.veristat),
  keystroke,
  log: (workshop) => logReading(workshop, values.bpfvv),
  map: readMap,
  vm: vmStart,
  recording: recordingCost,
  replay: longReplay,
  snapshots,
  flight: flightRecorder,
};

async function main(): Promise<number> {
  if (isReader) {
    await readerProcess(process.argv.slice(3));
    return 0;
  }
  if (process.geteuid?.() !== 0) {
    console.error('bench: loading programs on this machine needs root: sudo -E npm run bench');
    return 2;
  }
  if (!hasBpftool()) {
    console.error('bench: bpftool is the measure for two lines and is not here: npm run setup');
    return 2;
  }
  const workshop = await openWorkshop();
  let kept = true;
  try {
    for (const [name, measure] of Object.entries(benchmarks)) {
      if (values.only && !values.only.split(',').includes(name)) continue;
      for (const line of [await measure(workshop)].flat()) {
        console.log(describe(line));
        if (!line.skipped && line.value > line.bound) kept = false;
      }
    }
  } finally {
    await workshop.dispose();
    rmSync(workshop.directory, { recursive: true, force: true });
  }
  return kept ? 0 : 1;
}

function describe({ name, ours, theirs, value, bound, skipped }: Line): string {
  if (skipped) return `skipped  ${name}: ${skipped}`;
  const mark = value <= bound ? 'ok      ' : 'TOO MUCH';
  const both = theirs ? ` (${ours} / ${theirs})` : '';
  return `${mark} ${name}: ${value.toFixed(2)}${both}, at most ${bound}`;
}

main().then(
  (status) => process.exit(status),
  (error: unknown) => {
    console.error(error);
    process.exit(2);
  },
);
