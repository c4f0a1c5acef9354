/** What loaded programs write while they run, printed as it comes: records of ring and perf buffers, bpf_printk. */
import { describeRecord, describeTraceLine } from '../debug-adapter/runner/describe';
import type { LoadedObject } from '../debug-adapter/runner/load';
import { usesPrintk } from '../debug-adapter/runner/object';
import { RecordReaders } from '../debug-adapter/runner/records';
import { TracePipe } from '../debug-adapter/runner/trace-pipe';
import { toJson } from '../toolchain/btf/format';
import type { Io } from './io';

/** Opens every reader; `flush` resolves when all that was written until now has been printed. */
export async function printEvents(loaded: LoadedObject, io: Io): Promise<{ flush(): Promise<void> }> {
  const readers = await RecordReaders.open(loaded, undefined, {
    record(record) {
      const { map, cpu, data, value } = record;
      if (io.json) io.outJson({ type: 'record', map, cpu, data, value: value && toJson(value) });
      else io.out(`${describeRecord(record).join('\n')}\n`);
    },
    lost(map, count) {
      if (io.json) io.outJson({ type: 'lost', map, count });
      else io.err(`bpf-studio: ${count} records of ${map} were lost: more arrive than can be printed\n`);
    },
  });
  const trace = usesPrintk(loaded.file)
    ? await TracePipe.open(loaded.kernel, (line) => {
        if (io.json) io.outJson({ type: 'trace', ...line });
        else io.out(`${describeTraceLine(line)}\n`);
      })
    : undefined;
  if (trace && 'reason' in trace) io.err(`bpf-studio: bpf_printk lines cannot be read: ${trace.reason}\n`);
  return {
    async flush() {
      await readers.flush();
      if (trace && 'pipe' in trace) await trace.pipe.flush();
    },
  };
}
