/** Requests about objects and programs: verify, open, load, close, test run, dump. */
import type { Addon } from '../../addon/addon';
import type { LoadedMap, LoadedProgram } from '../../protocol';
import { failure } from '../errors';
import { identifyKernel } from './identity';
import type { LoadOutcome } from '../load';
import { loadObject } from '../load';
import { describeMaps, describeProgram, openObject } from '../open-object';
import { releaseProgram } from '../session';
import type { Handlers, Session } from '../session';
import { mapDescriptionById } from './maps';

type ObjectHandlers = Pick<
  Handlers,
  'verify' | 'objectOpen' | 'objectLoad' | 'objectClose' | 'testRun' | 'programDump'
>;

export const objectHandlers: ObjectHandlers = {
  async verify({ host }, params, operation) {
    const { log, likelyRejected, despiteFault } = params;
    const options = { log, keep: false, likelyRejected, despiteFault };
    // Whoever writes a program wants the verdict on it, whenever its loader loads it.
    const outcome = await loadObject(host, { ...params, withOptional: true }, options, operation);
    return {
      programs: outcome.verdicts,
      maps: outcome.maps,
      ...(outcome.error ? { error: outcome.error } : {}),
    };
  },

  async objectOpen(session, params, operation) {
    const { addon } = session.host;
    const object = await openObject(addon, params, operation);
    const handle = session.newHandle();
    session.objects.set(handle, { object, params, loaded: false, programs: [], maps: [] });
    return {
      object: handle,
      programs: addon.objectPrograms(object).map(describeProgram),
      maps: describeMaps(addon, object).map(({ fd: _fd, ...map }) => map),
    };
  },

  async objectLoad(session, { object: handle, log }, operation) {
    const { addon } = session.host;
    const held = session.object(handle);
    if (held.loaded) throw failure('badRequest', 'objectLoad', `object ${handle} is loaded already`);
    held.loaded = true;
    let outcome: LoadOutcome;
    try {
      // Nobody loads an object to keep it but on request.
      const options = { log, keep: true, despiteFault: true };
      outcome = await loadObject(session.host, held.params, options, operation);
    } catch (error) {
      held.loaded = false;
      throw error;
    }
    if (outcome.object && !session.objects.has(handle)) {
      await addon.objectClose(null, outcome.object);
      throw failure('cancelled', 'objectLoad', `object ${handle} was closed while it was being loaded`);
    }
    if (!outcome.object) {
      held.loaded = false;
      if (outcome.error)
        throw failure(outcome.error.code, outcome.error.operation, outcome.error.message, outcome.error);
      const refused = outcome.verdicts.at(-1);
      throw failure(
        refused?.verdict === 'rejected' ? 'rejected' : refused?.errno === 'EPERM' ? 'permission' : 'kernel',
        'objectLoad',
        refused
          ? `${refused.name}: ${refused.verdict === 'rejected' ? 'the verifier rejected it: ' : ''}${refused.message}`
          : 'nothing was loaded',
        { ...(refused?.errno ? { errno: refused.errno } : {}), programs: outcome.verdicts },
      );
    }
    // The loaded object takes the place of the one that was only opened.
    const opened = held.object;
    held.object = outcome.object;
    await addon.objectClose(null, opened);
    const programs: LoadedProgram[] = [];
    for (const program of addon.objectPrograms(held.object)) {
      const verdict = outcome.verdicts.find((one) => one.name === program.name);
      if (program.fd < 0 || !verdict) continue;
      const info = await addon.programInfo(null, program.fd);
      const id = session.newHandle();
      session.programs.set(id, { ...program, object: handle });
      held.programs.push(id);
      programs.push({ ...describeProgram(program), handle: id, id: info.id, tag: info.tag, verdict });
    }
    return { programs, maps: await holdMaps(session, handle) };
  },

  async objectClose(session, { object: handle }) {
    const held = session.object(handle);
    const attached = [...session.links.values()].filter((link) => link.object === handle);
    await Promise.all(attached.map((link) => link.detach()));
    for (const [key, link] of session.links) if (attached.includes(link)) session.links.delete(key);
    for (const [key, reader] of session.readers) {
      if (held.maps.includes(reader.map)) {
        session.readers.delete(key);
        await reader.reader.close();
      }
    }
    for (const key of held.programs) {
      const program = session.programs.get(key);
      if (program) releaseProgram(session.host.addon, program);
      session.programs.delete(key);
    }
    for (const map of held.maps) session.maps.delete(map);
    session.objects.delete(handle);
    await session.host.addon.objectClose(null, held.object);
    return {};
  },

  async testRun(session, { program, ...input }, operation) {
    const { fd, type } = session.program(program);
    const { addon } = session.host;
    if (type === 'flow_dissector') {
      const result = await addon.programTestRun(operation, fd, input);
      return { ...result, returnValue: returnedByDissector(addon, result.returnValue) };
    }
    if (type !== 'syscall') return addon.programTestRun(operation, fd, input);
    // The kernel has no output context for this type and refuses room for one; it writes over the input.
    const run = { ...input, contextOutSize: 0, contextInPlace: true };
    const result = await addon.programTestRun(operation, fd, run);
    return { ...result, context: result.context.subarray(0, input.contextOutSize) };
  },

  async programDump(session, { program }) {
    const { fd } = session.program(program);
    const { addon } = session.host;
    const [dump, info] = await Promise.all([addon.programDump(null, fd), addon.programInfo(null, fd)]);
    return { ...dump, jitedSize: info.jitedSize, btfId: info.btfId };
  },
};

const BPF_OK = 0;
const BPF_DROP = 2;

/**
 * Before 6.1 the test run of a flow dissector gives as its return value whether the program returned BPF_OK
 * (`return result == BPF_OK` in bpf_flow_dissect); the other value that it could return then was BPF_DROP.
 */
function returnedByDissector(addon: Addon, value: number): number {
  const { major, minor } = identifyKernel(addon).version;
  if (major > 6 || (major === 6 && minor >= 1)) return value;
  return value === 1 ? BPF_OK : BPF_DROP;
}

/** Gives the loaded object's maps handles. Maps that libbpf did not create (autocreate off) have none. */
async function holdMaps(session: Session, handle: number): Promise<LoadedMap[]> {
  const { addon } = session.host;
  const held = session.object(handle);
  const maps: LoadedMap[] = [];
  for (const { fd, ...description } of describeMaps(addon, held.object)) {
    if (fd < 0) continue;
    const { id, frozen } = await mapDescriptionById(addon, fd);
    const loaded: LoadedMap = { ...description, frozen, id, handle: session.newHandle() };
    session.maps.set(loaded.handle, { ...loaded, fd, owned: false, object: handle });
    held.maps.push(loaded.handle);
    maps.push(loaded);
  }
  return maps;
}
