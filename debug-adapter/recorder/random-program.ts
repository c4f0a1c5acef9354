/** Random programs that the verifier accepts, for comparing re-execution with the JIT. Not part of any bundle. */
import { encodeInsns, slotsOf } from '../../toolchain/insn/insn';
import type { Insn } from '../../toolchain/insn/insn';
import {
  Alu,
  Atomic,
  Class,
  Jump,
  LD_IMM64,
  Mode,
  Pseudo,
  R10,
  SOURCE_REGISTER,
} from '../../toolchain/insn/opcodes';

/** A reproducible source of randomness: xorshift32. */
export class Random {
  constructor(private state: number) {
    if (state === 0) this.state = 1;
  }
  next(): number {
    this.state ^= this.state << 13;
    this.state ^= this.state >>> 17;
    this.state ^= this.state << 5;
    return this.state >>> 0;
  }
  below(limit: number): number {
    return this.next() % limit;
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }
}

const make = (insn: Partial<Insn> & { code: number }): Insn => ({
  dst: 0,
  src: 0,
  off: 0,
  imm: 0,
  high: 0,
  ...insn,
});
const SIZES = [
  { bytes: 1, code: 0x10 },
  { bytes: 2, code: 0x08 },
  { bytes: 4, code: 0x00 },
  { bytes: 8, code: 0x18 },
] as const;
const EDGES = [0, 1, 2, 3, 31, 32, 63, 64, 255, -1, -2, 0x7fff_ffff, -0x8000_0000, 0x5555_5555];

/** R0 to R5 hold numbers; R6 the context, R7 the packet, R8 a counter, R9 a map's value. */
const NUMBERS = [0, 1, 2, 3, 4, 5];
const PACKET = 7;
const COUNTER = 8;
const VALUE = 9;
/** Bytes of packet, of stack and of map value that the program may touch. */
const ROOM = 64;

export interface RandomOptions {
  /** Map of one value of at least 64 bytes. */
  valueMap: number;
  /** Of Linux, `major * 100 + minor`: which instructions and helpers there are. */
  kernel: number;
}

/** Since when the kernel has what is not in all that this is tried on. */
const SINCE = {
  /** Atomic instructions that give the former value. */
  fetch: 512,
  xdpLoadBytes: 518,
  /** CPU version 4: sign-extending moves and loads, signed division, bswap, jumps of 32 bits. */
  version4: 606,
  acquireRelease: 615,
  /**
   * Before (seen on 6.18, not on 7.3), the verifier does not ask what a number that an atomic instruction fetched from
   * the stack was on other paths: it takes states for equal that are not, and removes code that should run.
   */
  preciseStackFetch: 703,
};

/** An XDP program for packets of 64 bytes and more. */
export function randomProgram(random: Random, options: RandomOptions): Uint8Array {
  const main: Insn[] = [
    mov(6, 1),
    make({ code: Class.LDX | Mode.MEM, dst: PACKET, src: 1, off: 0 }),
    make({ code: Class.LDX | Mode.MEM, dst: 2, src: 1, off: 4 }),
    mov(3, PACKET),
    make({ code: Class.ALU64 | Alu.ADD, dst: 3, imm: ROOM }),
    make({ code: Class.ALU64 | Alu.MOV, dst: 0, imm: 0 }),
    make({ code: Class.JMP | Jump.JLE | SOURCE_REGISTER, dst: 3, src: 2, off: 1 }),
    make({ code: Class.JMP | Jump.EXIT }),
    make({ code: LD_IMM64, dst: VALUE, src: Pseudo.MAP_VALUE, imm: options.valueMap }),
    ...NUMBERS.map((register) => constant(random, register)),
  ];
  for (let offset = -ROOM; offset < 0; offset += 8)
    main.push(make({ code: Class.STX | Mode.MEM | 0x18, dst: R10, src: random.pick(NUMBERS), off: offset }));
  const callees: { at: Insn; index: number }[] = [];
  for (let count = 5 + random.below(40); count > 0; count--)
    main.push(...statement(random, options, callees, true));
  main.push(make({ code: Class.JMP | Jump.EXIT }));

  const functions = [0, 1].map(() => {
    const body: Insn[] = [];
    body.push(...[0, 3, 4, 5].map((register) => constant(random, register)));
    for (let offset = -ROOM; offset < 0; offset += 8)
      body.push(
        make({ code: Class.STX | Mode.MEM | 0x18, dst: R10, src: random.pick(NUMBERS), off: offset }),
      );
    for (let count = 3 + random.below(10); count > 0; count--)
      body.push(...statement(random, options, [], false));
    body.push(make({ code: Class.JMP | Jump.EXIT }));
    return body;
  });
  const all = [...main];
  const starts = functions.map((body) => {
    const start = all.reduce((sum, insn) => sum + slotsOf(insn), 0);
    if (callees.length > 0) all.push(...body);
    return start;
  });
  for (const { at, index } of callees) {
    const before = main.slice(0, main.indexOf(at)).reduce((sum, insn) => sum + slotsOf(insn), 0);
    at.imm = (starts[index] as number) - before - 1;
  }
  const called = new Set(callees.map(({ index }) => index));
  // A function that nobody calls is unreachable code, which the verifier refuses; the last one may be left away.
  if (callees.length > 0 && !called.has(1)) all.splice(all.length - (functions[1] as Insn[]).length);
  if (callees.length > 0 && !called.has(0)) {
    for (const { at } of callees)
      at.imm -= (functions[0] as Insn[]).reduce((sum, insn) => sum + slotsOf(insn), 0);
    all.splice(main.length, (functions[0] as Insn[]).length);
  }
  return encodeInsns(all);
}

