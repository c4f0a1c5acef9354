/**
 * What the kernel wants of each type of map, as its `map_alloc_check` functions say (kernel/bpf/*map.c,
 * net/core/sock_map.c, net/xdp/xskmap.c). The kernel answers with an errno alone; these rules find what it meant.
 */

/** A map's definition as it reaches the kernel; names of types are libbpf's. */
export interface MapShape {
  type: string;
  keySize: number;
  valueSize: number;
  maxEntries: number;
  flags: number;
  /** Whether the definition has `__array(values, …)`. */
  hasInner: boolean;
}

/** What is wrong, in words that follow the map's name, and which of the definition's members says it. */
export interface MapFault {
  /** Names of members, the most telling first; empty when something is missing. */
  members: string[];
  fault: string;
  help: string;
}

const NO_PREALLOC = 1;
const PAGE = 4096;

const arrays =
  /^(array|percpu_array|prog_array|perf_event_array|cgroup_array|array_of_maps|devmap|cpumap|xskmap|sockmap|reuseport_sockarray|stack_trace|insn_array)$/;
const hashes = /^(hash|percpu_hash|lru_hash|lru_percpu_hash|hash_of_maps|devmap_hash)$/;
const descriptors = /^(prog_array|perf_event_array|cgroup_array|array_of_maps|hash_of_maps)$/;
const storages = /^(sk_storage|inode_storage|task_storage|cgrp_storage)$/;
const rings = /^(ringbuf|user_ringbuf)$/;
const queues = /^(queue|stack|bloom_filter)$/;

/** Flags of linux/bpf.h that a map of these types takes, of the newest kernel. */
const BPF_F = { noCommonLru: 0x2, numaNode: 0x4, access: 0x198, zeroSeed: 0x40, mmapable: 0x400 };
const knownFlags: { type: RegExp; flags: number }[] = [
  {
    type: /^(hash|percpu_hash|lru_hash|lru_percpu_hash|hash_of_maps)$/,
    flags: NO_PREALLOC | BPF_F.noCommonLru | BPF_F.numaNode | BPF_F.access | BPF_F.zeroSeed,
  },
  // Mappable, elements kept, inner map, ring overwrite: bits of the array and ring families.
  { type: /^(array|percpu_array)$/, flags: BPF_F.numaNode | BPF_F.access | BPF_F.mmapable | 0x1800 },
];

type Rule = (map: MapShape) => MapFault | undefined;

/** Whether a map has no number of entries and needs one; libbpf counts CPUs for perf event arrays. */
export function leavesEntriesOpen({ type, maxEntries }: Pick<MapShape, 'type' | 'maxEntries'>): boolean {
  return maxEntries === 0 && type !== '' && !storages.test(type) && !rings.test(type) && !settled.test(type);
}
const settled = /^(perf_event_array|struct_ops|arena|cgroup_storage|percpu_cgroup_storage)$/;

/** Whether a map of stack traces does not say how long they may be. */
export function leavesStackOpen({ type, valueSize }: Pick<MapShape, 'type' | 'valueSize'>): boolean {
  return type === 'stack_trace' && valueSize === 0;
}

