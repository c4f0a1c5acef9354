/**
 * The addon's functions, typed. They are thin over libbpf: file descriptors are numbers, objects and links opaque.
 * Functions that return promises run on a thread of their own; cancelling their {@link Operation} interrupts the
 * system call. A rejected promise carries an {@link AddonError}.
 */
import { createRequire } from 'node:module';

/** One or more calls that can be cancelled together, one after the other. */
export interface Operation {
  cancel(): void;
}

/** How a call failed: errno's name in `code` (`ECANCELED` after a cancel), and libbpf's warnings during it. */
export interface AddonError extends Error {
  operation: string;
  code: string;
  errno: number;
  libbpfLog: string;
}

export function isAddonError(error: unknown): error is AddonError {
  return error instanceof Error && 'operation' in error && 'errno' in error;
}

declare const opaque: unique symbol;
export type AddonObject = { [opaque]: 'bpf_object' };
export type AddonLink = { [opaque]: 'link' };
export type AddonReader = { [opaque]: 'reader' };
type Op = Operation | null;

export interface AddonProgram {
  name: string;
  section: string;
  type: string;
  typeNumber: number;
  attachType: string;
  attachTypeNumber: number;
  autoload: boolean;
  /** -1 unless loaded. */
  fd: number;
  insnCount: number;
  lineInfo: Uint8Array;
  /** What the verifier wrote at the log level set with `programSet`. */
  log: string;
  logSize: number;
}

export interface AddonMap {
  name: string;
  type: string;
  typeNumber: number;
  keySize: number;
  valueSize: number;
  maxEntries: number;
  flags: number;
  keyTypeId: number;
  valueTypeId: number;
  globals: boolean;
  pinnedAt: string;
  fd: number;
}

export interface AddonMapInfo {
  id: number;
  type: string;
  typeNumber: number;
  name: string;
  keySize: number;
  valueSize: number;
  maxEntries: number;
  flags: number;
  btfId: number;
  keyTypeId: number;
  valueTypeId: number;
  vmlinuxValueTypeId: number;
  frozen: boolean;
}

export interface AddonProgramInfo {
  id: number;
  type: string;
  typeNumber: number;
  name: string;
  tag: string;
  /** Nanoseconds since boot. */
  loadTime: bigint;
  btfId: number;
  runCount: bigint;
  runTimeNs: bigint;
  verifiedInsns: number;
  jitedSize: number;
  mapIds: number[];
}

export interface MapPage {
  keys: Uint8Array;
  values: Uint8Array;
  count: number;
  cursor?: Uint8Array;
  /** errno's name of values that could not be read and are zero. */
  unreadable?: string;
}

export interface Addon {
  Operation: new () => Operation;
  libbpfVersion: string;
  possibleCpus: number;

  objectOpen(op: Op, bytes: Uint8Array, name: string): Promise<{ object: AddonObject; log: string }>;
  objectLoad(op: Op, object: AddonObject): Promise<string>;
  objectClose(op: Op, object: AddonObject): Promise<void>;
  objectPrograms(object: AddonObject): AddonProgram[];
  objectMaps(object: AddonObject): AddonMap[];
  programSet(
    object: AddonObject,
    name: string,
    options: { autoload?: boolean; logLevel?: number; logSize?: number },
  ): void;
  programSetAttachTarget(op: Op, object: AddonObject, name: string, target: string): Promise<void>;
  mapSetInitialValue(object: AddonObject, name: string, value: Uint8Array): void;

  programTestRun(
    op: Op,
    fd: number,
    input: {
      data?: Uint8Array;
      context?: Uint8Array;
      dataOutSize: number;
      contextOutSize: number;
      repeat?: number;
      cpu?: number;
      flags?: number;
      batchSize?: number;
    },
  ): Promise<{ returnValue: number; duration: number; data: Uint8Array; context: Uint8Array }>;
  programInfo(op: Op, fd: number): Promise<AddonProgramInfo>;
  programDump(
    op: Op,
    fd: number,
  ): Promise<{ instructions: Uint8Array; lineInfo: Uint8Array; funcInfo: Uint8Array }>;

  mapLookup(
    op: Op,
    fd: number,
    key: Uint8Array,
    valueSize: number,
    flags?: bigint,
  ): Promise<Uint8Array | null>;
  mapUpdate(op: Op, fd: number, key: Uint8Array, value: Uint8Array, flags: number): Promise<void>;
  mapDelete(op: Op, fd: number, key: Uint8Array): Promise<boolean>;
  mapLookupAndDelete(op: Op, fd: number, key: Uint8Array, valueSize: number): Promise<Uint8Array | null>;
  mapReadBatch(
    op: Op,
    fd: number,
    keySize: number,
    valueSize: number,
    limit: number,
    cursor?: Uint8Array,
  ): Promise<MapPage>;
  mapReadEach(
    op: Op,
    fd: number,
    keySize: number,
    valueSize: number,
    limit: number,
    cursor?: Uint8Array,
  ): Promise<MapPage>;
  mapInfo(op: Op, fd: number): Promise<AddonMapInfo>;

  closeFd(fd: number): void;
  mapOpenById(op: Op, id: number): Promise<number>;
  programOpenById(op: Op, id: number): Promise<number>;
  linkOpenById(op: Op, id: number): Promise<number>;
  btfOpenById(op: Op, id: number): Promise<number>;
  peerCredentials(fd: number): { pid: number; uid: number; gid: number };
  exitNow(status: number): never;
}

/** Loads `bpf-studio.node`; throws the dynamic linker's error when this machine's C library is too old for it. */
export function loadAddon(file: string): Addon {
  return createRequire(file)(file) as Addon;
}
