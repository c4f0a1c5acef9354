/** What rows are made from: the kernel session, the object's types, and what was read since the last refresh. */
import type { KernelRequests } from '../../kernel/client/client';
import type { LoadedMap } from '../../kernel/protocol';
import type { Btf } from '../../toolchain/btf/btf';
import { parseBtf } from '../../toolchain/btf/parse';
import type { LoadedObject } from '../runner/load';
import { EntryIndex } from './entries';
import { valueStride } from './map-kinds';

const EMPTY = new Uint8Array(0);

/** The object whose values are shown, and who is asked for them. */
export type ShownObject = Pick<LoadedObject, 'file' | 'maps'> & { kernel: KernelRequests };

export class VariableContext {
  private indexes = new Map<number, EntryIndex>();
  private globals = new Map<number, Uint8Array>();
  private heads = new Map<LoadedMap, Uint8Array | undefined>();
  private readonly inner = new Map<number, Promise<LoadedMap>>();
  private readonly btfs = new Map<number, Promise<Btf | undefined>>();
  private programs: Promise<Map<number, string>> | undefined;

  private epochCount = 0;

  constructor(readonly loaded: ShownObject) {}

  /** Number of refreshes so far. */
  readonly epoch = (): number => this.epochCount;

  get kernel(): KernelRequests {
    return this.loaded.kernel;
  }

  get btf(): Btf | undefined {
    return this.loaded.file.object.btf;
  }

  get possibleCpus(): number {
    return this.kernel.hello.kernel.possibleCpus;
  }

  /** Entries of a map as of the last refresh. */
  index(map: LoadedMap): EntryIndex {
    let index = this.indexes.get(map.handle);
    if (!index) {
      index = new EntryIndex(this.kernel, map, map.keySize + valueStride(map, this.possibleCpus));
      this.indexes.set(map.handle, index);
    }
    return index;
  }

  /** What a pop of the queue or stack would return now; undefined when it is empty. */
  async head(map: LoadedMap): Promise<Uint8Array | undefined> {
    const { value } = await this.kernel.request('mapPeek', { map: map.handle });
    this.heads.set(map, value ?? undefined);
    return value ?? undefined;
  }

  /** A section of global variables as of the last refresh. */
  async section(map: LoadedMap): Promise<Uint8Array | undefined> {
    const known = this.globals.get(map.handle);
    if (known) return known;
    const bytes = await this.readSection(map);
    if (bytes) this.globals.set(map.handle, bytes);
    return bytes;
  }

  async readSection(map: LoadedMap): Promise<Uint8Array | undefined> {
    const { value } = await this.kernel.request('mapLookup', { map: map.handle, key: new Uint8Array(4) });
    return value ?? undefined;
  }

  /** A map that is the value of another one; open as long as the session, so that its rows stay good. */
  innerMap(id: number): Promise<LoadedMap> {
    let map = this.inner.get(id);
    if (!map) {
      map = this.kernel.request('mapOpenById', { id });
      this.inner.set(id, map);
      // The map may have been replaced meanwhile; the next look asks again.
      map.catch(() => this.inner.delete(id));
    }
    return map;
  }

  /** Types of a map that the object did not define itself. */
  btfOf(map: LoadedMap): Promise<Btf | undefined> {
    if (map.btfId === undefined || map.btfId === 0) return Promise.resolve(this.btf);
    let btf = this.btfs.get(map.btfId);
    if (!btf) {
      btf = this.kernel.request('btf', { source: { id: map.btfId } }).then(({ data }) => {
        const parsed = parseBtf(data);
        return parsed.ok ? parsed.value : undefined;
      });
      this.btfs.set(map.btfId, btf);
    }
    return btf;
  }

  /** Names of all programs in the kernel, for program arrays. */
  async programName(id: number): Promise<string | undefined> {
    this.programs ??= this.kernel
      .request('listPrograms', {})
      .then(({ programs }) => new Map(programs.map((program) => [program.id, program.name])));
    return (await this.programs).get(id);
  }

  /** Functions of kernel addresses, `tcp_sendmsg+0x4a` or `nf_hook+0x10 [nf_tables]`; those of user space have none. */
  async symbols(addresses: bigint[]): Promise<{ names: Map<bigint, string>; unavailable?: string }> {
    const { symbols, unavailable } = await this.kernel.request('symbolize', { addresses });
    const names = new Map<bigint, string>();
    for (const [i, symbol] of symbols.entries()) {
      if (!symbol) continue;
      const module = symbol.module === undefined ? '' : ` [${symbol.module}]`;
      names.set(addresses[i]!, `${symbol.name}+0x${symbol.offset.toString(16)}${module}`);
    }
    return { names, ...(unavailable === undefined ? {} : { unavailable }) };
  }

  /**
   * Forgets what was read, so that rows are made from new values; tells whether anything that was shown has
   * changed. Reads again as much as was shown and no more.
   */
  async refresh(): Promise<boolean> {
    this.epochCount++;
    const before = { indexes: this.indexes, globals: this.globals, heads: this.heads };
    this.indexes = new Map();
    this.globals = new Map();
    this.heads = new Map();
    this.programs = undefined;
    let changed = false;
    for (const old of before.indexes.values()) {
      const fresh = this.index(old.map);
      await fresh.page(0, old.length + 1);
      changed ||= !fresh.equals(old);
    }
    for (const [map, old] of before.heads) {
      const fresh = await this.head(map);
      changed ||= Buffer.compare(fresh ?? EMPTY, old ?? EMPTY) !== 0;
    }
    for (const [handle, old] of before.globals) {
      const map = this.loaded.maps.find((candidate) => candidate.handle === handle);
      const fresh = map && (await this.section(map));
      changed ||= !fresh || Buffer.compare(fresh, old) !== 0;
    }
    return changed;
  }
}
