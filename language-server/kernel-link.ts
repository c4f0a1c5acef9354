/**
 * The server's session with a kernel: over the window's host when the editor has one, else over a host of its own,
 * which is started when first needed and again when it dies.
 */
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import type { KernelClient } from '../kernel/client/client';
import { openKernel, type OpenedKernel } from '../kernel/client/open';
import { machineVmlinuxDirectory, vmlinuxDirectory } from '../kernel/client/vmlinux-header';
import { parseTarget } from '../kernel/targets/target';

export interface LinkProblem {
  code: string;
  message: string;
  hint?: string;
}

export interface KernelLinkOptions {
  distDirectory: string;
  log(line: string): void;
  /** A kernel came or went: verdicts may be had now, or are those of another kernel. */
  onChange(): void;
}

type Source =
  { kind: 'socket'; socket: string } | { kind: 'none'; reason: string } | { kind: 'own'; target: string };

/** Waiting time before a host that died is started again; doubles with each failure in a row. */
const FIRST_WAIT_MILLISECONDS = 500;
const LONGEST_WAIT_MILLISECONDS = 60_000;
/** A host that lived this long died for a new reason. */
const STEADY_MILLISECONDS = 30_000;

export class KernelLink {
  private source: Source = { kind: 'own', target: '' };
  /** Counts changes of the source, so that what was begun for an older one is dropped. */
  private epoch = 0;
  private opening: Promise<OpenedKernel | LinkProblem> | undefined;
  private opened: OpenedKernel | undefined;
  private wait = FIRST_WAIT_MILLISECONDS;
  private retry: NodeJS.Timeout | undefined;
  private lastProblem: LinkProblem | undefined;

  constructor(private readonly options: KernelLinkOptions) {}

  /** The window's kernel changed; `null`: it has none at present. */
  useSocket(socket: string | null, reason?: string): void {
    const why = reason ?? 'The editor has not selected a kernel yet.';
    this.change(socket === null ? { kind: 'none', reason: why } : { kind: 'socket', socket });
  }

  /** Work with a host of our own for this target; empty: automatic. */
  useTarget(target: string): void {
    if (this.source.kind === 'own' && this.source.target === target) return;
    this.change({ kind: 'own', target });
  }

  get ownsHost(): boolean {
    return this.source.kind === 'own';
  }

  /** `uname -r` of the kernel in use, when a session is open. */
  get release(): string | undefined {
    return this.opened?.client.hello.kernel.release;
  }

  /** Why there is no kernel, when one was asked for and could not be had. */
  get problem(): LinkProblem | undefined {
    return this.opened ? undefined : this.lastProblem;
  }

  /** A session, opened if need be, or why there is none. Never rejects. */
  async client(): Promise<KernelClient | LinkProblem> {
    if (this.opened) return this.opened.client;
    if (this.retry && this.lastProblem) return this.lastProblem;
    this.opening ??= this.open(this.epoch);
    const result = await this.opening;
    return 'client' in result ? result.client : result;
  }

  /**
   * Directory of a vmlinux.h written from the kernel's BTF, kept in the cache for each kernel release. While there is
   * no kernel, the header written last serves clang: a kernel that is still booting must not make a file look broken.
   * Without one, this machine's types do, which can be read without privileges.
   * Undefined when there is none, or the kernel has no BTF; the reason is logged.
   */
  async vmlinuxDirectory(cache: string): Promise<string | undefined> {
    const client = await this.client();
    try {
      if (!('request' in client)) {
        return (
          (await newestHeader(cache)) ?? (await machineVmlinuxDirectory(this.options.distDirectory, cache))
        );
      }
      return await vmlinuxDirectory(client, cache);
    } catch (error) {
      this.options.log(`no vmlinux.h from the kernel: ${(error as Error).message.split('\n')[0]}`);
      return undefined;
    }
  }

