/** Commands that show values, memory and code where the run rests. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { Refusal } from '../adapter';
import { placeText, type Debugger } from '../debugger';
import { printBreakpoints } from './breakpoints';
import { countOf, needed, numbersOf, type ReplayCommand } from './command';
import { printMemory } from './memory';

/** Rows of one level that are printed; the others are counted. */
const MAX_ROWS = 200;

/** `columns`: names are as wide as the widest, for rows that are no C; else `name = value`. */
interface RowForm {
  /** Levels below these rows. */
  depth: number;
  columns?: boolean;
}

async function printRows(
  replay: Debugger,
  reference: number,
  { depth, columns = false }: RowForm,
  indent = '',
): Promise<void> {
  const rows = await replay.variables(reference);
  const width = Math.min(24, Math.max(...rows.map(({ name }) => name.length)));
  for (const { name, value, variablesReference } of rows.slice(0, MAX_ROWS)) {
    const text = columns ? `${name.padEnd(width)}  ${value}` : `${name} = ${value}`;
    replay.print(`${indent}${text}`.trimEnd());
    if (depth > 0 && variablesReference > 0)
      await printRows(replay, variablesReference, { depth: depth - 1, columns }, `${indent}  `);
  }
  if (rows.length > MAX_ROWS) replay.print(`${indent}… and ${rows.length - MAX_ROWS} more`);
}

async function scopes(replay: Debugger): Promise<DebugProtocol.Scope[]> {
  const body = await replay.adapter.request<DebugProtocol.ScopesResponse['body']>('scopes', {
    frameId: replay.frame.id,
  });
  return body.scopes;
}

/** Layers of a packet and entries of a map have rows of their own. */
const FORMS: Record<string, RowForm> = {
  packet: { depth: 1, columns: true },
  maps: { depth: 1 },
  context: { depth: 1 },
  calls: { depth: 0, columns: true },
  stack: { depth: 0, columns: true },
};

const OTHERS: Record<string, (replay: Debugger) => void | Promise<void>> = {
  breakpoints: printBreakpoints,
  frame: (replay) => replay.print(`#${replay.selected}  ${placeText(replay.frame)}`),
  program: (replay) => {
    const { program, kernel, recordedAt, file } = replay.recording;
    replay.print(`${program.name}, SEC("${program.section}"), a program of type ${program.type}`);
    replay.print(`from ${file}`);
    replay.print(`run by Linux ${kernel}, ${new Date(recordedAt).toLocaleString('en')}`);
  },
  display: (replay) => {
    for (const { id, expression } of replay.displays) replay.print(`${id}: ${expression}`);
    if (replay.displays.length === 0)
      replay.print('Nothing is displayed at each stop. display EXPRESSION does it.');
  },
};
async function info(replay: Debugger, argument: string): Promise<void> {
  const offered = replay.frames.length > 0 ? await scopes(replay) : [];
  const names = [...offered.map(({ name }) => name.toLowerCase()), ...Object.keys(OTHERS)];
  const [word = '', ...rest] = argument.split(/\s+/);
  const found = names.filter((name) => word !== '' && name.startsWith(word.toLowerCase()));
  const exact = found.find((name) => name === word) ?? (found.length === 1 ? found[0] : undefined);
  if (exact === undefined) {
    const hint = found.length > 1 ? `may be ${found.join(' or ')}` : `is not among ${names.join(', ')}`;
    throw new Refusal(word === '' ? `info takes one of ${names.join(', ')}.` : `info ${word} ${hint}.`);
  }
  const other = OTHERS[exact];
  if (other) return other(replay);
  const scope = offered.find(({ name }) => name.toLowerCase() === exact)!;
  const only = rest.join(' ').replace(/^\$/, '');
  if (only !== '') return printOne(replay, scope, only);
  await printRows(replay, scope.variablesReference, FORMS[exact] ?? { depth: 0 });
}

