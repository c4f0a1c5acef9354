/** An expression that somebody asks for in a hover, a watch or the console, answered as a row of the Variables view. */
import { fail, succeed } from '../../toolchain/problem';
import type { Outcome } from '../../toolchain/problem';
import type { LoadedMap } from '../../kernel/protocol';
import { hexText } from '../../toolchain/packet/hexdump';
import { cannotEvaluate } from '../errors';
import type { OpenedRun } from '../recorder/open-run';
import { memoryAt } from '../stepping/known-memory';
import { localNodes } from '../stepping/local-rows';
import type { Moment, StepFrame } from '../stepping/moment';
import { packetNodes } from '../stepping/packet-rows';
import type { VariableContext } from '../variables/context';
import type { VariableNode } from '../variables/node';
import { evaluate } from './evaluate';
import { mapScope, mapsOfRun } from './map-scope';
import type { MapScope, ReadEntry } from './map-scope';
import { presentScope, scopeAt } from './moment-scope';
import { parseExpression } from './parse';
import { rowOf } from './rows';
import type { Evaluated, Scope } from './scope';
import type { Expression } from './syntax';
import { typesOf } from './types';

/** Where an expression is evaluated. */
export interface Standpoint {
  /** Maps and globals, and all there is while programs are attached. */
  context: VariableContext;
  /** A function at a step of a run, or at a snapshot. */
  at?: { moment: Moment; frame: StepFrame } | undefined;
  /** Whose maps are those of the step, as far as they are followed through it; left out behind the run's end. */
  run?: OpenedRun | undefined;
  /** `at` is a moment of an attached program's, which does not tell what maps held then: they are asked for now. */
  mapsAreNow?: boolean;
}

/** The row of an expression's value. Throws an AdapterError that says why there is none. */
export async function ask(standpoint: Standpoint, text: string): Promise<VariableNode> {
  const row = await rowFor(standpoint, text);
  if (!row.ok) throw cannotEvaluate(inWords(row.problem));
  return row.value;
}

/** The same without throwing, for those whom an expression without a value does not concern. */
export async function rowFor(standpoint: Standpoint, text: string): Promise<Outcome<VariableNode>> {
  const parsed = await parseExpression(text);
  if (!parsed.ok) return parsed;
  const expression = parsed.value;
  const { at, context } = standpoint;
  const { outcome, scope, hasFetched } = await evaluateFetching(standpoint, expression);
  const field = at && (await packetRow(at.moment, expression.text));
  if (outcome.ok && field) return succeed(field);
  if (outcome.ok) {
    const row = await rowOf(context, scope, expression, outcome.value, at && memoryAt(at.moment, at.frame));
    const isOfNow = hasFetched && at !== undefined && (standpoint.mapsAreNow === true || standpoint.run);
    return succeed(isOfNow ? { ...row, value: `${row.value} (as it is now)` } : row);
  }
  if (at && outcome.problem.code === 'expression/optimised-out') {
    // The Locals scope shows what it was last; a hover over the same name shows no less.
    const row = localNodes(at.moment, at.frame).find(({ name }) => name === expression.text);
    if (row) return succeed(row);
  }
  return outcome;
}

/** A layer or field of the packet, as the Packet scope shows it: it can be set. */
async function packetRow(moment: Moment, text: string): Promise<VariableNode | undefined> {
  const [root, ...names] = text.split('.');
  if (root !== '$packet') return undefined;
  let rows: VariableNode[] | undefined = packetNodes(moment);
  let row: VariableNode | undefined;
  for (const name of names) {
    row = rows?.find((one) => one.name === name);
    rows = await row?.children?.();
  }
  return row && { ...row, name: text };
}

function inWords({ message, hint }: { message: string; hint: string }): string {
  return hint === '' ? message : `${message} ${hint}`;
}

/** An index may lead to another one: `a[b[c[0]]]`. */
const ROUNDS = 16;

/** Evaluates, fetches the entries of maps that were asked for, and evaluates again, until nothing is missing. */
async function evaluateFetching(
  standpoint: Standpoint,
  expression: Expression,
): Promise<{ outcome: Outcome<Evaluated>; scope: Scope; hasFetched: boolean }> {
  const fetched = new FetchedEntries(standpoint.context);
  const scope = scopeOf(standpoint, fetched.read);
  let outcome = evaluate(expression, scope);
  for (let round = 0; fetched.isWanting && round < ROUNDS; round++) {
    await fetched.fetch();
    outcome = evaluate(expression, scope);
  }
  return { outcome, scope, hasFetched: fetched.hasEntries };
}

/** What an expression speaks of there. */
export function scopeOf({ context, at, run }: Standpoint, read: ReadEntry): Scope {
  const { maps, file } = context.loaded;
  const { btf } = at?.moment ?? file.object;
  const object = { btf, maps: file.object.maps };
  const types = typesOf(at?.moment ?? { btf });
  const then = run && mapsOfRun(run, types);
  const now: MapScope = mapScope(maps, object, types, (map, key) =>
    then && run.maps.shape(map.handle) ? then.read(map, key) : read(map, key),
  );
  return at ? scopeAt(at.moment, at.frame, now) : presentScope(types, now);
}

/** Entries as the kernel has them, asked for once and kept for one evaluation. */
class FetchedEntries {
  private readonly entries = new Map<string, ReturnType<ReadEntry>>();
  private wanted: { map: LoadedMap; key: Uint8Array }[] = [];

  constructor(private readonly context: VariableContext) {}

  get hasEntries(): boolean {
    return this.entries.size > 0;
  }

  get isWanting(): boolean {
    return this.wanted.length > 0;
  }

  readonly read: ReadEntry = (map, key) => {
    const known = this.entries.get(nameOf(map, key));
    if (known) return known;
    this.wanted.push({ map, key });
    return fail('expression/not-read', `${map.name} has not been read yet.`, '');
  };

  async fetch(): Promise<void> {
    const wanted = this.wanted.splice(0);
    for (const { map, key } of wanted) {
      const value = await this.ask(map, key);
      const known = value && new Uint8Array(value.length).fill(1);
      this.entries.set(nameOf(map, key), succeed(value && known ? { bytes: value, known } : null));
    }
  }

  private async ask(map: LoadedMap, key: Uint8Array): Promise<Uint8Array | null> {
    const { kernel } = this.context;
    // A filter is asked for a value, which is what stands between its brackets.
    const isFilter = map.type === 'bloom_filter';
    const { value } = isFilter
      ? await kernel.request('mapPeek', { map: map.handle, value: key })
      : await kernel.request('mapLookup', { map: map.handle, key });
    return value;
  }
}

function nameOf(map: LoadedMap, key: Uint8Array): string {
  return `${map.handle} ${hexText(key)}`;
}
