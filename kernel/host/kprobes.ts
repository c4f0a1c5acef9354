/** Whether this kernel can put probes on its own functions, which is a matter of its configuration alone. */
import { existsSync } from 'node:fs';
import os from 'node:os';

/** The kprobe PMU is registered by kernel/trace/trace_probe's events, which CONFIG_KPROBE_EVENTS builds. */
export function hasKprobes(): boolean {
  return existsSync('/sys/bus/event_source/devices/kprobe');
}

/** Why not, as a clause without a full stop. */
export function noKprobes(): string {
  return `Linux ${os.release()} was built without kprobes (CONFIG_KPROBES, CONFIG_KPROBE_EVENTS)`;
}
