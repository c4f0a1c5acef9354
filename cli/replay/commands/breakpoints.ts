/** Commands that say where to stop. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { Refusal } from '../adapter';
import type { ListedBreakpoint, Target } from '../breakpoint-list';
import type { Debugger } from '../debugger';
import { needed, numbersOf, type ReplayCommand } from './command';

/** `31`, `steps.bpf.c:31`, `weigh`, `*12`; then `if CONDITION`. */
function parseLocation(replay: Debugger, argument: string): { target: Target; condition?: string } {
  const [, where = '', condition] = /^(.*?)(?:\s*\bif\b(?=[\s(])\s*(.*))?$/s.exec(argument) ?? [];
  const target = targetOf(replay, where.trim());
  return { target, ...(condition === undefined || condition === '' ? {} : { condition }) };
}

function targetOf(replay: Debugger, where: string): Target {
  const insn = /^\*(0x[0-9a-f]+|\d+)$/i.exec(where)?.[1];
  if (insn !== undefined) return { kind: 'instruction', reference: `0x${(Number(insn) * 8).toString(16)}` };
  const [, file, line] = /^(?:(.+):)?(\d{1,7})$/.exec(where) ?? [];
  const here = replay.frames[replay.selected];
  if (line !== undefined) {
    const path = file === undefined ? (here?.source?.path ?? replay.recording.file) : replay.fileNamed(file);
    return { kind: 'line', path, line: Number(line) };
  }
  if (where === '' && here?.source?.path !== undefined)
    return { kind: 'line', path: here.source.path, line: here.line };
  if (/^[A-Za-z_]\w*$/.test(where)) return { kind: 'function', name: where };
  throw new Refusal(
    `${where} is no place to stop at: write a LINE, FILE:LINE, a function's name, or *INSTRUCTION.`,
  );
}

export function targetText({ target, placed }: ListedBreakpoint): string {
  switch (target.kind) {
    case 'line':
      return `${target.path.split('/').at(-1)}:${placed?.line ?? target.line}`;
    case 'function':
      return placed?.line === undefined ? target.name : `${target.name}, line ${placed.line}`;
    case 'instruction':
      return `instruction ${Number(target.reference) / 8}`;
    case 'data':
      return `changes of ${target.expression}`;
    case 'exception':
      return target.filter;
  }
}

function printSet(replay: Debugger, added: ListedBreakpoint): void {
  const { placed, condition } = added;
  const only = condition === undefined ? '' : ` if ${condition}`;
  replay.print(`Breakpoint ${added.number} at ${targetText(added)}${only}`);
  if (placed?.verified === false) replay.print(`  ${placed.message ?? 'It cannot be placed.'}`, 'warning');
}

async function set(replay: Debugger, argument: string, more: Partial<ListedBreakpoint>): Promise<void> {
  const { target, condition } = parseLocation(replay, argument);
  printSet(replay, await replay.breakpoints.add(target, { ...more, condition }));
}

function places(replay: Debugger, argument: string): string[] {
  if (/\s/.test(argument)) return ['if'];
  const { sources } = replay.recording;
  const names = replay.frames.map(({ name }) => name.split('(')[0]!);
  return [...new Set([...names, ...sources.map(({ path }) => `${path.split('/').at(-1)}:`)])];
}

const listedNumbers = ({ breakpoints }: Debugger): string[] =>
  breakpoints.all.map(({ number }) => String(number));

/** For `info breakpoints`. */
export function printBreakpoints(replay: Debugger): void {
  const { all } = replay.breakpoints;
  if (all.length === 0) replay.print('There are no breakpoints. break LINE sets one.');
  for (const one of all) {
    const { number, condition, hitCondition, logMessage, enabled, isTemporary, placed } = one;
    const notes = [
      condition === undefined ? '' : `if ${condition}`,
      hitCondition === undefined ? '' : `at hits ${hitCondition}`,
      logMessage === undefined ? '' : `prints ${logMessage}`,
      enabled ? '' : 'off',
      isTemporary ? 'once' : '',
      placed?.verified === false ? (placed.message ?? 'not placed') : '',
    ].filter(Boolean);
    const more = notes.length > 0 ? `  (${notes.join('; ')})` : '';
    replay.print(`${String(number).padStart(3)}  ${targetText(one)}${more}`);
  }
}

function exceptionFilters(replay: Debugger): DebugProtocol.ExceptionBreakpointsFilter[] {
  return replay.adapter.capabilities.exceptionBreakpointFilters ?? [];
}

export const stopping: ReplayCommand[] = [
  {
    names: ['break', 'b'],
    arguments: '[LINE | FILE:LINE | FUNCTION | *INSTRUCTION] [if CONDITION]',
    summary: 'stop at a place',
    details:
      'CONDITION is a C expression; the run stops where it is not zero. Without a place: at this line.',
    complete: places,
    run: (replay, argument) => set(replay, argument, {}),
  },
  {
    names: ['tbreak', 'tb'],
    arguments: 'PLACE [if CONDITION]',
    summary: 'the same, once',
    complete: places,
    run: (replay, argument) => set(replay, argument, { isTemporary: true }),
  },
  {
    names: ['dprintf'],
    arguments: 'LINE, TEXT',
    summary: 'print TEXT each time a line is reached',
    details: 'C expressions stand in braces: dprintf 31, round {i}: {weight}',
    async run(replay, argument) {
      const [, where, text] = /^([^,\s]+)\s*[,\s]\s*(.+)$/s.exec(argument) ?? [];
      if (where === undefined || text === undefined) throw new Refusal('Write dprintf LINE, TEXT.');
      const target = targetOf(replay, where);
      if (target.kind !== 'line') throw new Refusal('dprintf takes a line.');
      printSet(replay, await replay.breakpoints.add(target, { logMessage: text.replace(/^"(.*)"$/s, '$1') }));
    },
  },
  {
    names: ['watch'],
    arguments: 'EXPRESSION',
    summary: 'stop where a variable, a map entry or a part of the packet changes',
    async run(replay, argument) {
      const name = needed(argument, 'watch takes an expression, such as watch sum.value.');
      const { dataId, description } = await replay.adapter.request<
        DebugProtocol.DataBreakpointInfoResponse['body']
      >('dataBreakpointInfo', { name, frameId: replay.frame.id });
      if (dataId === null) throw new Refusal(description);
      printSet(replay, await replay.breakpoints.add({ kind: 'data', dataId, expression: name }));
    },
  },
  {
    names: ['catch'],
    arguments: '[FILTER [if CONDITION]]',
    summary: 'stop at failures; without FILTER: list what there is',
    complete: (replay) => exceptionFilters(replay).map(({ filter }) => filter),
    async run(replay, argument) {
      const filters = exceptionFilters(replay);
      if (argument === '') {
        for (const { filter, label } of filters) replay.print(`  ${filter.padEnd(20)} ${label}`);
        return;
      }
      const [, wanted = '', condition] = /^(\S+)(?:\s+if\b\s*(.+))?$/s.exec(argument) ?? [];
      if (!filters.some(({ filter }) => filter === wanted))
        throw new Refusal(
          `There is no filter ${wanted || argument}; there are ${filters.map(({ filter }) => filter).join(', ')}.`,
        );
      printSet(replay, await replay.breakpoints.add({ kind: 'exception', filter: wanted }, { condition }));
    },
  },
  {
    names: ['condition', 'cond'],
    arguments: 'NUMBER [CONDITION]',
    summary: 'change what a breakpoint asks; without CONDITION it stops always',
    complete: listedNumbers,
    async run(replay, argument) {
      const [, number = '', condition = ''] = /^(\S*)\s*(.*)$/s.exec(argument) ?? [];
      const [which] = numbersOf(needed(number, 'Write condition NUMBER CONDITION.'));
      const changed = await replay.breakpoints.change(which!, { condition: condition || undefined });
      printSet(replay, changed);
    },
  },
  {
    names: ['ignore'],
    arguments: 'NUMBER COUNT',
    summary: 'pass a breakpoint COUNT times before stopping at it',
    complete: listedNumbers,
    async run(replay, argument) {
      const [number, count] = numbersOf(argument);
      if (number === undefined || count === undefined) throw new Refusal('Write ignore NUMBER COUNT.');
      await replay.breakpoints.change(number, { hitCondition: count === 0 ? undefined : `> ${count}` });
      replay.print(`Breakpoint ${number} stops from hit ${count + 1} of the run on.`);
    },
  },
  ...(
    [
      ['delete', 'd', 'take breakpoints away; all without a number'],
      ['disable', 'dis', 'switch breakpoints off'],
      ['enable', 'en', 'switch them on again'],
    ] as const
  ).map(([name, short, summary]): ReplayCommand => ({
    names: [name, short],
    arguments: '[NUMBER…]',
    summary,
    complete: listedNumbers,
    async run({ breakpoints }, argument) {
      const given = numbersOf(argument);
      const numbers = given.length > 0 ? given : breakpoints.all.map(({ number }) => number);
      for (const number of numbers) breakpoints.find(number);
      if (name === 'delete') await breakpoints.remove(numbers);
      else for (const number of numbers) await breakpoints.change(number, { enabled: name === 'enable' });
    },
  })),
];
