/** `x`: bytes in memory. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { hexdump } from '../../../toolchain/packet/hexdump';
import { Refusal } from '../adapter';
import type { Debugger } from '../debugger';

const DEFAULT = 64;
const MOST = 65_536;

/** `/32 data`, `sum`: a pointer's bytes are those it leads to. */
export async function printMemory(replay: Debugger, argument: string): Promise<void> {
  const [, digits, letters = '', expression = ''] =
    /^(?:\/(\d{1,6})?([a-z]*)\s+)?(.*)$/s.exec(argument) ?? [];
  if (expression === '') throw new Refusal('x takes an expression, such as x/32 data.');
  if (!/^[xb]*$/.test(letters)) throw new Refusal(`x prints bytes in hex; it has no format ${letters}.`);
  const bytes = await bytesAt(replay, expression, Math.min(Number(digits ?? DEFAULT), MOST));
  if (bytes.length === 0) throw new Refusal(`${expression} has no bytes that the run has shown.`);
  for (const row of hexdump(bytes, bytes.length)) replay.print(row);
}

async function bytesAt(replay: Debugger, expression: string, count: number): Promise<Uint8Array> {
  const found = await replay.evaluate(expression);
  const isPointer = /\*$/.test(found.type ?? '');
  // What a pointer to void leads to has no size of its own.
  const target = isPointer ? await replay.evaluate(`*(${expression})`).catch(() => found) : found;
  const { memoryReference } = target;
  if (memoryReference === undefined) throw new Refusal(`${expression} is not in memory: ${target.result}.`);
  const { data = '' } = await replay.adapter.request<DebugProtocol.ReadMemoryResponse['body'] & object>(
    'readMemory',
    { memoryReference, count },
  );
  return Buffer.from(data, 'base64');
}