function mov(dst: number, src: number): Insn {
  return make({ code: Class.ALU64 | Alu.MOV | SOURCE_REGISTER, dst, src });
}

function immediate(random: Random): number {
  return random.below(2) ? random.pick(EDGES) : random.next() | 0;
}

function constant(random: Random, dst: number): Insn {
  return make({ code: LD_IMM64, dst, imm: immediate(random), high: random.below(3) ? immediate(random) : 0 });
}

/** One statement; `inMain` those that need the registers of the main function. */
function statement(
  random: Random,
  options: RandomOptions,
  callees: { at: Insn; index: number }[],
  inMain: boolean,
): Insn[] {
  switch (random.below(inMain ? 17 : 7)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return [arithmetic(random, options)];
    case 4:
      return access(random, R10, -ROOM, options);
    case 5:
      return [jumpOver(random, [arithmetic(random, options), arithmetic(random, options)])].flat();
    case 6:
      return [constant(random, random.pick(NUMBERS))];
    case 7:
      return access(random, PACKET, 0, options);
    case 8:
      return access(random, VALUE, 0, options);
    case 9:
      return [atomic(random, options)];
    case 10:
      return loop(random, options);
    case 11:
      return variableAccess(random);
    case 12:
      return longJump(random, options);
    case 13:
      return lookUp(random, options);
    case 14:
      return acquireOrRelease(random, options);
    case 15:
      return loadBytes(random, options);
    default:
      return call(random, callees);
  }
}

const OPERATIONS = [
  Alu.ADD,
  Alu.SUB,
  Alu.MUL,
  Alu.DIV,
  Alu.OR,
  Alu.AND,
  Alu.LSH,
  Alu.RSH,
  Alu.NEG,
  Alu.MOD,
  Alu.XOR,
  Alu.MOV,
  Alu.ARSH,
  Alu.END,
];

function arithmetic(random: Random, { kernel }: RandomOptions): Insn {
  const version4 = kernel >= SINCE.version4;
  const operation = random.pick(OPERATIONS);
  const group = random.below(2) ? Class.ALU64 : Class.ALU;
  const dst = random.pick(NUMBERS);
  if (operation === Alu.END) {
    const swap = version4 && random.below(3) === 0;
    const code = swap ? Class.ALU64 | Alu.END : Class.ALU | Alu.END | (random.below(2) ? SOURCE_REGISTER : 0);
    return make({ code, dst, imm: random.pick([16, 32, 64]) });
  }
  if (operation === Alu.NEG) return make({ code: group | operation, dst });
  const isRegister = random.below(2) === 1;
  const isShift = operation === Alu.LSH || operation === Alu.RSH || operation === Alu.ARSH;
  const isDivision = operation === Alu.DIV || operation === Alu.MOD;
  let off = 0;
  if (version4 && isDivision && random.below(2)) off = 1;
  if (version4 && operation === Alu.MOV && isRegister && random.below(2))
    off = random.pick(group === Class.ALU64 ? [8, 16, 32] : [8, 16]);
  if (isRegister) {
    return make({ code: group | operation | SOURCE_REGISTER, dst, src: random.pick(NUMBERS), off });
  }
  let imm = immediate(random);
  if (isShift) imm = random.below(group === Class.ALU64 ? 64 : 32);
  if (isDivision && imm === 0) imm = 7;
  return make({ code: group | operation, dst, imm, off });
}

