import type { Arguments } from './command';
import type { Input } from './source';
import type { OpenedKernel } from '../kernel/client/open';
import type { Problem } from '../toolchain/problem';
export async function compiled(input: Input, _args: Arguments, _session: Promise<OpenedKernel | Problem>, _signal: AbortSignal): Promise<Input> { return input; }

export async function findClangFacts(_path: string | undefined): Promise<{ path: string; version: string; major: number } | { problem: string }> { return { problem: 'stub' }; }
