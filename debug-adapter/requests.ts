/** The shapes of DAP requests that the session answers, for checking what clients send. */
import { z } from 'zod';

const integer = z.number().int();
const reference = integer.min(0);
const positive = integer.min(1);
const asking = { condition: z.string().optional(), hitCondition: z.string().optional() };
const address = z.string().regex(/^0x[0-9a-f]{1,16}$/i);
const granularity = z.enum(['statement', 'line', 'instruction']).optional();

/** Unknown members are let through: DAP grows, and clients send what newer versions have. */
export const requests = {
  initialize: z.looseObject({
    clientID: z.string().optional(),
    pathFormat: z.string().optional(),
    linesStartAt1: z.boolean().optional(),
    columnsStartAt1: z.boolean().optional(),
    supportsInvalidatedEvent: z.boolean().optional(),
    supportsProgressReporting: z.boolean().optional(),
    supportsVariablePaging: z.boolean().optional(),
  }),
  launch: z.unknown(),
  attach: z.unknown(),
  restart: z.looseObject({ arguments: z.unknown().optional() }).optional(),
  configurationDone: z.unknown(),
  disconnect: z.unknown(),
  terminate: z.unknown(),
  cancel: z.looseObject({ requestId: integer.optional(), progressId: z.string().optional() }).optional(),
  setBreakpoints: z.looseObject({
    source: z.looseObject({ path: z.string().optional() }),
    breakpoints: z
      .array(
        z.object({
          line: integer,
          column: positive.optional(),
          logMessage: z.string().optional(),
          ...asking,
        }),
      )
      .optional(),
  }),
  setFunctionBreakpoints: z.looseObject({
    breakpoints: z.array(z.object({ name: z.string(), ...asking })),
  }),
  setInstructionBreakpoints: z.looseObject({
    breakpoints: z.array(z.object({ instructionReference: address, offset: integer.optional(), ...asking })),
  }),
  dataBreakpointInfo: z.looseObject({
    variablesReference: reference.optional(),
    name: z.string(),
    frameId: integer.optional(),
  }),
  setDataBreakpoints: z.looseObject({
    breakpoints: z.array(
      z.object({
        dataId: z.string(),
        accessType: z.enum(['read', 'write', 'readWrite']).optional(),
        ...asking,
      }),
    ),
  }),
  setExceptionBreakpoints: z.looseObject({
    filters: z.array(z.string()),
    filterOptions: z
      .array(z.looseObject({ filterId: z.string(), condition: z.string().optional() }))
      .optional(),
  }),
  exceptionInfo: z.looseObject({ threadId: integer }),
  breakpointLocations: z.looseObject({
    source: z.looseObject({ path: z.string().optional() }),
    line: integer,
    endLine: integer.optional(),
  }),
  gotoTargets: z.looseObject({ source: z.looseObject({ path: z.string().optional() }), line: integer }),
  goto: z.looseObject({ threadId: integer, targetId: integer }),
  restartFrame: z.looseObject({ frameId: integer }),
  stepInTargets: z.looseObject({ frameId: integer }),
  next: z.looseObject({ threadId: integer, granularity }),
  stepIn: z.looseObject({ threadId: integer, targetId: integer.optional(), granularity }),
  stepOut: z.looseObject({ threadId: integer, granularity }),
  stepBack: z.looseObject({ threadId: integer, granularity }),
  reverseContinue: z.looseObject({ threadId: integer }),
  disassemble: z.looseObject({
    memoryReference: address,
    offset: integer.optional(),
    instructionOffset: integer.optional(),
    instructionCount: reference,
  }),
  threads: z.unknown(),
  stackTrace: z.looseObject({
    threadId: integer,
    startFrame: reference.optional(),
    levels: reference.optional(),
  }),
  scopes: z.looseObject({ frameId: integer }),
  variables: z.looseObject({
    variablesReference: reference,
    filter: z.enum(['indexed', 'named']).optional(),
    start: reference.optional(),
    count: reference.optional(),
  }),
  loadedSources: z.unknown(),
  source: z.looseObject({
    source: z.looseObject({ path: z.string().optional() }).optional(),
    sourceReference: reference,
  }),
  setVariable: z.looseObject({ variablesReference: reference, name: z.string(), value: z.string() }),
  setExpression: z.looseObject({
    expression: z.string(),
    value: z.string(),
    frameId: integer.optional(),
  }),
  evaluate: z.looseObject({
    expression: z.string(),
    frameId: integer.optional(),
    context: z.string().optional(),
  }),
  readMemory: z.looseObject({
    memoryReference: z.string(),
    offset: integer.optional(),
    count: reference,
  }),
  writeMemory: z.looseObject({
    memoryReference: z.string(),
    offset: integer.optional(),
    data: z.base64(),
  }),
  continue: z.looseObject({ threadId: integer }),
  pause: z.looseObject({ threadId: integer }),
  'bpf/deleteMapEntry': z.looseObject({ map: z.string(), key: z.string() }),
  'bpf/setMapEntry': z.looseObject({
    map: z.string(),
    key: z.string(),
    value: z.string(),
    flags: z.enum(['any', 'noexist', 'exist']).optional(),
  }),
  'bpf/lastWrite': z.looseObject({
    variablesReference: reference.optional(),
    name: z.string().optional(),
    expression: z.string().optional(),
    frameId: integer.optional(),
  }),
  'bpf/whenBecame': z.looseObject({
    expression: z.string().optional(),
    condition: z.string().optional(),
    frameId: integer.optional(),
  }),
  'bpf/decisions': z.looseObject({ count: positive.max(10_000).optional() }).optional(),
  'bpf/inlineValues': z.looseObject({
    expressions: z.array(z.string()).max(1000),
    frameId: integer.optional(),
  }),
  'bpf/goToStep': z.looseObject({ step: integer }),
  'bpf/stepBack': z.looseObject({ threadId: integer, kind: z.enum(['into', 'out']), granularity }),
  'bpf/saveRecording': z.looseObject({ path: z.string().min(1).optional() }).optional(),
  'bpf/coverage': z.unknown(),
  'bpf/refresh': z.unknown(),
  'bpf/listSnapshots': z.unknown(),
  'bpf/openSnapshot': z.looseObject({ id: integer }),
  'bpf/flightRecorder': z.looseObject({ enabled: z.boolean(), stopWhen: z.string().min(1).optional() }),
  'bpf/runs': z
    .looseObject({ limit: integer.min(1).max(10_000).optional(), threadId: integer.optional() })
    .optional(),
  'bpf/openRun': z.looseObject({ id: integer }),
} as const;

export type Command = keyof typeof requests;
export type Arguments<C extends Command> = z.output<(typeof requests)[C]>;

/** What is wrong with a request's arguments: `variablesReference: expected number, received string`. */
export function checkArguments<C extends Command>(
  command: C,
  given: unknown,
): { ok: true; value: Arguments<C> } | { ok: false; problem: string } {
  const parsed = requests[command].safeParse(given);
  if (parsed.success) return { ok: true, value: parsed.data as Arguments<C> };
  const issue = parsed.error.issues[0]!;
  const place = issue.path.length > 0 ? `${issue.path.join('.')}: ` : '';
  return { ok: false, problem: `${place}${issue.message}` };
}
