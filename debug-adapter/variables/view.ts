/** What the Variables view asks of a debuggee, in DAP's terms. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { cannotEvaluate, cannotSet, unknownReference } from '../errors';
import { ask, type Standpoint } from '../expressions/ask';
import { inlineValues } from '../expressions/inline-values';
import { encodeAs, encodeKey } from '../expressions/keys';
import type { Outcome } from '../../toolchain/problem';
import type { VariableContext } from './context';
import { globalMaps, globalNodes } from './globals';
import { mapNodes, typedMap, userMaps, type TypedMap } from './maps';
import { note, PAGE, rangeNodes, type VariableNode } from './node';
import type { StepScope } from '../stepping/scopes';
import { Registry } from './registry';

const NO_MAPS = note('maps', 'none', 'the object has neither maps nor global variables');

/** A memory view reads at most this much at once. */
const MAX_READ = 16 * 1024 * 1024;

export class VariablesView {
  private readonly registry = new Registry();
  /** Rows served last under each reference, by name, for setVariable. */
  private readonly served = new Map<number, Map<string, VariableNode>>();
  private current: VariableContext | undefined;

  /** What is looked at: another one after a restart, and at an earlier step of a run. */
  show(context: VariableContext): void {
    if (this.current === context) return;
    this.current = context;
    this.registry.clear();
    this.served.clear();
  }

  private get context(): VariableContext {
    if (!this.current) throw cannotEvaluate('Nothing is loaded yet.');
    return this.current;
  }

  /**
   * @param more scopes before those of maps and globals.
   * @param when said of maps and globals where the frame is of a moment that is past, and they are not.
   */
  scopes(more: readonly StepScope[] = [], when?: string): DebugProtocol.Scope[] {
    const { context } = this;
    const before = more.map(({ name, rows, expensive }) => ({
      name,
      variablesReference: this.registry.reference({ path: name, name, value: '', children: rows }),
      expensive: expensive ?? false,
      ...(name === 'Locals' || name === 'Registers' ? { presentationHint: name.toLowerCase() } : {}),
    }));
    const scope = (what: string, count: number, children: () => Promise<VariableNode[]>) => {
      const name = when === undefined ? what : `${what} (${when})`;
      return {
        name,
        variablesReference: this.registry.reference({ path: what, name, value: '', children }),
        namedVariables: count,
        expensive: false,
      };
    };
    const maps = userMaps(context).length;
    const hasGlobals = globalMaps(context).length > 0;
    const scopes = [...before];
    // Without any scope at all the view would look as if something had failed.
    if (maps > 0 || (before.length === 0 && !hasGlobals))
      scopes.push(scope('Maps', Math.max(1, maps), async () => (maps > 0 ? mapNodes(context) : [NO_MAPS])));
    if (!hasGlobals) return scopes;
    const { namedVariables: _, ...globals } = scope('Globals', 0, () => globalNodes(context));
    return [...scopes, globals];
  }

  async variables(
    reference: number,
    filter: 'indexed' | 'named' | undefined,
    start: number | undefined,
    count: number | undefined,
  ): Promise<DebugProtocol.Variable[]> {
    const node = this.node(reference);
    const paged = node.indexed !== undefined;
    if (filter === 'named' && paged) return [];
    // DAP: a count of 0, like none, means all that is left.
    const many = count === 0 ? undefined : count;
    const rows = await this.rows(node, start, many);
    const names = this.served.get(reference) ?? new Map<string, VariableNode>();
    this.served.set(reference, names);
    for (const row of rows) names.set(row.name, row);
    return rows.map((row) => this.describe(row));
  }

  private async rows(
    node: VariableNode,
    start: number | undefined,
    count: number | undefined,
  ): Promise<VariableNode[]> {
    if (!node.children) return [];
    const { children } = node;
    if (start === undefined && count === undefined && node.indexed !== undefined && node.indexed > PAGE)
      return rangeNodes(node.path, node.indexed, (from, many) => children(from, many));
    return children(start, count);
  }

  async set(reference: number, name: string, value: string): Promise<DebugProtocol.Variable> {
    const parent = this.node(reference);
    const row =
      this.served.get(reference)?.get(name) ??
      ((await parent.children?.()) ?? []).find((candidate) => candidate.name === name);
    if (!row) throw cannotSet(`${parent.name} has no row ${name}.`);
    return this.describe(await this.assign(row, value));
  }

  /** @param at function at a step, whose variables are meant too. */
  async setExpression(
    expression: string,
    value: string,
    at?: Omit<Standpoint, 'context'>,
  ): Promise<DebugProtocol.Variable> {
    const row = await ask({ context: this.context, ...at }, expression);
    return this.describe(await this.assign(row, value));
  }

  async evaluate(
    expression: string,
    at?: Omit<Standpoint, 'context'>,
  ): Promise<DebugProtocol.EvaluateResponse['body']> {
    const row = await ask({ context: this.context, ...at }, expression);
    const { value, name: _, ...rest } = this.describe(row);
    return { result: value, ...rest };
  }

  inlineValues(expressions: readonly string[], at?: Omit<Standpoint, 'context'>): Promise<(string | null)[]> {
    return inlineValues({ context: this.context, ...at }, expressions);
  }

