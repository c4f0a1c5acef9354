/** What to try instead of an attach point that the kernel does not have. */
import type { KernelClient } from '../../kernel/client/client';
import { kernelLists } from '../../kernel/client/lists';
import type { AttachSpec } from '../../kernel/protocol';
import { attachPointOf, hintForAttachPoint } from '../../toolchain/load-failure/attach-point';
import type { AttachPoint } from '../../toolchain/load-failure/attach-point';

/** errno of an attachment to something that is not there, by the different ways to attach. */
const NOT_THERE = /^(ENOENT|ESRCH|EINVAL|ENODEV)$/;

/**
 * Names that the kernel has and that are close to the one it has not; empty when the name is there or the kernel
 * does not show its lists. `section` is the program's, which says the rest for `auto`.
 */
export async function attachAdvice(
  kernel: KernelClient,
  errno: string | undefined,
  spec: AttachSpec,
  section: string,
): Promise<string> {
  if (errno === undefined || !NOT_THERE.test(errno)) return '';
  const point = pointOf(spec, section);
  if (!point) return '';
  const hint = await hintForAttachPoint(point, kernelLists(kernel), { release: kernel.hello.kernel.release });
  return hint?.help ?? '';
}

function pointOf(spec: AttachSpec, section: string): AttachPoint | undefined {
  switch (spec.hook) {
    case 'auto':
      return attachPointOf(section);
    case 'kprobe':
      return attachPointOf(`kprobe/${spec.function}`);
    case 'kprobeMulti':
      return spec.pattern === undefined ? undefined : attachPointOf(`kprobe.multi/${spec.pattern}`);
    case 'tracepoint':
      return attachPointOf(`tracepoint/${spec.category}/${spec.name}`);
    case 'rawTracepoint':
      return attachPointOf(`raw_tracepoint/${spec.name}`);
    default:
      return undefined;
  }
}
