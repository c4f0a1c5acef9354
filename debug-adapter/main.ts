/** The debug adapter's process: DAP on standard input and output. */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { openKernel } from '../kernel/client/open';
import { parseTarget } from '../kernel/targets/target';
import { badConfiguration, noTarget } from './errors';
import { BpfDebugSession, type OpenKernel } from './session';

const distDirectory = path.dirname(fileURLToPath(import.meta.url));
const NAME = 'debug adapter';
const PATIENCE_MS = 5000;

const open: OpenKernel = async ({ target, hostSocket }, log, signal) => {
  const spec = target === undefined || target === '' ? undefined : parseTarget(target);
  if (spec && 'problem' in spec)
    throw badConfiguration(`In the launch configuration, "target": ${spec.problem}.`);
  const opened = await openKernel(
    hostSocket === undefined
      ? // Only a window can ask for a password; the adapter has no terminal.
        { target: spec, name: NAME, distDirectory, elevate: 'never', log, signal }
      : { socket: hostSocket, name: NAME, signal },
  );
  if ('code' in opened) throw noTarget(opened.message, opened.hint);
  return opened;
};

const session = new BpfDebugSession(open, () => {
  // Answers still in the pipe are written first; nothing else keeps the process.
  process.stdout.write('', () => process.exit(0));
});

/** A client that went away without disconnecting leaves nothing behind either. */
function leave(): void {
  // A host that does not answer releases everything once the connection is gone, which this process ends with it.
  setTimeout(() => process.exit(1), PATIENCE_MS).unref();
  void session.end().finally(() => process.exit(0));
}
process.stdin.on('end', leave);
process.stdin.on('close', leave);
process.stdout.on('error', leave);
process.on('SIGTERM', leave);
process.on('SIGINT', leave);

session.start(process.stdin, process.stdout);
