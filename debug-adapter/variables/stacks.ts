/** A recorded stack: one child a frame, innermost first, kernel addresses with the functions they lie in. */
import type { LoadedMap } from '../../kernel/protocol';
import { hexText } from '../../toolchain/packet/hexdump';
import type { VariableContext } from './context';
import { note, type VariableNode } from './node';
import type { Home } from './values';

/** BPF_F_STACK_BUILD_ID: frames are `struct bpf_stack_build_id` instead of addresses. */
const BUILD_ID = 1 << 5;
const BUILD_ID_SIZE = 32;
/** BPF_STACK_BUILD_ID_VALID; of the others, EMPTY is 0 and IP, a plain address, 2. */
const VALID = 1;

type Frame = { address: bigint } | { buildId: string; offset: bigint };

export function stackNode(
  context: VariableContext,
  map: LoadedMap,
  home: Home,
  name: string,
  bytes: Uint8Array,
): VariableNode {
  const frames = (map.flags & BUILD_ID) === 0 ? addressFrames(bytes) : buildIdFrames(bytes);
  return {
    path: home.path,
    name,
    value: `stack of ${frames.length} ${frames.length === 1 ? 'frame' : 'frames'}`,
    readOnly: home.readOnly ?? '',
    children: async (start = 0, count) => {
      const shown = frames.slice(start, count === undefined ? undefined : start + count);
      const addresses = shown.flatMap((frame) => ('address' in frame ? [frame.address] : []));
      const { names, unavailable } = await context.symbols(addresses);
      const rows: VariableNode[] = shown.map((frame, i) => ({
        path: `${home.path}/${start + i}`,
        name: `#${start + i}`,
        value: describeFrame(frame, names),
      }));
      return unavailable === undefined ? rows : [...rows, note(home.path, 'no names', unavailable)];
    },
    memory: home.read,
  };
}

/** `tcp_sendmsg+0x4a (0xffffffff81c3a04a)`; addresses of user space stay numbers. */
function describeFrame(frame: Frame, names: ReadonlyMap<bigint, string>): string {
  if ('buildId' in frame) return `build id ${frame.buildId}, offset 0x${frame.offset.toString(16)}`;
  const address = `0x${frame.address.toString(16)}`;
  const name = names.get(frame.address);
  return name === undefined ? address : `${name} (${address})`;
}

/** User space gets zeros behind the last frame. */
function addressFrames(bytes: Uint8Array): Frame[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const frames: Frame[] = [];
  for (let at = 0; at + 8 <= bytes.length; at += 8) {
    const address = view.getBigUint64(at, true);
    if (address === 0n) break;
    frames.push({ address });
  }
  return frames;
}

/** `{ __s32 status; unsigned char build_id[20]; union { __u64 offset; __u64 ip; }; }` each. */
function buildIdFrames(bytes: Uint8Array): Frame[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const frames: Frame[] = [];
  for (let at = 0; at + BUILD_ID_SIZE <= bytes.length; at += BUILD_ID_SIZE) {
    const status = view.getInt32(at, true);
    if (status === 0) break;
    const place = view.getBigUint64(at + 24, true);
    const buildId = hexText(bytes.subarray(at + 4, at + 24)).replaceAll(' ', '');
    frames.push(status === VALID ? { buildId, offset: place } : { address: place });
  }
  return frames;
}