async function printOne(replay: Debugger, scope: DebugProtocol.Scope, wanted: string): Promise<void> {
  const rows = await replay.variables(scope.variablesReference);
  const row = rows.find(({ name }) => name.toLowerCase() === wanted.toLowerCase());
  if (!row)
    throw new Refusal(`${scope.name} has no ${wanted}; it has ${rows.map(({ name }) => name).join(', ')}.`);
  replay.print(`${row.name} = ${row.value}`);
  if (row.variablesReference > 0) await printRows(replay, row.variablesReference, { depth: 0 }, '  ');
}

async function print(replay: Debugger, argument: string): Promise<void> {
  const [, format, rest = ''] = /^(?:\/([a-z])\s+)?(.*)$/s.exec(argument) ?? [];
  const expression = needed(rest, 'print takes an expression, such as print sum.value.');
  const { result, variablesReference } = await replay.evaluate(expression);
  const text = format === undefined ? result : await formatted(replay, { expression, result }, format);
  replay.print(`${expression} = ${text}`);
  // Structures are written out in the value; what stands for something larger is opened.
  if (variablesReference > 0 && !/^[{["]/.test(result))
    await printRows(replay, variablesReference, { depth: 0 }, '  ');
}

/** An integer in another base, a negative one by the bits that its type has; what is none stays as it is. */
async function formatted(
  replay: Debugger,
  { expression, result }: { expression: string; result: string },
  format: string,
): Promise<string> {
  const base = { x: 16, d: 10, o: 8, t: 2 }[format];
  if (base === undefined) throw new Refusal(`print has no format /${format}; it has /x, /d, /o and /t.`);
  const number = /^-?\d+(?=$|\s)|^0x[0-9a-f]+(?=$|\s)/i.exec(result)?.[0];
  if (number === undefined) return result;
  if (base === 10) return number.startsWith('0x') ? String(BigInt(number)) : number;
  const prefix = { 16: '0x', 8: '0', 2: '0b' }[base];
  // A bit-field has no size; computed with, it has an int's.
  const size = number.startsWith('-')
    ? await replay
        .evaluate(`sizeof(${expression})`)
        .catch(() => replay.evaluate(`sizeof((${expression}) + 0)`))
    : undefined;
  const bits = 8 * Number(size?.result ?? 8);
  return `${prefix}${BigInt.asUintN(bits, BigInt(number)).toString(base)}`;
}

/** Names that an expression may begin with here. */
export async function names(replay: Debugger): Promise<string[]> {
  if (replay.frames.length === 0) return [];
  const found = (await scopes(replay)).filter(({ name }) =>
    /^(Locals|Maps|Globals|Registers|Context)$/.test(name),
  );
  const rows = await Promise.all(found.map(({ variablesReference }) => replay.variables(variablesReference)));
  return rows.flat().flatMap(({ evaluateName, name }) => evaluateName ?? (/^\w+$/.test(name) ? name : []));
}

/** Ten lines around the present one; again: the next ten. `list 20`, `list main.bpf.c:20`. */
function list(replay: Debugger, argument: string): void {
  const [, file, line] = /^(?:(.+):)?(\d+)$/.exec(argument) ?? [];
  if (argument !== '' && line === undefined)
    throw new Refusal('list takes a LINE or FILE:LINE; without it, it goes on from the last.');
  const { source, line: here } = replay.frame;
  const path = file === undefined ? (replay.listed?.path ?? source?.path) : replay.fileNamed(file);
  const lines = replay.linesOf(path);
  if (!path || !lines) throw new Refusal('The text of this source is not in the recording.');
  const first =
    line === undefined && replay.listed ? replay.listed.line + 1 : Math.max(1, Number(line ?? here) - 5);
  if (first > lines.length)
    throw new Refusal(`Line ${first} is behind the end of the file, which has ${lines.length}.`);
  const last = Math.min(lines.length, first + 9);
  for (let number = first; number <= last; number++)
    replay.printLine(path, number, path === source?.path && number === here ? 'note' : undefined);
  replay.listed = { path, line: last };
}

/** Instructions before and behind the present one that are shown. */
const AROUND = 8;

async function disassemble(replay: Debugger, argument: string): Promise<void> {
  const count = argument === '' ? 2 * AROUND + 1 : countOf(argument, 'disassemble');
  const reference = replay.frame.instructionPointerReference;
  if (reference === undefined) throw new Refusal('No instruction is about to run here.');
  const { instructions } = await replay.adapter.request<DebugProtocol.DisassembleResponse['body'] & object>(
    'disassemble',
    { memoryReference: reference, instructionOffset: -Math.floor(count / 2), instructionCount: count },
  );
  for (const { address, instruction, presentationHint, location, line } of instructions) {
    if (presentationHint === 'invalid') continue;
    if (location?.path !== undefined && line !== undefined) replay.printLine(location.path, line);
    const isHere = Number(address) === Number(reference);
    const text = `${isHere ? '=>' : '  '} ${String(Number(address) / 8).padStart(5)}: ${instruction}`;
    replay.print(text, isHere ? 'strong' : undefined);
  }
}

function select(replay: Debugger, index: number): void {
  if (index < 0) throw new Refusal('This is the innermost function already.');
  if (index >= replay.frames.length) throw new Refusal('This is the outermost function already.');
  replay.selected = index;
  replay.listed = undefined;
  const { source, line } = replay.frame;
  replay.print(`#${index}  ${placeText(replay.frame)}`);
  replay.printLine(source?.path, line, 'note');
}

export const looking: ReplayCommand[] = [
  {
    names: ['info', 'i'],
    arguments:
      'locals | registers | stack | context | packet | maps | globals | calls | breakpoints | frame | program',
    summary: 'list what there is here',
    details: 'With a name behind it, one of them: info registers r1, info maps counts.',
    complete: async (replay) => [
      ...(replay.frames.length > 0 ? await scopes(replay) : []).map(({ name }) => name.toLowerCase()),
      ...Object.keys(OTHERS),
    ],
    run: info,
  },
  {
    names: ['print', 'p', 'inspect'],
    arguments: 'EXPRESSION',
    summary: 'a variable, a map entry (counts[3].packets), a register ($r1)',
    complete: names,
    run: print,
  },
  {
    names: ['x'],
    arguments: '[/COUNT] EXPRESSION',
    summary: 'the bytes behind an expression',
    details: 'x/32 data->h_dest prints 32 bytes.',
    complete: names,
    run: printMemory,
  },
  {
    names: ['display'],
    arguments: 'EXPRESSION',
    summary: 'print an expression at each stop',
    complete: names,
    async run(replay, argument) {
      const expression = needed(
        argument,
        'display takes an expression; info display lists what is displayed.',
      );
      replay.displays.push({ id: (replay.displays.at(-1)?.id ?? 0) + 1, expression });
      await replay.printDisplays();
    },
  },
  {
    names: ['undisplay'],
    arguments: '[NUMBER…]',
    summary: 'no longer; without a number, none of them',
    run({ displays }, argument) {
      const given = numbersOf(argument);
      const kept = given.length === 0 ? [] : displays.filter(({ id }) => !given.includes(id));
      displays.splice(0, displays.length, ...kept);
    },
  },
  {
    names: ['list', 'l'],
    arguments: '[LINE | FILE:LINE]',
    summary: 'lines of the source, as it was when the run was recorded',
    repeats: true,
    run: list,
  },
  {
    names: ['disassemble', 'disas'],
    arguments: '[COUNT]',
    summary: 'instructions around the one that runs next',
    run: disassemble,
  },
  {
    names: ['backtrace', 'bt', 'where'],
    summary: 'functions that are being executed, inlined ones among them',
    run(replay) {
      replay.frames.forEach((frame, index) => {
        const style = index === replay.selected ? 'strong' : undefined;
        replay.print(`#${index}  ${placeText(frame)}`, style);
      });
    },
  },
  {
    names: ['frame', 'f'],
    arguments: '[NUMBER]',
    summary: 'look at another of these functions',
    run(replay, argument) {
      if (argument !== '' && !/^\d{1,4}$/.test(argument))
        throw new Refusal('frame takes a number of backtrace.');
      select(replay, argument === '' ? replay.selected : Number(argument));
    },
  },
  {
    names: ['up'],
    summary: 'at the function that called this one',
    run: (replay) => select(replay, replay.selected + 1),
  },
  {
    names: ['down'],
    summary: 'back to the one it calls',
    run: (replay) => select(replay, replay.selected - 1),
  },
];