function access(random: Random, base: number, from: number, { kernel }: RandomOptions): Insn[] {
  const size = random.pick(SIZES);
  const off = from + random.below(ROOM / size.bytes) * size.bytes;
  const register = random.pick(NUMBERS);
  switch (random.below(3)) {
    case 0:
      return [make({ code: Class.STX | Mode.MEM | size.code, dst: base, src: register, off })];
    case 1:
      return [make({ code: Class.ST | Mode.MEM | size.code, dst: base, off, imm: immediate(random) })];
    default: {
      const signed = kernel >= SINCE.version4 && size.bytes < 8 && random.below(3) === 0;
      const code = Class.LDX | (signed ? Mode.MEMSX : Mode.MEM) | size.code;
      return [make({ code, dst: register, src: base, off })];
    }
  }
}

const ATOMICS = [
  Atomic.ADD,
  Atomic.OR,
  Atomic.AND,
  Atomic.XOR,
  Atomic.ADD | Atomic.FETCH,
  Atomic.OR | Atomic.FETCH,
  Atomic.AND | Atomic.FETCH,
  Atomic.XOR | Atomic.FETCH,
  Atomic.XCHG,
  Atomic.CMPXCHG,
];

const FETCHING_NOTHING = ATOMICS.filter((operation) => (operation & Atomic.FETCH) === 0);

function atomic(random: Random, { kernel }: RandomOptions): Insn {
  const wide = random.below(2) === 1;
  const base = random.below(2) ? VALUE : R10;
  const mayFetch = kernel >= (base === R10 ? SINCE.preciseStackFetch : SINCE.fetch);
  const operations = mayFetch ? ATOMICS : kernel >= SINCE.fetch ? FETCHING_NOTHING : [Atomic.ADD];
  const width = wide ? 8 : 4;
  const off = (base === R10 ? -ROOM : 0) + random.below(ROOM / width) * width;
  return make({
    code: Class.STX | Mode.ATOMIC | (wide ? 0x18 : 0),
    dst: base,
    src: random.pick(NUMBERS),
    off,
    imm: random.pick(operations),
  });
}

const CONDITIONS = [
  Jump.JEQ,
  Jump.JGT,
  Jump.JGE,
  Jump.JSET,
  Jump.JNE,
  Jump.JSGT,
  Jump.JSGE,
  Jump.JLT,
  Jump.JLE,
  Jump.JSLT,
  Jump.JSLE,
];

function jumpOver(random: Random, over: Insn[]): Insn[] {
  const isRegister = random.below(2) === 1;
  const jump = make({
    code:
      (random.below(2) ? Class.JMP : Class.JMP32) |
      random.pick(CONDITIONS) |
      (isRegister ? SOURCE_REGISTER : 0),
    dst: random.pick(NUMBERS),
    src: isRegister ? random.pick(NUMBERS) : 0,
    off: over.reduce((sum, insn) => sum + slotsOf(insn), 0),
    imm: isRegister ? 0 : immediate(random),
  });
  return [jump, ...over];
}

/** A loop of a few rounds, counted in R8. */
function loop(random: Random, options: RandomOptions): Insn[] {
  const body = [
    arithmetic(random, options),
    ...access(random, R10, -ROOM, options),
    arithmetic(random, options),
  ];
  const length = body.reduce((sum, insn) => sum + slotsOf(insn), 0);
  return [
    make({ code: Class.ALU64 | Alu.MOV, dst: COUNTER, imm: 0 }),
    ...body,
    make({ code: Class.ALU64 | Alu.ADD, dst: COUNTER, imm: 1 }),
    make({ code: Class.JMP | Jump.JLT, dst: COUNTER, imm: 1 + random.below(6), off: -(length + 2) }),
  ];
}

/** Reads or writes the map's value at an offset that the program computes. */
function variableAccess(random: Random): Insn[] {
  const size = random.pick(SIZES);
  const pointer = random.pick([1, 2, 3]);
  const other = random.pick([0, 4, 5]);
  const code = random.below(2) ? Class.LDX : Class.STX;
  const [dst, src] = code === Class.LDX ? [other, pointer] : [pointer, other];
  return [
    mov(pointer, other),
    make({ code: Class.ALU64 | Alu.AND, dst: pointer, imm: (ROOM / 2 - 1) & -size.bytes }),
    make({ code: Class.ALU64 | Alu.ADD | SOURCE_REGISTER, dst: pointer, src: VALUE }),
    make({ code: code | Mode.MEM | size.code, dst, src, off: random.below(2) * size.bytes }),
    constant(random, pointer),
  ];
}

