/** Where tracefs is mounted; mounting it is the user's decision. */
import { existsSync, readFileSync } from 'node:fs';

/** The directory of a mounted tracefs, preferring those that libbpf looks at; undefined when there is none. */
export function findTracefs(): string | undefined {
  const usual = ['/sys/kernel/tracing', '/sys/kernel/debug/tracing'].find((directory) =>
    existsSync(`${directory}/trace_pipe`),
  );
  if (usual) return usual;
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .find((fields) => fields[2] === 'tracefs')?.[1];
}

/** Why there is no tracefs, with the command that brings it. */
export function tracefsMissing(): string {
  if (existsSync('/sys/kernel/tracing')) {
    return 'tracefs is not mounted: `sudo mount -t tracefs tracefs /sys/kernel/tracing` makes tracepoints and bpf_printk output available.';
  }
  return 'This kernel has no tracefs (CONFIG_TRACING): no tracepoints by name and no bpf_printk output.';
}
