/** Which hook each program goes to, from the command line, its SEC() and its name. */
import type { AttachArguments } from '../debug-adapter/protocol';
import type { LoadedObject } from '../debug-adapter/runner/load';
import { exampleFor, readSpec } from '../debug-adapter/runner/attach-spec';
import type { AttachSpec, LoadedProgram } from '../kernel/protocol';
import { fail, succeed, type Outcome } from '../toolchain/problem';
import { text, usage, type Arguments, type Options } from './command';

export const attachTargetOptions: Options = {
  interface: { type: 'string', short: 'i' },
  netns: { type: 'string' },
  mode: { type: 'string' },
  direction: { type: 'string' },
  cgroup: { type: 'string' },
  spec: { type: 'string' },
};

/** One entry for each loaded program. Undefined where SEC() says it all and the object is attached as a whole. */
export async function attachSpecs(
  loaded: LoadedObject,
  args: Arguments,
): Promise<Outcome<AttachArguments['attach']>> {
  const given = text(args, 'spec');
  if (given !== undefined) return exactly(loaded, given);
  // A struct_ops object is attached by its maps, which no command line describes.
  if (loaded.maps.some((map) => map.structOps)) return succeed(undefined);
  const entries: NonNullable<AttachArguments['attach']> = [];
  for (const program of loaded.programs) {
    const spec = await specFor(loaded, program, args);
    if (!spec.ok) return spec;
    entries.push({ entry: program.name, spec: spec.value });
  }
  return succeed(entries);
}

function exactly(loaded: LoadedObject, given: string): Outcome<AttachArguments['attach']> {
  const [program, ...others] = loaded.programs;
  if (!program || others.length > 0)
    return usage('attach', '--spec is for one program: choose it with --prog');
  let value: unknown;
  try {
    value = JSON.parse(given);
  } catch (error) {
    const example = exampleFor(program.section) ?? exampleFor('xdp');
    return fail(
      'cli/json',
      `--spec is not JSON: ${(error as Error).message}.`,
      `For ${program.name}, SEC("${program.section}"): --spec '${example}'`,
    );
  }
  const read = readSpec(value);
  if (read.ok) return succeed([{ entry: program.name, spec: read.spec }]);
  const member = read.path.length > 0 ? `"${read.path.join('.')}": ` : '';
  return fail('cli/spec', `--spec: ${member}${read.problem}.`, `${read.example}, quoted: --spec '{…}'`);
}

async function specFor(
  loaded: LoadedObject,
  program: LoadedProgram,
  args: Arguments,
): Promise<Outcome<AttachSpec>> {
  const device = text(args, 'interface');
  const cgroup = text(args, 'cgroup');
  switch (program.type) {
    case 'xdp':
    case 'sched_cls':
    case 'socket_filter': {
      if (device === undefined) return needsInterface(loaded, program, args);
      return deviceSpec(program, device, args);
    }
    case 'sock_ops':
      return cgroup === undefined ? needsCgroup(program) : succeed({ hook: 'cgroup', path: cgroup });
    default:
      if (!program.type.startsWith('cgroup_')) return succeed({ hook: 'auto' });
      return cgroup === undefined ? needsCgroup(program) : succeed({ hook: 'cgroup', path: cgroup });
  }
}

function deviceSpec(program: LoadedProgram, device: string, args: Arguments): Outcome<AttachSpec> {
  const netns = namespacePath(text(args, 'netns'));
  const where = { interface: device, ...(netns === undefined ? {} : { netns }) };
  if (program.type === 'socket_filter') return succeed({ hook: 'socket', ...where });
  if (program.type === 'xdp') {
    const mode = text(args, 'mode');
    if (mode === undefined) return succeed({ hook: 'xdp', ...where });
    if (mode !== 'native' && mode !== 'generic' && mode !== 'offload') {
      return usage('attach', `--mode is native, generic or offload, not ${mode}`);
    }
    return succeed({ hook: 'xdp', mode, ...where });
  }
  const direction = text(args, 'direction') ?? directionOf(program);
  if (direction === 'ingress' || direction === 'egress') {
    return succeed({ hook: 'tc', direction, implementation: 'auto', ...where });
  }
  return usage(
    'attach',
    direction === undefined
      ? `nothing says whether ${program.name} is for ingress or egress: add --direction`
      : `--direction is ingress or egress, not ${direction}`,
  );
}

/** `SEC("tcx/egress")`, or a plain `SEC("tc")` on a function whose name says it. */
function directionOf({ section, name }: LoadedProgram): 'ingress' | 'egress' | undefined {
  for (const words of [section, name]) {
    const found = (['ingress', 'egress'] as const).filter((direction) => words.includes(direction));
    if (found.length === 1) return found[0];
  }
  return undefined;
}

/** `ip netns` keeps its namespaces in /run/netns. */
function namespacePath(given: string | undefined): string | undefined {
  return given === undefined || given.includes('/') ? given : `/run/netns/${given}`;
}

async function needsInterface(
  { kernel }: LoadedObject,
  program: LoadedProgram,
  args: Arguments,
): Promise<Outcome<AttachSpec>> {
  const netns = namespacePath(text(args, 'netns'));
  const { interfaces } = await kernel.request('listInterfaces', netns === undefined ? {} : { netns });
  const names = interfaces.map(({ name, up }) => (up ? name : `${name} (down)`)).join(', ');
  return fail(
    'cli/interface',
    `${program.name} (SEC("${program.section}")) needs an interface.`,
    `--interface IF; there are ${names || 'none'}.`,
  );
}

function needsCgroup(program: LoadedProgram): Outcome<AttachSpec> {
  return fail(
    'cli/cgroup',
    `${program.name} (SEC("${program.section}")) needs a cgroup.`,
    '--cgroup /sys/fs/cgroup for every process, or the path of a narrower one.',
  );
}