/** Forward, with 32 bits of distance. */
function longJump(random: Random, options: RandomOptions): Insn[] {
  const over = [arithmetic(random, options)];
  if (options.kernel < SINCE.version4) return over;
  // What is jumped over is reached from nowhere but a jump.
  const around = make({
    code: Class.JMP | Jump.JEQ,
    dst: random.pick(NUMBERS),
    imm: immediate(random),
    off: 1,
  });
  return [around, make({ code: Class.JMP32 | Jump.JA, imm: 1 }), ...over];
}

/** Looks an index up that may be there or not, and uses the value that was found. */
function lookUp(random: Random, { valueMap }: RandomOptions): Insn[] {
  const found = [
    make({ code: Class.LDX | Mode.MEM | 0x18, dst: 1, src: 0, off: 8 * random.below(8) }),
    make({ code: Class.STX | Mode.MEM | 0x18, dst: 0, src: 1, off: 8 * random.below(8) }),
    constant(random, 0),
  ];
  return [
    make({ code: Class.ST | Mode.MEM, dst: R10, off: -ROOM, imm: random.below(3) }),
    make({ code: LD_IMM64, dst: 1, src: Pseudo.MAP, imm: valueMap }),
    mov(2, R10),
    make({ code: Class.ALU64 | Alu.ADD, dst: 2, imm: -ROOM }),
    make({ code: Class.JMP | Jump.CALL, imm: MAP_LOOKUP_ELEM }),
    make({
      code: Class.JMP | Jump.JEQ,
      dst: 0,
      imm: 0,
      off: found.reduce((sum, insn) => sum + slotsOf(insn), 0),
    }),
    ...found,
    ...[1, 2, 3, 4, 5].map((register) => constant(random, register)),
  ];
}
const MAP_LOOKUP_ELEM = 1;

function acquireOrRelease(random: Random, options: RandomOptions): Insn[] {
  if (options.kernel < SINCE.acquireRelease) return [arithmetic(random, options)];
  const size = random.pick(SIZES);
  const base = random.below(2) ? VALUE : R10;
  const off = (base === R10 ? -ROOM : 0) + random.below(ROOM / size.bytes) * size.bytes;
  const other = random.pick(NUMBERS);
  const code = Class.STX | Mode.ATOMIC | size.code;
  return random.below(2)
    ? [make({ code, dst: other, src: base, off, imm: Atomic.LOAD_ACQUIRE })]
    : [make({ code, dst: base, src: other, off, imm: Atomic.STORE_RELEASE })];
}

/** Has a helper write to the stack, and reads that back. */
function loadBytes(random: Random, options: RandomOptions): Insn[] {
  if (options.kernel < SINCE.xdpLoadBytes) return [arithmetic(random, options)];
  const length = 1 + random.below(16);
  return [
    mov(1, 6),
    make({ code: Class.ALU64 | Alu.MOV, dst: 2, imm: random.below(100) }),
    mov(3, R10),
    make({ code: Class.ALU64 | Alu.ADD, dst: 3, imm: -ROOM + random.below(32) }),
    make({ code: Class.ALU64 | Alu.MOV, dst: 4, imm: length }),
    make({ code: Class.JMP | Jump.CALL, imm: XDP_LOAD_BYTES }),
    ...[1, 2, 3, 4, 5].map((register) => constant(random, register)),
    ...access(random, R10, -ROOM, options),
  ];
}
const XDP_LOAD_BYTES = 189;

/** ktime_get_ns, get_prandom_u32, get_smp_processor_id */
const HELPERS = [5, 7, 8];

function call(random: Random, callees: { at: Insn; index: number }[]): Insn[] {
  const restore = [1, 2, 3, 4, 5].map((register) => constant(random, register));
  if (random.below(2)) return [make({ code: Class.JMP | Jump.CALL, imm: random.pick(HELPERS) }), ...restore];
  const at = make({ code: Class.JMP | Jump.CALL, src: 1 });
  callees.push({ at, index: random.below(2) });
  return [at, ...restore];
}
