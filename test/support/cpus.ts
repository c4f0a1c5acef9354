/** CPUs of the machine that the tests run on. */
import { readFileSync } from 'node:fs';

/** The last CPU that is online; 0 where there is but one. */
export function lastCpu(): number {
  // A list such as 0-3,6.
  return Number(/\d+$/.exec(readFileSync('/sys/devices/system/cpu/online', 'utf8').trim())![0]);
}
