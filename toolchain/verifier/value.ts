/**
 * What the verifier knows of one register or spilled register, read from the way kernels 5.10 to 7.3 print it
 * (print_verifier_state and print_reg_state of kernel/bpf/verifier.c, since 6.8 kernel/bpf/log.c):
 *
 *     inv(id=0,umax_value=255,var_off=(0x0; 0xff))   ctx(id=0,off=0,imm=0)   invP4      up to 5.17
 *     scalar(umax=255,var_off=(0x0; 0xff))           ctx(off=0,imm=0)        P4         5.18 to 6.7
 *     scalar(smin=0,smax=umax=255,var_off=(0x0; 0xff))   ctx()               P4         since 6.8
 */

/** A tracked number: bits of `mask` are unknown, the others are those of `value`. */
export interface Tnum {
  value: bigint;
  mask: bigint;
}

/** Limits as printed; a limit that is not printed is the type's own. All limits are inclusive. */
export interface Bounds {
  smin: bigint;
  smax: bigint;
  umin: bigint;
  umax: bigint;
  /** Of the lower 32 bits. */
  smin32: bigint;
  smax32: bigint;
  umin32: bigint;
  umax32: bigint;
  bits: Tnum;
}

export interface MapFacts {
  /** Its first 15 characters; kernels before 6.2 do not print it. */
  name?: string;
  keySize: number;
  valueSize: number;
}

export interface Value {
  /** As printed, for people. */
  text: string;
  /**
   * The kernel's word for the type without what the flags below say: `scalar`, `ctx`, `fp`, `pkt`, `pkt_end`,
   * `map_value`, `map_ptr`, `mem`, `ringbuf_mem`, `ptr` (to a struct known by BTF), `sock`, `buf`, `func`, …
   */
  type: string;
  /** Flags that stand before the type: `trusted`, `untrusted`, `rcu`, `percpu`, `user`, `rdonly`, … */
  modifiers: string[];
  /** Of a `ptr`: the struct pointed to, without `struct`. */
  struct?: string;
  mayBeNull: boolean;
  /** Only the type is printed, as kernels before 6.8 do for spilled registers; offset, limits and sizes are not known. */
  isBare: boolean;
  /** The verifier needs the exact value: states that differ in it are not the same. */
  precise: boolean;
  /** Values with the same id are known to be equal, or to be NULL together. */
  id?: number;
  /** The value is that of `id` plus this. */
  idOffset?: bigint;
  /** Id of the reference that must be released. */
  reference?: number;
  /** A reference that another owner may release. */
  isNonOwning: boolean;
  /** Of a pointer to a dynptr that was handed to the program: what kind. */
  dynptr?: string;
  /** Fixed part of a pointer's offset. */
  offset: bigint;
  /**
   * Of packet pointers: bytes proven to be there from the pointer's base (without its fixed offset). Negative when
   * the pointer is known to be at the packet's end or beyond it, so that nothing can be read.
   */
  range?: number;
  /** Of `mem` and its kin: bytes. */
  size?: number;
  map?: MapFacts;
  /** Of `fp`: the number of the frame whose stack it points to, when that is another than the printed one. */
  frame?: number;
  /** The number itself, or the variable part of a pointer's offset; constants have all limits alike. */
  bounds: Bounds;
  /** Fields of no known name, as printed. Their presence means that the rest may be incomplete. */
  unread: string[];
}

const S64 = { min: -(1n << 63n), max: (1n << 63n) - 1n };
const U64 = (1n << 64n) - 1n;
const S32 = { min: -(1n << 31n), max: (1n << 31n) - 1n };
const U32 = (1n << 32n) - 1n;

export const anyNumber: Readonly<Bounds> = {
  smin: S64.min,
  smax: S64.max,
  umin: 0n,
  umax: U64,
  smin32: S32.min,
  smax32: S32.max,
  umin32: 0n,
  umax32: U32,
  bits: { value: 0n, mask: U64 },
};

