/** Attaching all programs of a session, or none; and taking them off again. */
import { attachAdvice } from './attach-advice';
import type { KernelClient } from '../../kernel/client/client';
import { KernelError } from '../../kernel/client/errors';
import type { AttachSpec, LinkDescription } from '../../kernel/protocol';
import { attachFailed, badConfiguration, describeKernelError } from '../errors';
import type { AttachArguments, ConfiguredSpec } from '../protocol';
import { exampleFor } from './attach-spec';
import type { LoadedObject } from './load';
import { ignoreGone } from './records';

export interface Attachment extends LinkDescription {
  link: number;
  /** C function name; for struct_ops the map's name. */
  program: string;
  /** The program's handle, or for struct_ops the map's, and the hook. */
  handle: number;
  spec: AttachSpec;
  /** Handle of what runs there: the program itself or a variant of it. */
  runs: number;
}

/** A program and its hook, or the map of a struct_ops, which is registered as a whole. */
interface Planned {
  name: string;
  /** Absent for struct_ops. */
  section?: string;
  type: string;
  handle: number;
  spec: AttachSpec;
}

/** What a configuration asks for, in its order; everything in the object when it names nothing. */
function planAttachments(loaded: LoadedObject, wanted: AttachArguments['attach']): Planned[] {
  const attachable = [
    ...loaded.programs.filter(({ type }) => type !== 'struct_ops'),
    ...loaded.maps.filter(({ structOps }) => structOps),
  ];
  const list: NonNullable<AttachArguments['attach']> =
    wanted ?? attachable.map(({ name }) => ({ entry: name }));
  return list.map(({ entry, spec }, index) => {
    const found = attachable.find(({ name }) => name === entry);
    const place = `attach[${index}]`;
    if (!found) throw badConfiguration(`"${place}.entry": ${describeMissing(loaded, entry, attachable)}`);
    const { name, type, handle } = found;
    return {
      name,
      ...('section' in found ? { section: found.section } : {}),
      type,
      handle,
      spec: spec ? withMapHandle(loaded, spec, `${place}.spec.map`) : { hook: 'auto' },
    };
  });
}

function describeMissing(loaded: LoadedObject, entry: string, attachable: { name: string }[]): string {
  const names = attachable.map(({ name }) => name).join(', ');
  return loaded.programs.some(({ name }) => name === entry)
    ? `${entry} is a function of a struct_ops, which is registered as a whole; there are ${names}.`
    : `there is no program "${entry}"; there are ${names}.`;
}

/** Configurations name maps; the kernel host knows them by the handles of this session. */
function withMapHandle(loaded: LoadedObject, spec: ConfiguredSpec, path: string): AttachSpec {
  if (!('map' in spec) || typeof spec.map !== 'string') return spec as AttachSpec;
  const map = loaded.maps.find((candidate) => candidate.name === spec.map);
  if (map) return { ...spec, map: map.handle };
  const names = loaded.maps.map(({ name }) => name).join(', ');
  throw badConfiguration(`"${path}": there is no map "${spec.map}"; there are ${names || 'none'}.`);
}

/**
 * Attaches everything, in order; when one fails, those before it are detached again and the error says what became
 * of each program.
 */
export async function attachAll(
  loaded: LoadedObject,
  wanted: AttachArguments['attach'],
  signal: AbortSignal,
): Promise<Attachment[]> {
  const planned = planAttachments(loaded, wanted);
  if (planned.length === 0)
    throw attachFailed('The object has no program to attach. Mark a function with SEC("…").');
  const done: Attachment[] = [];
  for (const plan of planned) {
    const { type, handle, spec } = plan;
    await orRollBack(loaded, plan, planned, done, () =>
      type === 'struct_ops'
        ? loaded.kernel.request('attachStructOps', { map: handle }, { signal })
        : loaded.kernel.request('attach', { program: handle, spec }, { signal }),
    );
  }
  return done;
}

/** One attachment; when the kernel refuses it, those before it are undone and the error tells about all. */
async function orRollBack(
  loaded: LoadedObject,
  plan: Planned,
  planned: readonly Planned[],
  done: Attachment[],
  attach: () => Promise<Omit<Attachment, 'program' | 'handle' | 'spec' | 'runs'>>,
): Promise<void> {
  try {
    const { name: program, handle, spec } = plan;
    done.push({ ...(await attach()), program, handle, spec, runs: handle });
  } catch (error) {
    if (!(error instanceof KernelError) || error.code === 'hostGone') throw error;
    await detachAll(loaded.kernel, done);
    if (error.code === 'cancelled') throw error;
    const section = loaded.programs.find(({ name }) => name === plan.name)?.section ?? '';
    const advice = await attachAdvice(loaded.kernel, error.errno, plan.spec, section);
    const unsupported = error.code === 'unsupported';
    throw attachFailed(describeFailure(plan, error, done, planned, advice), { unsupported });
  }
}

