/** Records of ring buffers and perf event arrays, decoded by BTF where the type is certain, else as bytes. */
import type { KernelClient } from '../../kernel/client/client';
import { KernelError } from '../../kernel/client/errors';
import type { LoadedMap } from '../../kernel/protocol';
import type { Btf } from '../../toolchain/btf/btf';
import { typeName } from '../../toolchain/btf/spell';
import { decode, type Value } from '../../toolchain/btf/value';
import { badConfiguration } from '../errors';
import type { LoadedObject } from './load';

export interface MapRecord {
  map: string;
  /** CPU of a perf event array's record; ring buffers have none. */
  cpu?: number;
  data: Uint8Array;
  /** The record as the struct it is, when that is certain. */
  value?: Value;
}

export interface RecordListener {
  record(record: MapRecord): void;
  /** Records that the kernel dropped because nobody read in time. */
  lost(map: string, count: number): void;
}

const READABLE: Record<string, 'ringbuf' | 'perf'> = { ringbuf: 'ringbuf', perf_event_array: 'perf' };

export function readableMaps(loaded: LoadedObject): LoadedMap[] {
  return loaded.maps.filter((map) => READABLE[map.type] !== undefined);
}

/** Type ids of the records of each map, where that is certain. */
export function recordTypes(
  loaded: LoadedObject,
  events: Record<string, string> = {},
): Map<string, readonly { btf: Btf; type: number }[]> {
  const { file } = loaded;
  const { btf, maps } = file.object;
  const types = new Map<string, readonly { btf: Btf; type: number }[]>();
  for (const [name, spelled] of Object.entries(events)) {
    if (!loaded.maps.some((map) => map.name === name))
      throw badConfiguration(`"events.${name}": the object has no map of this name.`);
    const type = btf && typeByName(btf, spelled);
    if (!btf || type === undefined)
      throw badConfiguration(
        `"events.${name}": the object's BTF has no type "${spelled}". A type that only local variables use is left out of BTF; declare \`${spelled} *unused __attribute__((unused));\` to the source.`,
      );
    types.set(name, [{ btf, type }]);
  }
  if (!btf) return types;
  const announced = announcedTypes(btf).map((type) => ({ btf, type }));
  for (const map of readableMaps(loaded)) {
    if (types.has(map.name)) continue;
    const annotated = maps.find((defined) => defined.name === map.name)?.valueTypeId ?? 0;
    const isStruct = annotated !== 0 && btf.resolve(annotated).kind === 'struct';
    types.set(map.name, isStruct ? [{ btf, type: annotated }] : (file.records?.get(map.name) ?? announced));
  }
  return types;
}

/**
 * Structs that a global pointer variable points to (`struct event *unused`): the field's way of keeping the type of
 * records in BTF. Nothing else makes one of them.
 */
function announcedTypes(btf: Btf): number[] {
  const found = new Set<number>();
  for (const variable of btf.ofKind('var')) {
    const pointer = btf.resolve(variable.type);
    if (pointer.kind !== 'ptr') continue;
    const target = btf.resolve(pointer.type);
    if (target.kind === 'struct') found.add(target.id);
  }
  return [...found];
}

/** `struct event`, `union u`, `event_t`. */
function typeByName(btf: Btf, spelled: string): number | undefined {
  const match = /^(?:(struct|union|enum)\s+)?(\w+)$/.exec(spelled.trim());
  if (!match) return undefined;
  const [, keyword, name] = match;
  const kinds = keyword === undefined ? ['typedef', 'struct', 'int'] : [keyword];
  return kinds.flatMap((kind) => btf.findAll(name!).filter((id) => btf.type(id).kind === kind))[0];
}

/**
 * The one type that a record of this size can be. The kernel pads perf records so that their 4-byte length and data
 * fill a multiple of 8, so such a record may be up to 7 bytes longer than its struct.
 */
function typeOfRecord(
  candidates: readonly { btf: Btf; type: number }[],
  length: number,
  kind: 'ringbuf' | 'perf',
): { btf: Btf; type: number } | undefined {
  const fitting = candidates.filter(({ btf, type }) => {
    const size = btf.sizeOf(type);
    if (size === 0) return false;
    return kind === 'ringbuf' ? size === length : size <= length && length < size + 8;
  });
  return fitting.length === 1 ? fitting[0] : undefined;
}

/** Reads all maps of the object that carry records, until closed. */
export class RecordReaders {
  private readonly readers = new Map<number, { map: LoadedMap; kind: 'ringbuf' | 'perf' }>();
  private readonly subscription: { dispose(): void };

  private constructor(
    private readonly kernel: KernelClient,
    private readonly types: ReturnType<typeof recordTypes>,
    private readonly listener: RecordListener,
  ) {
    this.subscription = kernel.on('records', ({ reader, records, lost }) => {
      const source = this.readers.get(reader);
      if (!source) return;
      if (lost > 0) listener.lost(source.map.name, lost);
      for (const { cpu, data } of records) this.deliver(source, cpu, data);
    });
  }

  static async open(
    loaded: LoadedObject,
    events: Record<string, string> | undefined,
    listener: RecordListener,
  ): Promise<RecordReaders> {
    const readers = new RecordReaders(loaded.kernel, recordTypes(loaded, events), listener);
    for (const map of readableMaps(loaded)) {
      // A pinned map may have another consumer, whose records a second one would take away.
      if (map.pinnedAt !== undefined) continue;
      const kind = READABLE[map.type]!;
      const { reader } = await loaded.kernel.request('readerOpen', { map: map.handle, kind });
      readers.readers.set(reader, { map, kind });
    }
    return readers;
  }

  private deliver(source: { map: LoadedMap; kind: 'ringbuf' | 'perf' }, cpu: number, data: Uint8Array): void {
    const { map, kind } = source;
    const certain = typeOfRecord(this.types.get(map.name) ?? [], data.length, kind);
    this.listener.record({
      map: map.name,
      ...(kind === 'perf' ? { cpu } : {}),
      data,
      ...(certain ? { value: decode(certain.btf, certain.type, data) } : {}),
    });
  }

  get count(): number {
    return this.readers.size;
  }

  /** Resolves when every record that has been written until now was told of. */
  async flush(): Promise<void> {
    const asked = [...this.readers.keys()].map((reader) => this.kernel.request('readerFlush', { reader }));
    await Promise.all(asked);
  }

  async close(): Promise<void> {
    for (const reader of this.readers.keys())
      await this.kernel.request('readerClose', { reader }).catch(ignoreGone);
    this.subscription.dispose();
  }
}

/** A host that is gone has closed its readers. */
export function ignoreGone(error: unknown): void {
  if (!(error instanceof KernelError) || error.code !== 'hostGone') throw error;
}

/** `struct event` or `12 bytes`, for headings. */
export function recordTypeName(record: MapRecord): string {
  const { value } = record;
  return value?.source.btf ? typeName(value.source.btf, value.typeId) : `${record.data.length} bytes`;
}
