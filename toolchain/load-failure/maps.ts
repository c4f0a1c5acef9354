/** Maps that libbpf could not read the definition of, or that the kernel refused to create. */
import type { BpfObject } from '../elf/object';
import type { ObjectMap } from '../elf/maps';
import type { LoadFinding, NamedPlace } from './finding';
import { faultOf, oversize } from './map-rules';
import type { MapFault, MapShape } from './map-rules';
import { alternatives, nearestNames } from './nearest';
import { isOlder, kernelName, mapTypeNames, mapTypesSince } from './target';
import type { TargetFacts } from './target';

const refused = /map '([^']+)': failed to create: -?(\w+)/;

/** Members of a BTF map definition that libbpf knows (`parse_btf_map_def`). */
const members = [
  'type',
  'max_entries',
  'map_flags',
  'numa_node',
  'key_size',
  'key',
  'value_size',
  'value',
  'values',
  'pinning',
  'map_extra',
];

/** The finding for the first of the lines that speaks of a map. */
export function explainMap(
  lines: readonly string[],
  object: BpfObject | undefined,
  facts: TargetFacts | undefined,
): LoadFinding | undefined {
  for (const line of lines) {
    const match = refused.exec(line);
    const found = match ? notCreated(match[1]!, match[2]!, object, facts) : explainDefinition(line);
    if (found) return found;
  }
  return undefined;
}

/** EPERM: until 5.11 maps were charged to RLIMIT_MEMLOCK (since then to the memory cgroup, commit d5299b67dd59). */
function notPermitted(
  plain: LoadFinding,
  name: string,
  type: string,
  facts: TargetFacts | undefined,
): LoadFinding {
  if (facts?.mayLoad === false) return { ...plain, id: 'bpf/permission' };
  if (!facts || isOlder(facts.release, '5.11')) {
    return {
      ...plain,
      id: 'bpf/memlock',
      message: `${kernelName(facts)} refused to create the map ${name}: together with what is loaded already it exceeds the limit of locked memory (RLIMIT_MEMLOCK)`,
      help: 'Raise the limit with `ulimit -l unlimited` before the loader starts, or make max_entries smaller. Since Linux 5.11 maps do not count against it.',
    };
  }
  return {
    ...plain,
    id: 'bpf/permission',
    message: `${kernelName(facts)} does not permit this process to create the map ${name} of type ${type}`,
    help: 'Some types of maps need CAP_NET_ADMIN or CAP_SYS_ADMIN beside CAP_BPF, and a security module or container may forbid any: see dmesg. A kernel in a VM has no such policy ("BPF: Select Kernel", --target vm).',
  };
}

function notCreated(
  name: string,
  errno: string,
  object: BpfObject | undefined,
  facts: TargetFacts | undefined,
): LoadFinding {
  const map = object?.maps.find((one) => one.name === name);
  const plain: LoadFinding = {
    id: 'bpf/map-create',
    message: `The kernel refused to create the map ${name} (${errno})`,
    places: [{ kind: 'map', name }],
  };
  if (!map) return plain;
  const shape = shapeOf(object!, map);
  const type = `\`BPF_MAP_TYPE_${shape.type.toUpperCase()}\``;
  if (errno === 'E2BIG' || errno === 'ENOMEM') {
    return found('bpf/map-memory', name, `The map ${name}`, oversize(shape));
  }
  if (errno === 'EPERM') return notPermitted(plain, name, type, facts);
  if (errno !== 'EINVAL' && errno !== 'EOPNOTSUPP' && errno !== 'ENOTSUPP') return plain;
  const unknown = shape.type === '' || facts?.mapTypes?.[shape.type] === false;
  if (unknown && facts?.mapTypes) {
    const since = mapTypesSince[shape.type];
    const late = since !== undefined && isOlder(facts.release, since) ? `: it came with Linux ${since}` : '';
    return {
      id: 'bpf/map-type',
      message:
        shape.type === ''
          ? `The map ${name} has type ${map.typeNumber}, and there is no such type of map`
          : `${kernelName(facts)} has no maps of type ${type}${late}, so it could not create ${name}`,
      help: 'Use another type of map, or choose a kernel that has this one with "BPF: Select Kernel".',
      places: [
        { kind: 'map', name, part: 'type' },
        { kind: 'map', name },
      ],
    };
  }
  const fault = faultOf(shape);
  return fault ? found('bpf/map-create', name, `The map ${name} (${type})`, fault) : plain;
}