  async readMemory(
    reference: string,
    offset: number,
    count: number,
  ): Promise<DebugProtocol.ReadMemoryResponse['body']> {
    const node = this.node(Number(/^memory:(\d+)$/.exec(reference)?.[1] ?? -1));
    const content = (await node.memory?.()) ?? new Uint8Array(0);
    const { bytes, known } = content instanceof Uint8Array ? { bytes: content, known: undefined } : content;
    const start = Math.max(0, offset);
    const end = Math.min(bytes.length, start + Math.min(count, MAX_READ));
    // Up to the first byte that is not known, and how many there are of those, as DAP wants it.
    const first = known ? firstAt(known, 0, start, end) : end;
    const next = known && first < end ? firstAt(known, 1, first, end) : end;
    const data = offset < 0 ? new Uint8Array(0) : bytes.subarray(start, Math.max(start, first));
    const unreadable = next < end ? next - first : count - data.length;
    return {
      address: `0x${start.toString(16)}`,
      data: Buffer.from(data).toString('base64'),
      ...(unreadable > 0 ? { unreadableBytes: unreadable } : {}),
    };
  }

  /** Writes to what the memory view shows: for a packet of a run, by doing the run again. */
  async writeMemory(reference: string, offset: number, bytes: Uint8Array): Promise<void> {
    const node = this.node(Number(/^memory:(\d+)$/.exec(reference)?.[1] ?? -1));
    if (!node.writeMemory)
      throw cannotSet(`The memory of ${node.name} cannot be written; that of Packet, bytes can.`);
    const size = (await node.memory?.().then((content) => sizeOf(content))) ?? 0;
    if (offset < 0 || offset + bytes.length > size)
      throw cannotSet(`${node.name} has ${size} bytes; there are none at ${offset}.`);
    await node.writeMemory(offset, bytes);
  }

  async deleteEntry(name: string, key: string): Promise<boolean> {
    const typed = this.mapNamed(name);
    const { existed } = await this.context.kernel.request('mapDelete', {
      map: typed.map.handle,
      key: given(encodeKey(typed, key)),
    });
    await this.context.refresh();
    return existed;
  }

  async setEntry(
    name: string,
    key: string,
    value: string,
    flags: 'any' | 'noexist' | 'exist',
  ): Promise<void> {
    const typed = this.mapNamed(name);
    await this.context.kernel.request('mapUpdate', {
      map: typed.map.handle,
      key: given(encodeKey(typed, key)),
      value: given(encodeAs(typed, typed.valueType, typed.map.valueSize, value)),
      flags,
    });
    await this.context.refresh();
  }

  /** Writes, and forgets what was read before: the rows above the written one show its value too. */
  private async assign(row: VariableNode, value: string): Promise<VariableNode> {
    if (!row.assign) {
      const reason = row.readOnly ? `: ${row.readOnly}` : '';
      throw cannotSet(`${row.name} cannot be set${reason}.`);
    }
    const written = await row.assign(value);
    await this.context.refresh();
    return written;
  }

  /** The place that a row stands for, as an expression, and the frame that it speaks of. */
  expressionOf(reference: number, name: string): { expression: string; frameId: number | undefined } {
    this.node(reference);
    const row = this.served.get(reference)?.get(name);
    const expression = row?.place ?? row?.evaluateName;
    if (!row || expression === undefined)
      throw cannotEvaluate(`${name} is a row of its own: no place of the program's memory stands behind it.`);
    const frame = /^(?:locals|registers|stack)\/(\d+)\//.exec(row.path)?.[1];
    return { expression, frameId: frame === undefined ? undefined : Number(frame) };
  }

  private mapNamed(name: string): TypedMap {
    const map = userMaps(this.context).find((candidate) => candidate.name === name);
    if (!map) throw cannotSet(`There is no map "${name}".`);
    return typedMap(this.context, map);
  }

  private node(reference: number): VariableNode {
    const node = this.registry.find(reference);
    if (!node) throw unknownReference('variablesReference', reference);
    return node;
  }

  private describe(node: VariableNode): DebugProtocol.Variable {
    const reference = node.children || node.memory ? this.registry.reference(node) : 0;
    return {
      name: node.name,
      value: node.value,
      variablesReference: node.children ? reference : 0,
      ...(node.type === undefined ? {} : { type: node.type }),
      ...(node.evaluateName === undefined ? {} : { evaluateName: node.evaluateName }),
      ...(node.indexed === undefined ? {} : { indexedVariables: node.indexed }),
      ...(node.memory ? { memoryReference: `memory:${reference}` } : {}),
      ...(node.assign ? {} : { presentationHint: { attributes: ['readOnly'] } }),
    };
  }
}

type Content = Awaited<ReturnType<NonNullable<VariableNode['memory']>>>;

function sizeOf(content: Content): number {
  return content === undefined ? 0 : 'bytes' in content ? content.bytes.length : content.length;
}

/** Position of the first byte that is `wanted`, from `start` on; `end` if there is none before. */
function firstAt(bytes: Uint8Array, wanted: number, start: number, end: number): number {
  const found = bytes.subarray(start, end).indexOf(wanted);
  return found < 0 ? Math.max(start, end) : start + found;
}

/** What somebody wrote, as bytes. */
function given(outcome: Outcome<Uint8Array>): Uint8Array {
  if (outcome.ok) return outcome.value;
  const { message, hint } = outcome.problem;
  throw cannotEvaluate(hint === '' ? message : `${message} ${hint}`);
}