export function constant(number: bigint): Bounds {
  const signed = BigInt.asIntN(64, number);
  const unsigned = BigInt.asUintN(64, number);
  const low = BigInt.asIntN(32, number);
  return {
    smin: signed,
    smax: signed,
    umin: unsigned,
    umax: unsigned,
    smin32: low,
    smax32: low,
    umin32: BigInt.asUintN(32, number),
    umax32: BigInt.asUintN(32, number),
    bits: { value: unsigned, mask: 0n },
  };
}

/** The number that bounds allow alone; signed. */
export function constantOf({ bits }: Bounds): bigint | undefined {
  return bits.mask === 0n ? BigInt.asIntN(64, bits.value) : undefined;
}

/** `12`, `-0x10`, `0xffffffffffffffff`; undefined for anything else. */
function number(text: string): bigint | undefined {
  if (!/^-?(?:\d{1,20}|0x[0-9a-f]{1,16})$/.test(text)) return undefined;
  return text.startsWith('-') ? -BigInt(text.slice(1)) : BigInt(text);
}

/** Field names of all kernels for the limits. */
type Limit = Exclude<keyof Bounds, 'bits'>;
const limits: Record<string, Limit> = {
  smin: 'smin',
  smax: 'smax',
  umin: 'umin',
  umax: 'umax',
  smin32: 'smin32',
  smax32: 'smax32',
  umin32: 'umin32',
  umax32: 'umax32',
  smin_value: 'smin',
  smax_value: 'smax',
  umin_value: 'umin',
  umax_value: 'umax',
  s32_min_value: 'smin32',
  s32_max_value: 'smax32',
  u32_min_value: 'umin32',
  u32_max_value: 'umax32',
  s32_min: 'smin32',
  s32_max: 'smax32',
  u32_min: 'umin32',
  u32_max: 'umax32',
};

const MODIFIERS = /^(trusted|untrusted|rcu|percpu|user|rdonly)_(?=[a-z])/;

/** Reads one printed value. Total: a word it does not know becomes the type, a field it does not know is `unread`. */
export function parseValue(text: string): Value {
  const value: Value = {
    text,
    type: 'scalar',
    modifiers: [],
    mayBeNull: false,
    isBare: false,
    precise: false,
    isNonOwning: false,
    offset: 0n,
    bounds: anyNumber,
    unread: [],
  };
  const open = text.indexOf('(');
  let word = open < 0 ? text : text.slice(0, open);
  let fields = open < 0 ? '' : text.slice(open + 1);
  if (open >= 0) {
    if (fields.endsWith(')')) fields = fields.slice(0, -1);
    else value.unread.push(text.slice(open));
  }
  const scalar = /^(inv)?(P?)(?=$|-?\d)/.exec(word);
  if (scalar) {
    value.precise = scalar[2] === 'P';
    word = word.slice(scalar[0].length);
    const exact = number(word);
    if (exact !== undefined) value.bounds = constant(exact);
    else if (word !== '') value.unread.push(word);
    else value.isBare = open < 0;
  } else readWord(value, word, open < 0);
  if (open >= 0) readFields(value, fields);
  return value;
}

function readWord(value: Value, printed: string, isBare: boolean): void {
  let word = printed;
  if (/^P(scalar|inv)$/.test(word)) {
    value.precise = true;
    word = word.slice(1);
  }
  const stack = /^fp(?:\[(\d{1,9})\])?(-?\w+)?$/.exec(word);
  const at = stack && number(stack[2] ?? '0');
  value.isBare = isBare && !stack?.[2];
  if (stack && typeof at === 'bigint') {
    value.type = 'fp';
    if (stack[1]) value.frame = Number(stack[1]);
    value.bounds = constant(0n);
    value.offset = at;
    return;
  }
  for (let found = MODIFIERS.exec(word); found; found = MODIFIERS.exec(word)) {
    value.modifiers.push(found[1] as string);
    word = word.slice(found[0].length);
  }
  const struct = /^ptr_(or_null_)?(.*)$/.exec(word);
  if (struct) {
    value.type = 'ptr';
    value.mayBeNull = struct[1] !== undefined;
    if (struct[2]) value.struct = struct[2];
    return;
  }
  value.mayBeNull = word.endsWith('_or_null');
  value.type = value.mayBeNull ? word.slice(0, -'_or_null'.length) : word === 'inv' ? 'scalar' : word;
}

