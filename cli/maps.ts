/** `bpf-studio maps`: what is loaded in the kernel now, whoever loaded it. */
import type { KernelClient } from '../kernel/client/client';
import type { LoadedMap } from '../kernel/protocol';
import { fail, succeed, type Outcome } from '../toolchain/problem';
import { refuse, targetOption, text, usage, type Arguments, type Command } from './command';
import type { ExitStatus, Io } from './io';
import { withKernel } from './kernel';
import { mapCodec, type MapCodec } from './map-codec';
import { table } from './table';

/** Entries asked of the host at a time. */
const PAGE = 4096;

export const command: Command = {
  help: `bpf-studio maps [list | dump MAP | lookup MAP KEY | update MAP KEY VALUE | delete MAP KEY]

MAP is an id or a name. KEY and VALUE are typed by the map's BTF: JSON as \`dump\` prints it, or as C initialises it with
enumerators and addresses by name: 7, XDP_DROP, { .addr = 10.0.0.1 }. Or bytes: hex:0a000001.

  list                     id, type, name, sizes, and the processes that hold each map (default)
  dump MAP [--limit N]     every entry, one JSON object a line: {"key": …, "value": …}
  lookup MAP KEY           one value; exit status 1 when there is none
  update MAP KEY VALUE     write an entry; --only new | existing refuses the other case
  delete MAP KEY           exit status 1 when there was none
  -t, --target             local, vm, vm:PATH-TO-VMLINUZ

  bpf-studio maps dump traffic_by_process
  bpf-studio maps update blocklist_v4 '{ .prefix_length = 24, .addr = 10.77.0.0 }' '{ .dropped_packets = 0 }'`,
  options: { ...targetOption, limit: { type: 'string' }, only: { type: 'string' } },
  async run(args, io) {
    const [action = 'list', name, ...rest] = args.positionals;
    const operands = { list: 0, dump: 1, lookup: 2, update: 3, delete: 2 }[action];
    if (operands === undefined || args.positionals.length > operands + 1) {
      const message =
        operands === undefined
          ? `maps has no action ${action}`
          : `maps ${action} takes ${operands} arguments`;
      io.problem(usage('maps', message).problem);
      return 2;
    }
    if (args.positionals.length < operands + 1 && operands > 0) {
      io.problem(
        usage('maps', `maps ${action} needs ${['MAP', 'KEY', 'VALUE'].slice(0, operands).join(' ')}`).problem,
      );
      return 2;
    }
    return withKernel(args, io, async ({ client }) => {
      if (action === 'list') return list(client, io);
      const map = await findMap(client, name!);
      if (!map.ok) return refuse(io, map);
      return actions[action as keyof typeof actions](client, map.value, rest, args, io);
    });
  },
};

const actions = { dump, lookup, update, delete: remove };

async function list(client: KernelClient, io: Io): Promise<ExitStatus> {
  const { maps } = await client.request('listMaps', {});
  if (io.json) {
    for (const map of maps) io.outJson(map);
    return 0;
  }
  io.out(
    table(
      ['id', 'type', 'name', 'key', 'value', 'max', 'pids'],
      maps.map((map) => [
        String(map.id),
        map.type,
        map.name,
        String(map.keySize),
        String(map.valueSize),
        String(map.maxEntries),
        map.pids.join(','),
      ]),
    ),
  );
  return 0;
}

/** BPF_OBJ_NAME_LEN without its NUL: the kernel keeps no more of a name. */
const KERNEL_NAME = 15;

