/** What every document's work shares: settings, tools, the kernel. */
import os from 'node:os';
import path from 'node:path';
import { findClang, type Clang } from '../../toolchain/clang/discover';
import { flagsForText, type Flags } from '../../toolchain/clang/flags';
import type { KernelLink, LinkProblem } from '../kernel-link';
import type { Settings } from '../protocol';
import { Slots } from './slots';

/** Compilations and verifications that run at a time, over all documents. */
const MAX_AT_A_TIME = 2;

export class Environment {
  readonly slots = new Slots(MAX_AT_A_TIME);
  trusted = true;

  constructor(
    public settings: Settings,
    readonly kernel: KernelLink,
    readonly cache: string,
    private readonly distDirectory: string,
    readonly log: (line: string) => void,
  ) {}

  async clang(): Promise<Clang | LinkProblem> {
    const search = await findClang(this.settings.clang.path);
    return 'clang' in search ? search.clang : search.problem;
  }

  /** Flags for a file. The kernel is asked for its types only when the file needs a vmlinux.h. */
  flags(file: string, text: string): Promise<Flags> {
    const { args, extraArgs } = this.settings.clang;
    const bundledHeaders = path.join(this.distDirectory, 'include');
    const request = { path: file, args, extraArgs, cache: this.cache, machine: machine(), bundledHeaders };
    return flagsForText(request, text, () => this.kernel.vmlinuxDirectory(this.cache));
  }
}

/** `uname -m` of this machine, whose kernels are the targets. */
function machine(): string {
  return os.machine();
}
