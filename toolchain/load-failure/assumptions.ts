/**
 * What an object leaves open and its own loader must settle. The kernel host settles it in a usual way, so that the
 * programs get their verdicts (completeAsLoadersDo of kernel/host/open-object.ts); here it is said that it was done.
 */
import type { BpfObject } from '../elf/object';
import { Severity } from '../diagnostic';
import type { NamedPlace } from './finding';
import { leavesEntriesOpen, leavesStackOpen } from './map-rules';
import { mapTypeNames } from './target';

export interface Assumption {
  id: `bpf/${string}`;
  severity: Severity;
  message: string;
  help: string;
  places: NamedPlace[];
  /** The map whose size is left open, and by which members of its definition. */
  sizes?: { map: string; members: OpenMember[] };
}

type OpenMember = 'max_entries' | 'value_size';

/** A program as the host describes it; `typeOf` is the section whose type it was given. */
interface LoadedProgram {
  name: string;
  section: string;
  typeOf?: string | undefined;
}

export function assumptionsOf(object: BpfObject, programs: readonly LoadedProgram[]): Assumption[] {
  return [...programs.flatMap(sectionAssumed), ...object.maps.flatMap(sizesAssumed)];
}

function sectionAssumed({ name, section, typeOf }: LoadedProgram): Assumption[] {
  if (typeOf === undefined) return [];
  const written = section.replace(/^\?/, '');
  return [
    {
      id: 'bpf/section',
      severity: Severity.Warning,
      message: `libbpf and bpftool do not load SEC("${written}"), other loaders do; it was verified as SEC("${typeOf}")`,
      help: `Write SEC("${typeOf}") for libbpf: a program is found by its function's name.`,
      places: [
        { kind: 'section', name },
        { kind: 'program', name },
      ],
    },
  ];
}

function sizesAssumed(map: BpfObject['maps'][number]): Assumption[] {
  if (map.globals) return [];
  const shape = { ...map, type: mapTypeNames[map.typeNumber] ?? '' };
  const open: OpenMember[] = [
    ...(leavesEntriesOpen(shape) ? (['max_entries'] as const) : []),
    ...(leavesStackOpen(shape) ? (['value_size'] as const) : []),
  ];
  if (open.length === 0) return [];
  const setters = open.map((member) => `bpf_map__set_${member}`).join(' and ');
  return [
    {
      id: 'bpf/map-create',
      // Nothing is wrong with it: most loaders set the size, and whoever runs the program here is told which one it got.
      severity: Severity.Hint,
      message: `The map ${map.name} has no ${open.join(' and no ')}: the kernel creates it only when the loader sets ${open.length > 1 ? 'them' : 'it'} before the load`,
      help: `Call ${setters} between open and load, or write \`__uint(${open[0]}, …);\` into the definition.`,
      // What the definition says of it, where that is a zero, else the map.
      places: [
        { kind: 'map', name: map.name, part: open[0]! },
        { kind: 'map', name: map.name },
      ],
      sizes: { map: map.name, members: open },
    },
  ];
}
