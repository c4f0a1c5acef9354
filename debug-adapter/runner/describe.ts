/** Runs, records and rejections as text, one line each, for consoles and terminals. */
import path from 'node:path';
import { Severity } from '../../toolchain/diagnostic';
import { assumptionsOf } from '../../toolchain/load-failure/assumptions';
import { toDiagnostics } from '../../toolchain/verifier/diagnostics';
import { explain } from '../../toolchain/verifier/report';
import { describeDiagnostic } from './compile';
import type { LoadedObject } from './load';
import type { ProgramFile } from './object';
import { format } from '../../toolchain/btf/format';
import { hexdump } from '../../toolchain/packet/hexdump';
import type { ProgramVerdict } from '../../kernel/protocol';
import { recordTypeName, type MapRecord } from './records';
import type { RunReport } from './run';
import type { TraceLine } from './trace-pipe';

/** `xdp_drop returned XDP_DROP (1) in 39 ns`, and what became of packet and context. */
export function describeRun(report: RunReport): string[] {
  return [...describeNotes(report), ...describeResult(report)];
}

/** As {@link describeRun}, without the notes. */
export function describeResult(report: RunReport): string[] {
  const { program, returned, input, difference, fields } = report;
  const lines = [`${program.name} returned ${returned.text}${describeTime(report)}`];
  if (input && difference) {
    if (difference.changed) lines.push('packet:', ...difference.lines.map((line) => `  ${line}`));
    else lines.push(`packet: unchanged (${input.data.length} bytes)`);
  }
  if (fields) {
    const values = Object.entries(fields.values).map(([name, value]) => `${name} = ${value}`);
    lines.push(`${fields.struct}: ${values.length > 0 ? values.join(', ') : 'all zero'}`);
  }
  return lines;
}

/** What was done to the input on the way, or stands in for what the configuration left out. */
export function describeNotes({ notes }: RunReport): string[] {
  return notes.map((note) => `note: ${note}`);
}

/** What was settled for an object that leaves it to its own loader, with the sizes that its maps were given. */
export function describeAssumptions({ file, programs, maps }: LoadedObject): string[] {
  return assumptionsOf(file.object, programs).map(({ message, help, sizes }) => {
    const map = maps.find(({ name }) => name === sizes?.map);
    const given = sizes?.members.map((member) =>
      member === 'max_entries' ? `${member} ${map?.maxEntries}` : `${member} ${map?.valueSize}`,
    );
    return [`${message}.`, ...(map && given ? [`Here it has ${given.join(' and ')}.`] : []), help].join(' ');
  });
}

/** BPF_PROG_TEST_RUN measures to the nanosecond and gives the average over all repetitions. */
function describeTime({ duration, repeat, recorded }: RunReport): string {
  if (duration === undefined) return '';
  if (recorded) return ` in ${duration} ns, with its recording`;
  return repeat > 1 ? ` in ${duration} ns on average over ${repeat} runs` : ` in ${duration} ns`;
}

export function describeTraceLine({ task, cpu, message }: TraceLine, ownTask?: RegExp): string {
  const foreign = task !== '' && !ownTask?.test(task);
  return `bpf_printk: ${message}${foreign ? `  (${task}, CPU ${cpu})` : ''}`;
}

/** `events: struct event {pid = 1, comm = "x"}`, or a hexdump where the type is not certain. */
export function describeRecord(record: MapRecord): string[] {
  const cpu = record.cpu === undefined ? '' : ` CPU ${record.cpu}`;
  const heading = `${record.map}${cpu}: ${recordTypeName(record)}`;
  if (record.value) return [`${heading} ${format(record.value, 400)}`];
  return [heading, ...hexdump(record.data, 128).map((row) => `  ${row}`)];
}

/** Lines of a log that a console shows; the verifier's reason stands at the end. */
const LOG_TAIL = 40;

/**
 * A rejection explained where it is in the source, and the end of the verifier's log, which is the truth.
 * @param release `uname -r` of the kernel that spoke.
 */
export function describeRejection(verdict: ProgramVerdict, file: ProgramFile, release: string): string[] {
  const mapPath = (name: string) => path.resolve(path.dirname(file.path), name);
  const { btf } = file.object;
  const report = explain(verdict, { btf, object: file.object, kernel: release, mapPath });
  const lines = toDiagnostics(report, { path: file.path }).flatMap((diagnostic) => [
    describeDiagnostic(diagnostic),
    ...diagnostic.related.map((related) =>
      describeDiagnostic({ ...related, severity: Severity.Information }),
    ),
  ]);
  const log = (verdict.log || verdict.libbpfLog).trimEnd().split('\n');
  const speaker = verdict.log ? "the verifier's log" : "libbpf's log";
  const cut = log.length > LOG_TAIL ? `, its last ${LOG_TAIL} of ${log.length} lines` : '';
  lines.push(`Linux ${release} rejected ${verdict.name} (SEC("${verdict.section}")); ${speaker}${cut}:`);
  return [...lines, ...log.slice(-LOG_TAIL)];
}