/** In the order in which a person would look: first what a type needs at all, then sizes, then flags. */
const rules: Rule[] = [
  ({ type, hasInner }) =>
    /_of_maps$/.test(type) && !hasInner
      ? {
          members: [],
          fault: 'is a map of maps, and its definition does not say what the inner maps look like',
          help: 'Add `__array(values, struct { __uint(type, …); __uint(max_entries, …); … });` to it.',
        }
      : undefined,
  ({ type, keySize }) =>
    arrays.test(type) && keySize !== 4
      ? {
          members: ['key', 'key_size'],
          fault: `has keys of ${bytes(keySize)}; the keys of a map of this type are indices of 4 bytes`,
          help: 'Write `__type(key, __u32);`.',
        }
      : undefined,
  ({ type, keySize }) =>
    storages.test(type) && keySize !== 4
      ? {
          members: ['key', 'key_size'],
          fault: `has keys of ${bytes(keySize)}; a local storage is keyed by a descriptor of 4 bytes`,
          help: 'Write `__type(key, int);`.',
        }
      : undefined,
  ({ type, keySize }) =>
    queues.test(type) && keySize !== 0
      ? {
          members: ['key', 'key_size'],
          fault: 'has a key; a map of this type has values only',
          help: 'Remove the key from the definition.',
        }
      : undefined,
  ({ type, keySize, valueSize }) =>
    rings.test(type) && (keySize !== 0 || valueSize !== 0)
      ? {
          members: keySize !== 0 ? ['key', 'key_size'] : ['value', 'value_size'],
          fault: 'has a key or a value type; a ring buffer has no key and no value, only records',
          help: 'Keep `__uint(type, …);` and `__uint(max_entries, BYTES);` alone.',
        }
      : undefined,
  ({ type, maxEntries }) =>
    rings.test(type) && (maxEntries === 0 || (maxEntries & (maxEntries - 1)) !== 0 || maxEntries % PAGE !== 0)
      ? {
          members: ['max_entries'],
          fault: `has max_entries ${maxEntries}; that is a ring buffer's size in bytes and must be a power of two and a multiple of the page size`,
          help: 'Write for example `__uint(max_entries, 256 * 1024);`.',
        }
      : undefined,
  ({ type, maxEntries }) =>
    storages.test(type) && maxEntries !== 0
      ? {
          members: ['max_entries'],
          fault: 'has max_entries; a local storage has an entry for each object and no limit',
          help: 'Remove max_entries from the definition.',
        }
      : undefined,
  (shape) =>
    leavesEntriesOpen(shape)
      ? {
          members: ['max_entries'],
          fault: 'has max_entries 0 or none',
          help: 'Say how many entries it may have: `__uint(max_entries, 1024);`.',
        }
      : undefined,
  ({ type, keySize }) =>
    (hashes.test(type) || type === 'sockhash') && keySize === 0
      ? {
          members: ['key', 'key_size'],
          fault: 'has no key, which a hash needs',
          help: 'Add `__type(key, …);` to it.',
        }
      : undefined,
  ({ type, valueSize }) =>
    descriptors.test(type) && valueSize !== 4
      ? {
          members: ['value', 'value_size'],
          fault: `has values of ${bytes(valueSize)}; its values are descriptors of 4 bytes`,
          help: 'Write `__uint(value_size, sizeof(__u32));`.',
        }
      : undefined,
  ({ type, valueSize }) =>
    valueSize === 0 && !rings.test(type) && type !== 'arena'
      ? {
          members: ['value', 'value_size'],
          fault: 'has no value',
          help: 'Add `__type(value, …);` to it.',
        }
      : undefined,
  ({ type, valueSize }) =>
    type === 'stack_trace' && (valueSize < 8 || valueSize % 8 !== 0)
      ? {
          members: ['value', 'value_size'],
          fault: `has values of ${bytes(valueSize)}; a stack trace is an array of 8-byte addresses`,
          help: 'Write `__uint(value_size, 127 * sizeof(__u64));`; 127 frames is the usual limit (kernel.perf_event_max_stack).',
        }
      : undefined,
  ({ type, keySize }) =>
    type === 'lpm_trie' && (keySize < 5 || keySize > 260)
      ? {
          members: ['key', 'key_size'],
          fault: `has keys of ${bytes(keySize)}; a key is a 4-byte prefix length and then 1 to 256 bytes of data`,
          help: 'Use `struct { __u32 prefixlen; __u8 data[…]; }` as the key.',
        }
      : undefined,
  ({ type, flags }) =>
    (type === 'lpm_trie' || storages.test(type)) && (flags & NO_PREALLOC) === 0
      ? {
          members: ['map_flags'],
          fault: 'is not marked BPF_F_NO_PREALLOC, which its type demands',
          help: 'Add `__uint(map_flags, BPF_F_NO_PREALLOC);` to it.',
        }
      : undefined,
  ({ type, flags }) =>
    /^lru_/.test(type) && (flags & NO_PREALLOC) !== 0
      ? {
          members: ['map_flags'],
          fault: 'is marked BPF_F_NO_PREALLOC, and an LRU hash is always preallocated',
          help: 'Remove BPF_F_NO_PREALLOC.',
        }
      : undefined,
  ({ type, flags }) => {
    const known = knownFlags.find((one) => one.type.test(type));
    const unknown = known ? (flags & ~known.flags) >>> 0 : 0;
    return unknown === 0
      ? undefined
      : {
          members: ['map_flags'],
          fault: `has 0x${unknown.toString(16)} in map_flags, which no map of its type takes`,
          help: 'Use only the flags that the map type knows; see BPF_F_… in linux/bpf.h.',
        };
  },
];

/** The first rule that a definition breaks; undefined when it keeps all that are known. */
export function faultOf(map: MapShape): MapFault | undefined {
  for (const rule of rules) {
    const fault = rule(map);
    if (fault) return fault;
  }
  return undefined;
}

/** Values of a per-CPU map may not be larger: PCPU_MIN_UNIT_SIZE of include/linux/percpu.h. */
const PERCPU_VALUE = 32 << 10;

/** KMALLOC_MAX_SIZE of the usual configurations: what one entry of a hash may take. */
const LARGEST_ENTRY = (4 << 20) - 64;

/** What makes a map larger than the kernel gives: E2BIG or ENOMEM. */
export function oversize(map: MapShape): MapFault {
  if (/percpu/.test(map.type) && map.valueSize > PERCPU_VALUE) {
    return {
      members: ['value', 'value_size'],
      fault: `has values of ${bytes(map.valueSize)}; a value of a per-CPU map may have 32 KiB`,
      help: 'Make the value smaller, or split it over several entries.',
    };
  }
  const isWide = map.keySize + map.valueSize >= LARGEST_ENTRY;
  const total = map.maxEntries * (map.keySize + Math.ceil(map.valueSize / 8) * 8);
  if (!isWide && map.maxEntries > 1 && total > 1 << 20) {
    return {
      members: ['max_entries'],
      fault: `would take ${amount(total)}: ${map.maxEntries.toLocaleString('en')} entries of ${bytes(map.keySize + map.valueSize)}`,
      help: /^(hash|percpu_hash)$/.test(map.type)
        ? 'Make max_entries smaller; with BPF_F_NO_PREALLOC in map_flags memory is taken only for entries that are there.'
        : 'Make max_entries or the value smaller.',
    };
  }
  const key = map.keySize > map.valueSize;
  return {
    members: key ? ['key', 'key_size'] : ['value', 'value_size'],
    fault: `has ${key ? `keys of ${bytes(map.keySize)}` : `values of ${bytes(map.valueSize)}`}, more than this kernel allows for its type`,
    help: `Make the ${key ? 'key' : 'value'} smaller.`,
  };
}

function bytes(count: number): string {
  return count === 1 ? '1 byte' : `${count.toLocaleString('en')} bytes`;
}

function amount(count: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let unit = 0;
  for (; count >= 1024 && unit < units.length - 1; unit++) count /= 1024;
  return `${count.toFixed(count < 10 ? 1 : 0)} ${units[unit]}`;
}
