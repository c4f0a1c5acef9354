import type { ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import type { ChannelMux } from '../../client/mux';
import { imageVmlinuxDirectory } from '../../client/vmlinux-header';
import { privateDirectory } from '../private-directory';
import type { TargetProblem } from '../target';
import { boot, type PreparedGuest } from './boot';
import { buildGuest } from './boot-plan';
import { bootableImage } from './image';
import { buildOf, kernelCache, requiredModules } from './kernels';
import { now, type RelayMessage, type RelayRequest, type Tell } from './messages';
import { collectModules } from './modules';
import { accelerators } from './qemu';

/** Starts the VM and serves it until it ends; calling the result ends it. The process exits with it. */
export function runVm(request: RelayRequest, tell: Tell): () => void {
  // For sockets and the initramfs.
  const directory = privateDirectory('vm');
  let qemu: ChildProcess | undefined;
  let ended = false;
  const finish = (message?: RelayMessage): void => {
    if (ended) return;
    ended = true;
    if (message) tell(message);
    rmSync(directory, { recursive: true, force: true });
    // Let what was told be written; nothing else keeps this process.
    const leave = (): void => void process.stdout.end(() => process.exit());
    if (!qemu || qemu.exitCode !== null || qemu.signalCode !== null || qemu.pid === undefined) return leave();
    // What the guest's kernel held is gone when QEMU is, not when it was told to go.
    qemu.once('exit', leave);
    qemu.kill('SIGKILL');
  };

  const start = async (): Promise<void> => {
    const guest = await prepare(request, directory);
    if ('code' in guest) return finish({ event: 'problem', problem: guest });
    tell({ event: 'phase', name: 'prepared', ms: now() });
    const attempts = [...accelerators(), 'tcg' as const];
    for (const [i, accelerator] of attempts.entries()) {
      if (ended) return;
      const mayRetry = i < attempts.length - 1;
      const vm = await boot(request, guest, accelerator, mayRetry, tell, (child) => {
        qemu = child;
        if (i === 0) writeHeader(request, guest.image, tell);
      });
      if ('again' in vm) {
        tell({ event: 'log', line: `vm: with ${accelerator}: ${vm.again}; starting again` });
        continue;
      }
      if ('code' in vm) return finish({ event: 'problem', problem: vm });
      // QEMU has it in memory; it may lie on a tmpfs, where it would take 90 MB as long as the VM lives.
      rmSync(guest.initramfs);
      void vm.ended.then((reason) => finish({ event: 'gone', reason }));
      const socketPath = await serve(path.join(directory, 'host.sock'), vm.host);
      const testSocketPath = vm.test && (await serve(path.join(directory, 'test.sock'), vm.test));
      return tell({ event: 'ready', socketPath, ...(testSocketPath ? { testSocketPath } : {}) });
    }
  };
  start().catch((error: Error) => {
    const message = `The VM could not be started: ${error.message}`;
    const hint = 'Check that the disk and the temporary directory have room, and start it again.';
    finish({ event: 'problem', problem: { code: 'internal', message, hint } });
  });
  return () => finish();
}

async function prepare(request: RelayRequest, directory: string): Promise<PreparedGuest | TargetProblem> {
  const { kernel } = request;
  const hint =
    'Choose another kernel (BPF: Select Kernel in the editor, --target vm:PATH-TO-VMLINUZ in a terminal).';
  const [image, modules] = await Promise.all([
    bootableImage(kernel.image),
    kernel.modules === undefined ? [] : collectModules(kernel.modules, requiredModules),
  ]);
  if ('problem' in image) return { code: 'bootFailed', message: `${image.problem}.`, hint };
  if ('problem' in modules) {
    return { code: 'bootFailed', message: `Linux ${kernel.release}: ${modules.problem}.`, hint };
  }
  const configuration = [`config-${kernel.release}`, 'config']
    .map((name) => path.join(path.dirname(kernel.image), name))
    .find((file) => existsSync(file));
  const { shares, initramfs } = buildGuest({
    node: request.node,
    electron: request.electron,
    dist: request.dist,
    modules,
    release: kernel.release,
    ...(kernel.modules ? { modulesDirectory: kernel.modules } : {}),
    ...(configuration ? { configuration: readFileSync(configuration) } : {}),
    ...(request.testAgent ? { testAgent: request.testAgent } : {}),
  });
  const file = path.join(directory, 'initramfs');
  writeFileSync(file, initramfs);
  return { image: image.file, initramfs: file, shares };
}

/**
 * While the guest boots, writes its kernel's vmlinux.h into the cache, where clients look before they ask the guest,
 * which takes seconds for it under emulation. Clients ask when this fails, so the reason goes to the log.
 */
function writeHeader({ dist, kernel }: RelayRequest, image: string, tell: Tell): void {
  const build = buildOf(kernel);
  if (image === kernel.image || build === undefined) return;
  const identity = { release: kernel.release, machine: os.machine(), build };
  imageVmlinuxDirectory(dist, path.dirname(kernelCache()), identity, image).catch((error: Error) =>
    tell({ event: 'log', line: `vm: no vmlinux.h from ${image}: ${error.message}` }),
  );
}

/** Listens on a socket in the private directory; each connection becomes a channel. Resolves with the path. */
function serve(socketPath: string, mux: ChannelMux): Promise<string> {
  const server = net.createServer((socket) => {
    const channel = mux.open();
    socket.on('error', () => channel.destroy());
    channel.on('error', () => socket.destroy());
    socket.on('close', () => channel.destroy());
    channel.on('close', () => socket.destroy());
    socket.pipe(channel).pipe(socket);
  });
  return new Promise((resolve, reject) => {
    server.on('error', reject);
    server.listen(socketPath, () => resolve(socketPath));
  });
}