function readFields(value: Value, text: string): void {
  const fields = splitFields(text);
  // Up to 6.7 every pointer has `off` and `imm`, and `imm` is hexadecimal without a prefix.
  const isOld = fields.some(
    (field) => /^(id|off|imm)=0$/.test(field) || /^[su](32_)?(min|max)_value=/.test(field),
  );
  const bounds = { ...(value.type === 'scalar' ? anyNumber : constant(0n)) };
  let isVariable = value.type === 'scalar';
  for (const field of fields) {
    const equals = field.lastIndexOf('=');
    const names = field.slice(0, Math.max(0, equals)).split('=');
    const spelled = field.slice(equals + 1);
    if (names.every((name) => Object.hasOwn(limits, name))) {
      const limit = number(spelled);
      if (limit === undefined) value.unread.push(field);
      else {
        if (!isVariable) Object.assign(bounds, anyNumber);
        isVariable = true;
        for (const name of names) setLimit(bounds, limits[name] as Limit, limit);
      }
      continue;
    }
    const tnum = /^var_off=\((0x[0-9a-f]{1,16}); (0x[0-9a-f]{1,16})\)$/.exec(field);
    if (tnum) {
      if (!isVariable) Object.assign(bounds, anyNumber);
      isVariable = true;
      bounds.bits = { value: BigInt(tnum[1] as string), mask: BigInt(tnum[2] as string) };
      continue;
    }
    if (names.length !== 1 || !readField(value, names[0] as string, spelled)) {
      const exact =
        names[0] === 'imm' && number(isOld && /^[0-9a-f]{1,16}$/.test(spelled) ? `0x${spelled}` : spelled);
      if (typeof exact === 'bigint') Object.assign(bounds, constant(exact));
      else if (field === 'non_own_ref') value.isNonOwning = true;
      else value.unread.push(field);
    }
  }
  value.bounds = bounds;
}

/** Prints of 32-bit limits are sign-extended in decimal and not in hexadecimal; here they are numbers. */
function setLimit(bounds: Bounds, name: Limit, limit: bigint): void {
  const width = name.endsWith('32') ? 32 : 64;
  bounds[name] = name.startsWith('s') ? BigInt.asIntN(width, limit) : BigInt.asUintN(width, limit);
}

function readField(value: Value, name: string, spelled: string): boolean {
  switch (name) {
    case 'id': {
      const match = /^(\d{1,10})([+-]\d{1,19})?$/.exec(spelled);
      if (!match) return false;
      value.id = Number(match[1]);
      if (match[2]) value.idOffset = BigInt(match[2].replace('+', ''));
      // Up to 5.17 the absence of an id was printed.
      if (value.id === 0) delete value.id;
      return true;
    }
    case 'map': {
      value.map = { keySize: 0, valueSize: 0, ...value.map, name: spelled };
      return true;
    }
    case 'type': {
      value.dynptr = spelled;
      return true;
    }
    case 'ref_obj_id':
    case 'off':
    case 'r':
    case 'sz':
    case 'ks':
    case 'vs': {
      const exact = number(spelled);
      if (exact === undefined) return false;
      if (name === 'off') value.offset = BigInt.asIntN(64, exact);
      else if (name === 'r') value.range = Number(BigInt.asIntN(64, exact));
      else if (name === 'sz') value.size = Number(exact);
      else if (name === 'ref_obj_id') {
        if (exact !== 0n) value.reference = Number(exact);
      } else {
        value.map = { keySize: 0, valueSize: 0, ...value.map };
        value.map[name === 'ks' ? 'keySize' : 'valueSize'] = Number(exact);
      }
      return true;
    }
    default:
      return false;
  }
}

/** Splits at commas outside of brackets. */
function splitFields(text: string): string[] {
  const fields: string[] = [];
  let depth = 0;
  let start = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x28) depth++;
    else if (code === 0x29) depth--;
    else if (code === 0x2c && depth === 0) {
      fields.push(text.slice(start, at));
      start = at + 1;
    }
  }
  if (start < text.length) fields.push(text.slice(start));
  return fields;
}
