/** For bounds on how long something computes, which other processes must not change. */

/** Milliseconds of processor time that this process spends on `work`, its garbage collection included. */
export function cpuMilliseconds(work: () => unknown): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}
