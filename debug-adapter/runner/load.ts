/** From an object file to programs and maps in the kernel. */
import type { KernelClient } from '../../kernel/client/client';
import { KernelError } from '../../kernel/client/errors';
import type { LoadedMap, LoadedProgram, ProgramVerdict } from '../../kernel/protocol';
import { kernelRefused, rejected } from '../errors';
import { encodeGlobals } from './globals';
import type { ProgramFile } from './object';

export interface LoadedObject {
  kernel: KernelClient;
  file: ProgramFile;
  programs: LoadedProgram[];
  maps: LoadedMap[];
  /** Unloads programs and maps; safe to call more than once. */
  close(): Promise<void>;
}

export interface LoadOptions {
  /** Programs to load by function name; absent: those that libbpf would load. */
  programs?: string[];
  globals?: Record<string, unknown>;
  attachTargets?: Record<string, string>;
  signal?: AbortSignal;
  /** Told of a rejection before it is thrown: verdict and whole log. */
  onRejected?(verdict: ProgramVerdict): void;
}

/** BPF_MAP_TYPE_PROG_ARRAY */
const PROG_ARRAY = 3;

/**
 * Loads the object, all or nothing. Throws `rejected` after `onRejected` was told, `kernelRefused` for anything else
 * that kernel or libbpf refuse.
 */
export async function loadObject(
  kernel: KernelClient,
  file: ProgramFile,
  options: LoadOptions,
): Promise<LoadedObject> {
  const globals = encodeGlobals(file, options.globals ?? {});
  // Programs that others reach by tail call have to be there too, or the initial values of the map fail.
  const tailCalls = file.object.maps.some((map) => map.typeNumber === PROG_ARRAY);
  const programs = tailCalls ? withAutoloaded(file, options.programs) : options.programs;
  const request = { signal: options.signal };
  try {
    const opened = await kernel.request(
      'objectOpen',
      {
        object: file.bytes,
        ...(programs ? { programs } : {}),
        ...(options.attachTargets ? { attachTargets: options.attachTargets } : {}),
        ...(globals ? { globals } : {}),
      },
      request,
    );
    let closed: Promise<void> | undefined;
    const close = () => (closed ??= closeObject(kernel, opened.object));
    try {
      const loaded = await kernel.request('objectLoad', { object: opened.object, log: 'rejected' }, request);
      return { kernel, file, programs: loaded.programs, maps: loaded.maps, close };
    } catch (error) {
      await close();
      throw error;
    }
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    const verdict = error.programs?.findLast((program) => program.verdict !== 'accepted');
    if (!verdict || error.code !== 'rejected') throw error;
    options.onRejected?.(verdict);
    throw rejected(verdict.name, verdict.message ?? error.message);
  }
}

/** Those that libbpf loads by itself, and the chosen ones of those that it does not: `SEC("?…")`. */
function withAutoloaded({ object }: ProgramFile, chosen: readonly string[] = []): string[] {
  return object.programs
    .filter(({ name, section }) => !section.startsWith('?') || chosen.includes(name))
    .map(({ name }) => name);
}

/** A host that is gone has closed everything already. */
async function closeObject(kernel: KernelClient, object: number): Promise<void> {
  await kernel.request('objectClose', { object }).catch((error: unknown) => {
    if (error instanceof KernelError && error.code === 'hostGone') return;
    throw error instanceof KernelError ? kernelRefused(error) : error;
  });
}