function describeFailure(
  { name, section, spec }: Planned,
  error: KernelError,
  done: Attachment[],
  planned: readonly Planned[],
  instead: string,
): string {
  // libbpf answers EOPNOTSUPP when SEC() names no target; any other failure is not for want of a choice.
  const undecided = spec.hook === 'auto' && error.errno === 'EOPNOTSUPP';
  const example = undecided && section !== undefined ? exampleFor(section) : undefined;
  const advice = example === undefined ? instead && ` ${instead}` : ` For example "spec": ${example}.`;
  const reports = planned.map((other) => {
    if (other.name === name) return `${name}: failed`;
    const attached = done.find((attachment) => attachment.program === other.name);
    return attached
      ? `${other.name}: was attached (${attached.description}), detached again`
      : `${other.name}: not tried`;
  });
  const others = planned.length > 1 ? ` (${reports.join('; ')})` : '';
  const words = describeKernelError(error);
  const subject = words.startsWith(name) ? '' : `${name} could not be attached: `;
  return `${subject}${words}${advice}${others}`;
}

/** What became of an attachment that was to run something else. */
export type Reattached =
  /** It does. `notes`: what deserves to be told. */
  | { outcome: 'done'; notes: string[] }
  /** It runs what it ran before, or the program itself. */
  | { outcome: 'refused'; reason: string }
  /** Nothing is attached there any more. */
  | { outcome: 'lost'; reason: string };

/**
 * Lets an attachment run a variant of its program, or with the program's own handle the program itself: from one moment
 * to the next where the kernel can exchange the program of such an attachment, and otherwise by attaching anew.
 */
export async function reattach(
  { kernel }: LoadedObject,
  attachment: Attachment,
  wanted: number,
): Promise<Reattached> {
  if (attachment.runs === wanted) return { outcome: 'done', notes: [] };
  const isVariant = wanted !== attachment.handle;
  try {
    const { exchanged } = await kernel.request('linkExchange', { link: attachment.link, program: wanted });
    if (exchanged) {
      attachment.runs = wanted;
      return { outcome: 'done', notes: isVariant ? notesOf(attachment) : [] };
    }
  } catch (error) {
    const reason = refusalOf(error);
    if ((error as KernelError).errno === DETACHED)
      return { outcome: 'lost', reason: 'what it was attached to is gone, or somebody detached it' };
    // Watching a hook is not worth a moment without its program; that it gets its program back is.
    if (isVariant) return { outcome: 'refused', reason };
  }
  return attachAnew(kernel, attachment, wanted);
}

/** What links answer that are attached to nothing any more (`update_prog` of struct bpf_link_ops). */
const DETACHED = 'ENOLINK';

/** With the program itself where the kernel does not take what is wanted. */
async function attachAnew(kernel: KernelClient, attachment: Attachment, wanted: number): Promise<Reattached> {
  const { handle: program, spec, program: name } = attachment;
  const attach = async (runs: number) => {
    await kernel.request('programExchange', { program, variant: runs });
    try {
      Object.assign(attachment, await kernel.request('attach', { program, spec }), { runs });
    } finally {
      await kernel.request('programExchange', { program, variant: program });
    }
  };
  const detached = performance.now();
  await kernel.request('detach', { link: attachment.link }).catch(refusalOf);
  let refused: string | undefined;
  try {
    await attach(wanted);
  } catch (error) {
    refused = refusalOf(error);
    try {
      await attach(program);
    } catch (another) {
      return { outcome: 'lost', reason: refusalOf(another) };
    }
  }
  if (refused !== undefined && wanted !== program) return { outcome: 'refused', reason: refused };
  const gap = (performance.now() - detached).toFixed(0);
  return {
    outcome: 'done',
    notes: [
      `${name} was detached from ${attachment.description} for ${gap} ms: the kernel cannot exchange the program of such an attachment. What happened meanwhile was not seen.`,
    ],
  };
}

/** A socket takes the programs of its map when it is put in (sock_map_link), and keeps them. */
function notesOf({ spec, program, description }: Attachment): string[] {
  if (spec.hook !== 'sockmap') return [];
  return [
    `Sockets that were in the map before (${description}) go on with ${program} as it was when they were put in; what is watched is the sockets that are put in from now on.`,
  ];
}

/** The kernel's refusal in words; throws what is none. */
function refusalOf(error: unknown): string {
  if (!(error instanceof KernelError) || error.code === 'hostGone') throw error;
  return describeKernelError(error);
}

/** Detaches all; a link that is gone already is what was wanted. Reports what could not be detached. */
export async function detachAll(kernel: KernelClient, attachments: readonly Attachment[]): Promise<string[]> {
  const problems: string[] = [];
  for (const { link, description } of [...attachments].reverse()) {
    try {
      await kernel.request('detach', { link }).catch(ignoreGone);
    } catch (error) {
      problems.push(
        `${description}: ${error instanceof KernelError ? describeKernelError(error) : String(error)}`,
      );
    }
  }
  return problems;
}
