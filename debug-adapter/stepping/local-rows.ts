/** Rows of the Locals scope: C variables of a function that is being executed. */
import type { DwarfVariable } from '../../toolchain/dwarf/dwarf';
import { note } from '../variables/node';
import type { VariableNode } from '../variables/node';
import { memoryAt } from './known-memory';
import { readVariable } from './locals';
import type { LastKnown, Moment, StepFrame } from './moment';
import { shownNode } from './shown';

/** Variables of a frame, parameters among them, innermost block first; an inner one hides the outer one of its name. */
export function localsOf({ source }: Moment, frame: StepFrame): readonly DwarfVariable[] {
  const kept = knownLocals.get(source) ?? new Map<string, DwarfVariable[]>();
  knownLocals.set(source, kept);
  const key = `${frame.view.insn} ${frame.inlined}`;
  let locals = kept.get(key);
  if (!locals) {
    // DWARF counts the innermost function as 0, as frames are listed.
    const index = source.frames(frame.view.insn).length - 1 - frame.inlined;
    const seen = new Set<string>();
    locals = source.variables(frame.view.insn).filter((variable) => {
      const isMine = variable.frame === index && variable.name !== '' && !seen.has(variable.name);
      if (isMine) seen.add(variable.name);
      return isMine;
    });
    kept.set(key, locals);
  }
  return locals;
}
/** By instruction and inlined function: a condition asks for them each time that it is evaluated. */
const knownLocals = new WeakMap<Moment['source'], Map<string, DwarfVariable[]>>();

/** A local variable's bytes, and its address if it has one; undefined when it is nowhere. */
export function readLocal(
  { source, dwarf, types }: Moment,
  frame: StepFrame,
  variable: DwarfVariable,
): ReturnType<typeof readVariable> {
  const place = source.elfPlace(frame.view.insn);
  if (!place || !dwarf || !types) return undefined;
  return readVariable(variable, types, frame.view, dwarf.expressionContext(place.section, place.insn));
}

export function localNodes(moment: Moment, frame: StepFrame): VariableNode[] {
  const { source, dwarf } = moment;
  if (!dwarf || !source.elfPlace(frame.view.insn))
    return [note('locals', 'none', 'the object has no DWARF: compile with -g')];
  const variables = localsOf(moment, frame).map((variable) => ({
    variable,
    found: readLocal(moment, frame, variable),
  }));
  const returned = frame.id === 1 ? moment.returned?.() : undefined;
  const lost = variables.flatMap(({ variable, found }) => (found ? [] : [variable]));
  const lastKnown = moment.lastKnown?.(frame, lost);
  const rows = variables.map(({ variable, found }) =>
    localNode(moment, frame, variable, found, lastKnown?.get(variable)),
  );
  if (!returned) return rows;
  return [{ path: 'locals/(returned)', name: `(${returned.name} returned)`, value: returned.value }, ...rows];
}

function localNode(
  moment: Moment,
  frame: StepFrame,
  variable: DwarfVariable,
  found: ReturnType<typeof readLocal>,
  last: LastKnown | undefined,
): VariableNode {
  const { types, dwarf } = moment;
  const tree = {
    path: `locals/${frame.id}/${variable.name}`,
    types,
    type: variable.type,
    expression: variable.name,
    memory: memoryAt(moment, frame),
  };
  if (found) return shownNode({ ...tree, ...found }, variable.name);
  if (!last)
    return {
      path: tree.path,
      name: variable.name,
      value: 'optimised out',
      brief: '',
      type: dwarf!.spell(variable.type),
    };
  const node = shownNode({ ...tree, ...last.shown }, variable.name);
  return {
    ...node,
    value: `${node.value} (last known${last.line === 0 ? '' : `, from line ${last.line}`})`,
    // It may have changed since.
    brief: node.brief === '' ? '' : `${node.brief ?? node.value} ?`,
  };
}
