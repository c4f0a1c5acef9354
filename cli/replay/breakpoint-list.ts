/** The breakpoints of an interactive replay, numbered from 1 as users name them; the adapter has ids of its own. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { Refusal } from './adapter';
import type { Adapter } from './adapter';

/** What stands where: as the user has asked for it. */
export type Target =
  | { kind: 'line'; path: string; line: number }
  | { kind: 'function'; name: string }
  | { kind: 'instruction'; reference: string }
  | { kind: 'data'; dataId: string; expression: string }
  | { kind: 'exception'; filter: string };

export interface ListedBreakpoint {
  number: number;
  target: Target;
  enabled: boolean;
  condition?: string | undefined;
  hitCondition?: string | undefined;
  logMessage?: string | undefined;
  isTemporary: boolean;
  /** What the adapter said of it. */
  placed?: DebugProtocol.Breakpoint | undefined;
}

export class BreakpointList {
  readonly all: ListedBreakpoint[] = [];
  adapter!: Adapter;
  private nextNumber = 1;

  async add(target: Target, more: Partial<ListedBreakpoint> = {}): Promise<ListedBreakpoint> {
    const added: ListedBreakpoint = {
      number: this.nextNumber,
      target,
      enabled: true,
      isTemporary: false,
      ...more,
    };
    this.all.push(added);
    try {
      await this.send(target);
    } catch (error) {
      this.all.pop();
      throw error;
    }
    this.nextNumber++;
    return added;
  }

  async remove(numbers: readonly number[]): Promise<void> {
    for (const number of numbers) {
      const found = this.find(number);
      this.all.splice(this.all.indexOf(found), 1);
      await this.send(found.target);
    }
  }

  /** Takes those away that were to stop once, and have. */
  async removeTemporary(hit: readonly number[] = []): Promise<void> {
    await this.remove(this.numbersOf(hit).filter((number) => this.find(number).isTemporary));
  }

  async change(number: number, change: Partial<ListedBreakpoint>): Promise<ListedBreakpoint> {
    const found = this.find(number);
    Object.assign(found, change);
    await this.send(found.target);
    return found;
  }

  find(number: number): ListedBreakpoint {
    const found = this.all.find((one) => one.number === number);
    if (found) return found;
    const numbers = this.all.map((one) => one.number).join(', ');
    throw new Refusal(
      numbers === ''
        ? 'There are no breakpoints. break LINE sets one.'
        : `There is no breakpoint ${number}; there are ${numbers}.`,
    );
  }

  numbersOf(ids: readonly number[]): number[] {
    return this.all
      .filter(({ placed }) => placed?.id !== undefined && ids.includes(placed.id))
      .map(({ number }) => number);
  }

  update(changed: DebugProtocol.Breakpoint): void {
    const found = this.all.find(({ placed }) => placed?.id === changed.id);
    if (found) found.placed = { ...found.placed, ...changed };
  }

  /** DAP replaces all breakpoints of a kind, those of lines file by file. */
  private async send(target: Target): Promise<void> {
    const same = this.all.filter(
      (one) =>
        one.enabled &&
        one.target.kind === target.kind &&
        (target.kind !== 'line' || (one.target as typeof target).path === target.path),
    );
    const [command, given] = requestFor(target, same);
    const { breakpoints = [] } =
      (await this.adapter.request<{ breakpoints?: DebugProtocol.Breakpoint[] } | undefined>(
        command,
        given,
      )) ?? {};
    same.forEach((one, index) => (one.placed = breakpoints[index]));
  }
}

function requestFor(target: Target, same: readonly ListedBreakpoint[]): [string, object] {
  const asking = ({ condition, hitCondition }: ListedBreakpoint) => ({
    ...(condition === undefined ? {} : { condition }),
    ...(hitCondition === undefined ? {} : { hitCondition }),
  });
  const listed = <T extends Target>(describe: (target: T) => object) =>
    same.map((one) => ({ ...describe(one.target as T), ...asking(one) }));
  switch (target.kind) {
    case 'line': {
      type Line = typeof target;
      const breakpoints = same.map((one) => ({
        line: (one.target as Line).line,
        ...asking(one),
        ...(one.logMessage === undefined ? {} : { logMessage: one.logMessage }),
      }));
      return ['setBreakpoints', { source: { path: target.path }, breakpoints }];
    }
    case 'function': {
      const breakpoints = listed(({ name }: typeof target) => ({ name }));
      return ['setFunctionBreakpoints', { breakpoints }];
    }
    case 'instruction': {
      const breakpoints = listed(({ reference }: typeof target) => ({ instructionReference: reference }));
      return ['setInstructionBreakpoints', { breakpoints }];
    }
    case 'data': {
      const breakpoints = listed(({ dataId }: typeof target) => ({ dataId, accessType: 'write' }));
      return ['setDataBreakpoints', { breakpoints }];
    }
    case 'exception': {
      const options = same.map((one) => ({
        filterId: (one.target as typeof target).filter,
        ...(one.condition === undefined ? {} : { condition: one.condition }),
      }));
      return ['setExceptionBreakpoints', { filters: [], filterOptions: options }];
    }
  }
}