function found(id: LoadFinding['id'], name: string, subject: string, fault: MapFault): LoadFinding {
  const parts: NamedPlace[] = fault.members.map((part) => ({ kind: 'map', name, part }));
  return {
    id,
    message: `${subject} ${fault.fault}`,
    help: fault.help,
    places: [...parts, { kind: 'map', name }],
  };
}

function shapeOf(object: BpfObject, map: ObjectMap): MapShape {
  return {
    type: mapTypeNames[map.typeNumber] ?? '',
    keySize: map.keySize,
    valueSize: map.valueSize,
    maxEntries: map.maxEntries,
    flags: map.flags,
    hasInner: hasMember(object, map.name, 'values'),
  };
}

function hasMember(object: BpfObject, map: string, member: string): boolean {
  const variable = object.btf?.find('var', map);
  const definition = variable && object.btf!.resolve(variable.type);
  return definition?.kind === 'struct' && definition.members.some(({ name }) => name === member);
}

/** What libbpf says while it reads `SEC(".maps")`. */
const definitions: {
  pattern: RegExp;
  explain(name: string, detail: string): Omit<LoadFinding, 'id' | 'places'>;
}[] = [
  {
    pattern: /map '([^']+)': unknown field '([^']+)'/,
    explain(name, field) {
      const similar = nearestNames(field, members);
      return {
        message: `The definition of the map ${name} has \`${field}\`, which is no property of a map`,
        help:
          similar.length > 0
            ? `Did you mean ${alternatives(similar)}?`
            : `A definition may have ${members.join(', ')}.`,
      };
    },
  },
  {
    pattern: /map '([^']+)': map type isn't specified/,
    explain: (name) => ({
      message: `The definition of the map ${name} does not say its type`,
      help: 'Add `__uint(type, BPF_MAP_TYPE_HASH);`, or whichever type it is.',
    }),
  },
  {
    pattern: /map '([^']+)': conflicting (key|value) size \d+ != \d+/,
    explain: (name, what) => ({
      message: `The definition of the map ${name} gives the size of its ${what} twice, and not the same`,
      help: `Keep \`__type(${what}, …);\` and remove \`__uint(${what}_size, …);\`.`,
    }),
  },
  {
    pattern: /map '([^']+)': (can't determine (?:key|value) size for type \[\d+\])/,
    explain: (name) => ({
      message: `The definition of the map ${name} uses a type whose size is not known here`,
      help: 'Define the type completely before the map, or include the header that does.',
    }),
  },
  {
    pattern: /map '([^']+)': (.+)/,
    explain: (name, detail) => ({
      message: `libbpf cannot read the definition of the map ${name}: ${detail.replace(/\.$/, '')}`,
    }),
  },
];

function explainDefinition(line: string): LoadFinding | undefined {
  if (/legacy map definitions in 'maps' section/.test(line)) {
    return {
      id: 'bpf/map-definition',
      message: 'Maps in SEC("maps") with struct bpf_map_def are not read by libbpf 1.0 and later',
      help: 'Define them with BTF: struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32); __type(value, __u64); } NAME SEC(".maps");',
      places: [{ kind: 'map', name: '' }],
    };
  }
  // A map that is used but fine, or created with a warning only, is not the reason.
  if (/Retrying without BTF|skipped|found (data )?map/.test(line)) return undefined;
  for (const { pattern, explain } of definitions) {
    const match = pattern.exec(line);
    if (!match) continue;
    const name = match[1]!;
    const field = match[2] ?? '';
    return {
      id: 'bpf/map-definition',
      ...explain(name, field),
      places: [
        { kind: 'map', name, part: `${field}_size`, whole: true },
        { kind: 'map', name, part: field, whole: true },
        { kind: 'map', name },
      ],
    };
  }
  return undefined;
}