async function findMap(client: KernelClient, wanted: string): Promise<Outcome<LoadedMap>> {
  const { maps } = await client.request('listMaps', {});
  const found = /^\d+$/.test(wanted)
    ? maps.filter(({ id }) => id === Number(wanted))
    : maps.filter(({ name }) => name === wanted || name === wanted.slice(0, KERNEL_NAME));
  if (found.length === 1) return succeed(await client.request('mapOpenById', { id: found[0]!.id }));
  if (found.length === 0) {
    return fail('cli/map', `No map ${wanted} is loaded in this kernel.`, 'bpf-studio maps lists them.');
  }
  const ids = found.map(({ id, pids }) => `${id} (held by ${pids.join(', ') || 'no process'})`).join(', ');
  return fail('cli/map', `${found.length} maps are called ${wanted}: ${ids}.`, 'Name one by its id.');
}

async function dump(
  client: KernelClient,
  map: LoadedMap,
  _operands: string[],
  args: Arguments,
  io: Io,
): Promise<ExitStatus> {
  const limit = text(args, 'limit') === undefined ? Infinity : Number(text(args, 'limit'));
  if (!(limit > 0)) {
    io.problem(usage('maps', `--limit ${text(args, 'limit')} is not a number of entries`).problem);
    return 2;
  }
  const codec = await mapCodec(client, map);
  let cursor: Uint8Array | undefined;
  let printed = 0;
  do {
    const page = await client.request('mapEntries', {
      map: map.handle,
      limit: Math.min(PAGE, limit - printed),
      ...(cursor ? { cursor } : {}),
    });
    for (let index = 0; index < page.count; index++) io.outJson(entry(codec, map, page, index));
    if (page.unreadable) io.err(`bpf-studio: ${page.unreadable}\n`);
    printed += page.count;
    cursor = page.cursor;
  } while (cursor && printed < limit && !io.interrupted.aborted);
  return 0;
}

function entry(
  codec: MapCodec,
  map: LoadedMap,
  page: { keys: Uint8Array; values: Uint8Array; valueStride: number },
  index: number,
) {
  return {
    key: codec.key(page.keys.subarray(index * map.keySize, (index + 1) * map.keySize)),
    value: codec.value(page.values.subarray(index * page.valueStride, (index + 1) * page.valueStride)),
  };
}

async function lookup(
  client: KernelClient,
  map: LoadedMap,
  [keyText = '']: string[],
  _args: Arguments,
  io: Io,
): Promise<ExitStatus> {
  const codec = await mapCodec(client, map);
  const key = codec.parseKey(keyText);
  if (!key.ok) return refuse(io, key);
  const { value } = await client.request('mapLookup', { map: map.handle, key: key.value });
  if (value === null) {
    io.err(`bpf-studio: ${map.name} has no entry ${keyText}\n`);
    return 1;
  }
  io.outJson({ key: codec.key(key.value), value: codec.value(value) });
  return 0;
}

async function update(
  client: KernelClient,
  map: LoadedMap,
  [keyText = '', valueText = '']: string[],
  args: Arguments,
  io: Io,
): Promise<ExitStatus> {
  const codec = await mapCodec(client, map);
  const key = codec.parseKey(keyText);
  const value = codec.parseValue(valueText);
  const only = text(args, 'only');
  const flags = only === undefined ? 'any' : ({ new: 'noexist', existing: 'exist' } as const)[only];
  const wrong =
    flags === undefined ? usage('maps', `--only is new or existing, not ${only}`) : !key.ok ? key : value;
  if (!wrong.ok) return refuse(io, wrong);
  if (key.ok && value.ok) {
    await client.request('mapUpdate', {
      map: map.handle,
      key: key.value,
      value: value.value,
      flags: flags ?? 'any',
    });
  }
  return 0;
}

async function remove(
  client: KernelClient,
  map: LoadedMap,
  [keyText = '']: string[],
  _args: Arguments,
  io: Io,
): Promise<ExitStatus> {
  const key = (await mapCodec(client, map)).parseKey(keyText);
  if (!key.ok) return refuse(io, key);
  const { existed } = await client.request('mapDelete', { map: map.handle, key: key.value });
  if (!existed) io.err(`bpf-studio: ${map.name} has no entry ${keyText}\n`);
  return existed ? 0 : 1;
}
