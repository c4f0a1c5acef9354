/** Sessions with kernels beside the window's own, for the matrix and the second opinion. */
import path from 'node:path';
import { kernelsAtHand, thisMachine, type MatrixKernel } from '../../kernel-matrix/choose';
import { openKernel, type OpenedKernel } from '../../kernel/client/open';
import type { TargetProblem } from '../../kernel/targets/target';
import { buildOf } from '../../kernel/targets/vm/kernels';
import { explain } from '../../toolchain/verifier/report';
import { toDiagnostics } from '../../toolchain/verifier/diagnostics';
import { placesInText } from '../../toolchain/verifier/places';
import { readBpfObject } from '../../toolchain/elf/object';
import type { Diagnostic } from '../../toolchain/diagnostic';
import type { ProgramVerdict } from '../../kernel/protocol';
import type { Services } from '../services';

/** Whether the window's kernel is this machine's; then its host, which has the privileges, is shared. */
function windowIsLocal({ kernel: { state } }: Services): boolean {
  return state.phase === 'running' && !state.kernel.label.startsWith('vm ');
}

/** What the user can choose among, oldest first. */
export function kernelsForWindow(services: Services): MatrixKernel[] {
  const atHand = kernelsAtHand();
  const hasLocal = atHand.some(({ target }) => target.kind === 'local');
  if (hasLocal || !windowIsLocal(services)) return atHand;
  return [...atHand, thisMachine()];
}

/** A session of its own; on the window's host when that runs this kernel. Nobody is asked for a password. */
export function openForWindow(
  kernel: MatrixKernel,
  services: Services,
  signal: AbortSignal,
): Promise<OpenedKernel | TargetProblem> {
  const { state } = services.kernel;
  if (state.phase === 'running' && isWindowKernel(kernel, services)) {
    return openKernel({ socket: state.kernel.socketPath, name: 'editor', signal });
  }
  return openKernel({
    target: kernel.target,
    name: 'editor',
    distDirectory: services.installed('dist'),
    elevate: 'never',
    log: (line) => services.log.info(line),
    signal,
  });
}

function isWindowKernel({ target, release, image }: MatrixKernel, services: Services): boolean {
  const { state } = services.kernel;
  if (state.phase !== 'running') return false;
  if (target.kind === 'local') return windowIsLocal(services);
  const running = state.kernel.client.hello.kernel;
  return (
    !windowIsLocal(services) &&
    image !== undefined &&
    running.release === release &&
    running.build === buildOf(image)
  );
}

/** Turns verdicts on an object that was compiled from `text` into findings. */
export function explainerFor(
  object: Uint8Array,
  file: string,
  text: string,
): (verdict: ProgramVerdict, kernel: string) => Diagnostic[] {
  const read = readBpfObject(Uint8Array.from(object));
  const btf = read.ok ? read.value.btf : undefined;
  const places = placesInText(file, text);
  const mapPath = (name: string) => path.resolve(path.dirname(file), name);
  return (verdict, kernel) => toDiagnostics(explain(verdict, { btf, mapPath, kernel }), places);
}
