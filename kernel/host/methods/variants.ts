/** Requests about variants of loaded programs, and about the memory that variants share with this process. */
import { isAddonError } from '../../addon/addon';
import { failure } from '../errors';
import { LogLevel, parseStats, terminalMessage } from '../log';
import { releaseProgram } from '../session';
import type { Handlers, HeldProgram, Session } from '../session';
import { mapReferences } from '../map-references';

type VariantHandlers = Pick<
  Handlers,
  | 'programPrepared'
  | 'programVariant'
  | 'programVariantClose'
  | 'programExchange'
  | 'linkExchange'
  | 'sharedArrayCreate'
  | 'sharedRead'
  | 'sharedWrite'
>;

/** Statistics and the last path of a rejected variant. */
const VARIANT_LOG_BYTES = 4 * 1024 * 1024;

export const variantHandlers: VariantHandlers = {
  async programPrepared(session, { program: handle }) {
    const program = session.program(handle);
    const { object } = session.object(program.object);
    const prepared = session.host.addon.programPrepared(object, program.name);
    const instructions = prepared.instructions.slice();
    const handles = new Map([...session.maps].map(([id, { fd }]) => [fd, id]));
    for (const reference of mapReferences(instructions)) {
      const found = handles.get(reference.get());
      if (found === undefined) {
        throw failure(
          'unsupported',
          'programPrepared',
          `${program.name} refers to a map that is not its object's`,
        );
      }
      reference.set(found);
    }
    return { ...prepared, instructions };
  },

  async programVariant(session, { program: handle, license, log, ...given }, operation) {
    const original = session.program(handle);
    const { object, programs } = session.object(original.object);
    if (given.instructions.length === 0 || given.instructions.length % 8 !== 0) {
      throw failure('badRequest', 'programVariant', 'instructions are 8 bytes each, and there must be some');
    }
    const instructions = given.instructions.slice();
    for (const reference of mapReferences(instructions)) reference.set(session.map(reference.get()).fd);
    const variant = { ...given, instructions, license, flags: flagsOf(original) };
    const { addon } = session.host;
    const load = (logLevel: number) =>
      addon.programLoadVariant(operation, object, original.name, {
        ...variant,
        logLevel,
        logSize: VARIANT_LOG_BYTES,
      });
    const loaded = await load(LogLevel.Stats);
    if (loaded.fd < 0) {
      const refused = log === 'rejected' ? await load(LogLevel.Paths | LogLevel.Stats) : loaded;
      if (refused.fd >= 0) addon.closeFd(refused.fd);
      const message = terminalMessage(refused.log);
      const why = { errno: loaded.errno ?? 'EINVAL', log: refused.log };
      return { program: null, ...why, ...(message ? { message } : {}) };
    }
    const id = session.newHandle();
    session.programs.set(id, { ...original, fd: loaded.fd, variantOf: handle });
    programs.push(id);
    const stats = parseStats(loaded.log);
    return { program: id, ...(stats ? { stats } : {}) };
  },

  async programVariantClose(session, { program: handle }) {
    const variant = session.program(handle);
    if (variant.variantOf === undefined) {
      throw failure('badRequest', 'programVariantClose', `program ${handle} is no variant; close its object`);
    }
    session.programs.delete(handle);
    const { programs } = session.object(variant.object);
    programs.splice(programs.indexOf(handle), 1);
    releaseProgram(session.host.addon, variant);
    return {};
  },

  async programExchange(session, { program: handle, variant: other }) {
    const program = session.program(handle);
    const variant = session.program(other);
    if (other !== handle && variant.variantOf !== handle) {
      throw failure('badRequest', 'programExchange', `program ${other} is no variant of program ${handle}`);
    }
    const { object } = session.object(program.object);
    const { addon } = session.host;
    if (program.exchanged !== undefined) {
      // The descriptor that was kept is the program itself; it returns to its number.
      addon.closeFd(addon.programExchange(object, program.name, program.exchanged));
      addon.closeFd(program.exchanged);
      program.exchanged = undefined;
    }
    if (other !== handle) program.exchanged = addon.programExchange(object, program.name, variant.fd);
    return {};
  },

  async linkExchange(session, { link: handle, program: other }, operation) {
    const held = session.links.get(handle);
    if (!held) throw failure('badRequest', 'linkExchange', `this session has no link ${handle}`);
    const program = session.program(other);
    if (program.object !== held.object) {
      throw failure(
        'badRequest',
        'linkExchange',
        `program ${other} is of another object than link ${handle}`,
      );
    }
    if (held.exchange) {
      await held.exchange(program, operation);
      return { exchanged: true };
    }
    // What is attached without a link has nothing to update.
    if (!held.link || held.id === undefined) return { exchanged: false };
    try {
      await session.host.addon.linkUpdate(operation, held.link, program.fd);
      return { exchanged: true };
    } catch (error) {
      if (isAddonError(error) && CANNOT_UPDATE.has(error.code)) return { exchanged: false };
      throw error;
    }
  },

  async sharedArrayCreate(session, { name, bytes }, operation) {
    const { fd, memory } = await session.host.addon.sharedArrayCreate(operation, name, bytes);
    const handle = session.newHandle();
    session.maps.set(handle, {
      ...sharedArray(name, bytes),
      handle,
      id: 0,
      fd,
      owned: true,
      memory,
    });
    return { map: handle };
  },

  async sharedRead(session, { map, offset, length }) {
    return { data: session.host.addon.sharedRead(memoryOf(session, map), offset, length) };
  },

  async sharedWrite(session, { map, offset, data }) {
    session.host.addon.sharedWrite(memoryOf(session, map), offset, data);
    return {};
  },
};

/** EINVAL: links of this kind have no update_prog (kernel/bpf/syscall.c, link_update); EOPNOTSUPP: netfilter's. */
const CANNOT_UPDATE = new Set(['EINVAL', 'EOPNOTSUPP', 'ENOTSUP']);

function memoryOf(session: Session, handle: number) {
  const { memory, name } = session.map(handle);
  if (!memory) throw failure('badRequest', 'map', `map ${name} is not shared with the host`);
  return memory;
}

function sharedArray(name: string, bytes: number) {
  return {
    name,
    type: 'array',
    typeNumber: 2,
    keySize: 4,
    valueSize: bytes,
    maxEntries: 1,
    /** BPF_F_MMAPABLE */
    flags: 1 << 10,
    keyTypeId: 0,
    valueTypeId: 0,
    globals: false,
    frozen: false,
    structOps: false,
  };
}

/** BPF_F_SLEEPABLE and BPF_F_XDP_HAS_FRAGS, which libbpf derives from the section's name at the load. */
function flagsOf({ section, type }: HeldProgram): number {
  const name = section.split('/')[0] ?? '';
  const sleepable = name.endsWith('.s') || type === 'syscall';
  return (sleepable ? 1 << 4 : 0) | (name === 'xdp.frags' ? 1 << 5 : 0);
}