  async dispose(): Promise<void> {
    this.epoch++;
    clearTimeout(this.retry);
    const { opened } = this;
    this.opened = undefined;
    await opened?.dispose();
  }

  private change(source: Source): void {
    this.source = source;
    this.wait = FIRST_WAIT_MILLISECONDS;
    const old = this.opened;
    void this.dispose().catch((error: unknown) =>
      this.options.log(`closing the old kernel: ${String(error)}`),
    );
    if (old) this.options.log('the kernel in use was changed');
    this.retry = undefined;
    this.opening = undefined;
    this.lastProblem = undefined;
    this.options.onChange();
  }

  private async open(epoch: number): Promise<OpenedKernel | LinkProblem> {
    const result = await this.tryOpen().catch((error: unknown): LinkProblem => {
      const { message, hint } = error as { message: string; hint?: string };
      return { code: 'noKernel', message, ...(hint && { hint }) };
    });
    if (epoch !== this.epoch) {
      if ('client' in result) await result.dispose();
      return this.lastProblem ?? { code: 'noKernel', message: 'The kernel was changed meanwhile.' };
    }
    this.opening = undefined;
    if (!('client' in result)) {
      this.options.log(`no kernel: ${result.message}`);
      this.lastProblem = result;
      if (this.source.kind === 'own') this.retryLater(epoch, false);
      return result;
    }
    this.opened = result;
    this.lastProblem = undefined;
    const { release } = result.client.hello.kernel;
    this.options.log(`using Linux ${release}${result.label ? ` (${result.label})` : ''}`);
    const since = Date.now();
    void result.client.gone.then((reason) => this.lost(epoch, result, reason, since));
    return result;
  }

  private async tryOpen(): Promise<OpenedKernel | LinkProblem> {
    const { source } = this;
    const name = 'language-server';
    if (source.kind === 'none') return { code: 'noKernel', message: source.reason };
    if (source.kind === 'socket') return openKernel({ socket: source.socket, name });
    const target = source.target === '' ? undefined : parseTarget(source.target);
    if (target && 'problem' in target) return { code: 'noKernel', message: target.problem };
    const { distDirectory, log } = this.options;
    return openKernel({ target, name, distDirectory, elevate: 'never', log });
  }

  private lost(epoch: number, opened: OpenedKernel, reason: string, since: number): void {
    if (epoch !== this.epoch || this.opened !== opened) return;
    this.options.log(`the kernel host is gone: ${reason}`);
    this.opened = undefined;
    this.lastProblem = { code: 'hostGone', message: `The kernel host is gone: ${reason}` };
    void opened.dispose().catch((error: unknown) => this.options.log(String(error)));
    if (Date.now() - since > STEADY_MILLISECONDS) this.wait = FIRST_WAIT_MILLISECONDS;
    if (this.source.kind === 'own') this.retryLater(epoch, true);
    this.options.onChange();
  }

  private retryLater(epoch: number, announce: boolean): void {
    const wait = this.wait;
    this.wait = Math.min(this.wait * 2, LONGEST_WAIT_MILLISECONDS);
    clearTimeout(this.retry);
    this.retry = setTimeout(() => {
      if (epoch !== this.epoch) return;
      this.retry = undefined;
      if (announce || this.lastProblem?.code === 'hostGone') this.options.onChange();
    }, wait);
    this.retry.unref();
  }
}

/** The directory below `cache` whose vmlinux.h was written last. */
async function newestHeader(cache: string): Promise<string | undefined> {
  const root = path.join(cache, 'vmlinux');
  const names = await readdir(root).catch(() => []);
  const headers = await Promise.all(
    names.map(async (name) => {
      const written = await stat(path.join(root, name, 'vmlinux.h')).catch(() => undefined);
      return { directory: path.join(root, name), time: written?.mtimeMs ?? 0 };
    }),
  );
  return headers.filter(({ time }) => time > 0).sort((a, b) => b.time - a.time)[0]?.directory;
}
