/** Accesses beyond what is there, told in bytes. */
import type { Facts } from './kinds';
import { neutralReturn } from './words';

/**
 * `invalid access to packet, off=23 size=1, R1(id=0,off=23,r=14)`. With an id other than 0 the pointer has a part that is
 * not constant, and the numbers count from there.
 */
export function packetBounds(facts: Facts): string {
  const {
    match: [, off, size, number, id, proven],
    here,
    type,
  } = facts;
  const [first, end] = [Number(off), Number(off) + Number(size)];
  const isMeta = type(number) === 'pkt_meta';
  const [what, limit] = isMeta ? ['metadata', 'data'] : ['packet', 'data_end'];
  if (facts.isBeyondPackets(number)) {
    return `${here} lies at an offset that may be larger than 65535, and for those a comparison with ${limit} proves nothing`;
  }
  if (id !== '0') {
    const lacking = end - Number(proven);
    return Number(proven) === 0 || lacking <= 0
      ? `${here} lies at an offset that is not constant, and no comparison with ${limit} on this path proves anything of it`
      : `${here} needs ${bytes(lacking)} more than the comparison with ${limit} on this path proves`;
  }
  if (first < 0) return `${here} begins ${bytes(-first)} before the ${what}`;
  return Number(proven) === 0
    ? `${here} needs ${bytes(end)} of ${what}, and no comparison with ${limit} on this path proves any`
    : `${here} needs ${bytes(end)} of ${what}, but the comparison with ${limit} on this path proves only ${proven}`;
}

/** The check to write, where the access is a member of what a variable points to. */
export function packetCheck(facts: Facts): string | undefined {
  const {
    match: [, , , number],
    here,
    callee,
    type,
  } = facts;
  const pass = neutralReturn(facts.programType);
  if (type(number) === 'pkt_meta') return 'Compare the end of the metadata that you access with data first.';
  if (facts.isBeyondPackets(number)) {
    return `Limit the number before it is added, e.g. if (i > 1500) return ${pass};, and compare the pointer with data_end after that.`;
  }
  if (callee) {
    return `Compare the end of what ${callee} is given with data_end first: if ((void *)start + size > data_end) return ${pass}; a size that varies is limited before that.`;
  }
  const end = endOf(here);
  if (end === undefined) return undefined;
  return `Compare its end with data_end first: if ((void *)(${end}) > data_end) return ${pass};`;
}

/** The end of what an expression accesses: `eth + 1` of `eth->h_proto` and `*eth`, `p + i + 7` of `p[i + 6]`. */
function endOf(here: string): string | undefined {
  const pointer = /^`(?:\*([A-Za-z_]\w*)|([A-Za-z_]\w*)->[\w.]+)`$/.exec(here);
  if (pointer) return `${pointer[1] ?? pointer[2]} + 1`;
  const element = /^`([A-Za-z_]\w*)\[(?:([A-Za-z_]\w*)(?: ?\+ ?(\d+))?|(\d+))\]`$/.exec(here);
  if (!element) return undefined;
  const [, base, index, plus, constant] = element;
  const last = Number(plus ?? constant ?? 0) + 1;
  return index === undefined ? `${base} + ${last}` : `${base} + ${index} + ${last}`;
}

/** `invalid access to map value, value_size=64 off=120 size=2` and its kin, with what the memory is in the first group. */
export function beyondMemory({ match: [, what, whole, off, size], here, find }: Facts): string {
  const first = Number(off);
  const last = first + Number(size) - 1;
  const has = `the ${what}, which has ${bytes(Number(whole))}`;
  const touched = last === first ? `byte ${first}` : `bytes ${first} to ${last}`;
  if (find(/(max value is outside)/)) {
    return `${here} may reach beyond ${has}: with the largest index that is possible it touches ${touched}`;
  }
  return first < 0
    ? `${here} may begin ${bytes(-first)} before ${has}`
    : `${here} reaches beyond ${has}: it touches ${touched}`;
}

export function withinMemory(facts: Facts): string | undefined {
  const { match, find, callee, isIndexed } = facts;
  const [, what, whole, off] = match;
  if (Number(off) < 0)
    return 'Check the index from below, too: if (i < 0) return 0; or make it unsigned (__u32).';
  if (isIndexed(find(/^R(\d+) (?:min|max) value is outside/))) return undefined;
  const room = Number(whole) - Number(off);
  if (callee && room > 0) return `Pass a size that fits: from this offset on the ${what} has ${bytes(room)}.`;
  if (room <= 0) {
    return `Its last byte is number ${Number(whole) - 1}: check the index (the last one is the number of elements less one), and the type that the pointer is declared with.`;
  }
  return what === 'map value'
    ? 'Compare the type that the pointer is declared with and the type of the map’s values: they differ in size.'
    : `Ask for as much memory as is accessed: it has ${bytes(Number(whole))}.`;
}

/** `invalid read from stack R2 off=-4 size=8`: below the frame, or beyond its top. */
export function beyondStack({ match: [, off, size], here, onStack }: Facts): string {
  const variable = onStack(Number(off));
  return variable && Number(size) > variable.size
    ? `${here} takes ${bytes(Number(size))} from ${variable.name}, which has ${variable.size}`
    : `${here} reaches beyond the stack: ${bytes(Number(size))} at offset ${off} from the frame pointer`;
}

/** `invalid variable-offset write to stack R1 var_off=(0x0; 0x3f) off=-32 size=1`: an index into what lies there. */
export function beyondVariable({ match: [, off], here, onStack, stackBase }: Facts): string {
  // 5.10 does not print the offset, and since 7.x it is part of what the kernel says of the variable one.
  const base = stackBase ?? (off === undefined ? undefined : Number(off));
  const variable = base === undefined ? undefined : onStack(base);
  return variable
    ? `${here} may reach beyond ${variable.name}, which has ${bytes(variable.size)} of stack`
    : `${here} may reach beyond what the stack holds there`;
}

function bytes(count: number): string {
  return count === 1 ? '1 byte' : `${count} bytes`;
}
