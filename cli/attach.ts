/** `bpf-studio attach`: programs on their real hooks for as long as the command runs. */
import { attachAll, detachAll, type Attachment } from '../debug-adapter/runner/attachments';
import type { LoadedObject } from '../debug-adapter/runner/load';
import type { ProgramFile } from '../debug-adapter/runner/object';
import { succeed } from '../toolchain/problem';
import { attachSpecs, attachTargetOptions } from './attach-spec';
import {
  compileOptions,
  flag,
  refuse,
  targetOption,
  text,
  usage,
  type Arguments,
  type Command,
} from './command';
import { printEvents } from './events';
import type { ExitStatus, Io } from './io';
import { problemOf } from './kernel';
import { globalsOf, loadOptions, withLoaded } from './load';
import { watchMaps } from './map-watch';

export const command: Command = {
  help: `bpf-studio attach FILE [--prog NAME]… [--interface IF] [--target TARGET]

Loads FILE, attaches its programs to their hooks, and prints ring-buffer and perf records, bpf_printk lines and changed
map entries until Ctrl-C. Then everything is detached; so it is when the terminal closes or this process is killed.

  -p, --prog NAME      only this program; may be repeated
  -i, --interface IF   for XDP, tc, netkit and socket filters
  --netns NS           the interface's network namespace: a name as in \`ip netns\`, or a path
  --mode MODE          XDP: native or generic; without it the kernel's choice
  --direction DIR      tc: ingress or egress; without it what SEC() or the program's name says
  --cgroup PATH        for cgroup programs and sock_ops
  --spec JSON          exactly this hook, as "spec" in launch.json; with one --prog
  -g, --global X=V     set a global variable before loading; may be repeated
  --no-maps            do not print map entries
  --interval SECONDS   how often maps are looked at; default 1
  -t, --target         local, vm, vm:PATH-TO-VMLINUZ
  --clang, --clang-args, --json

  sudo bpf-studio attach tcp-traffic.bpf.c
  sudo bpf-studio attach firewall.bpf.c -i veth0 -g packets_per_second=100
  sudo bpf-studio attach trace.bpf.o -p on_open --spec '{"hook": "kprobe", "function": "do_sys_openat2", "return": false}'`,
  options: {
    ...targetOption,
    ...compileOptions,
    ...loadOptions,
    ...attachTargetOptions,
    'no-maps': { type: 'boolean', default: false },
    interval: { type: 'string' },
  },
  async run(args, io) {
    const [name, ...more] = args.positionals;
    const globals = globalsOf('attach', args);
    const interval = Number(text(args, 'interval') ?? 1);
    if (name === undefined || more.length > 0) return refuse(io, usage('attach', 'attach takes one FILE'));
    if (!(interval > 0)) {
      return refuse(io, usage('attach', `--interval ${text(args, 'interval')} is not a number of seconds`));
    }
    if (!globals.ok) return refuse(io, globals);
    const choose = (_file: ProgramFile, named: string[] | undefined) => succeed(named);
    return withLoaded({ name, globals: globals.value, choose }, args, io, (loaded) =>
      attachLoaded(loaded, args, interval, io),
    );
  },
};

async function attachLoaded(
  loaded: LoadedObject,
  args: Arguments,
  interval: number,
  io: Io,
): Promise<ExitStatus> {
  const specs = await attachSpecs(loaded, args);
  if (!specs.ok) return refuse(io, specs);
  // Readers first: what the first hit of a program writes must not be lost.
  await printEvents(loaded, io);
  const attachments = await attachAll(loaded, specs.value, io.interrupted);
  for (const { program, description } of attachments) {
    if (io.json) io.outJson({ type: 'attached', program, description });
    else io.err(`${program}: ${description}\n`);
  }
  if (!io.json) io.err('Ctrl-C detaches.\n');
  const maps = flag(args, 'no-maps') ? undefined : watchMaps(loaded, io);
  const status = await untilDone(loaded, attachments, interval, maps, io);
  if (maps && status === 0) await maps.refresh();
  const problems = await detachAll(loaded.kernel, attachments);
  for (const problem of problems) io.err(`bpf-studio: ${problem}\n`);
  return problems.length > 0 ? 2 : status;
}

/** Waits for Ctrl-C, the end of the kernel host, or the last link's end; looks at the maps meanwhile. */
async function untilDone(
  loaded: LoadedObject,
  attachments: Attachment[],
  interval: number,
  maps: ReturnType<typeof watchMaps> | undefined,
  io: Io,
): Promise<ExitStatus> {
  const left = new Set(attachments.map(({ link }) => link));
  let end: (status: ExitStatus) => void = () => {};
  const ended = new Promise<ExitStatus>((resolve) => (end = resolve));
  io.interrupted.addEventListener('abort', () => end(0), { once: true });
  if (io.interrupted.aborted) end(0);
  const subscription = loaded.kernel.on('linkGone', ({ link, description, reason }) => {
    left.delete(link);
    if (io.json) io.outJson({ type: 'linkGone', description, reason });
    else io.err(`bpf-studio: ${description} is gone: ${reason}\n`);
    if (left.size === 0) end(1);
  });
  void loaded.kernel.gone.then((reason) => {
    if (!io.interrupted.aborted) io.err(`bpf-studio: ${reason}\n`);
    end(2);
  });
  let busy = false;
  const timer = setInterval(async () => {
    // A look that takes longer than the interval is not overtaken by the next.
    if (busy || !maps) return;
    busy = true;
    try {
      await maps.refresh();
    } catch (error) {
      const { code, message } = problemOf(error);
      // When the host is gone that is said above.
      if (code !== 'kernel/hostGone') io.err(`bpf-studio: the maps could not be read: ${message}\n`);
    }
    busy = false;
  }, interval * 1000);
  const status = await ended;
  clearInterval(timer);
  subscription.dispose();
  return status;
}
