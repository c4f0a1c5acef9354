/** Launch and attach configurations, checked; problems in words that name the attribute. */
import { z } from 'zod';
import { badConfiguration } from './errors';
import type { AttachArguments, ConfiguredSpec, LaunchArguments, ReplayArguments } from './protocol';
import { readSpec } from './runner/attach-spec';

const common = {
  program: z.string().min(1),
  target: z.string().optional(),
  hostSocket: z.string().optional(),
  unlisted: z.boolean().optional(),
  clangArgs: z.array(z.string()).optional(),
  clangPath: z.string().optional(),
  globals: z.record(z.string(), z.unknown()).optional(),
  events: z.record(z.string(), z.string()).optional(),
  noDebug: z.boolean().optional(),
};

const u32 = z.number().int().min(0).max(0xffff_ffff);

export const launchArguments: z.ZodType<LaunchArguments> = z.object({
  ...common,
  entry: z.string().min(1).optional(),
  packet: z
    .union([
      z.string(),
      z.object({ pcap: z.string().min(1), index: z.number().int().min(1).optional() }),
      z.array(z.record(z.string(), z.unknown())),
    ])
    .optional(),
  context: z.union([z.string(), z.record(z.string(), z.unknown())]).optional(),
  repeat: u32.min(1).optional(),
  cpu: z.number().int().min(0).optional(),
  stopOnEntry: z.boolean().optional(),
});

const configuredSpec = z.unknown().transform((given, context): ConfiguredSpec => {
  const read = readSpec(given);
  if (read.ok) return read.spec;
  context.addIssue({ code: 'custom', path: read.path, message: `${read.problem}. ${read.example}` });
  return z.NEVER;
}) as z.ZodType<ConfiguredSpec>;

export const attachArguments: z.ZodType<AttachArguments> = z.object({
  ...common,
  attach: z.array(z.object({ entry: z.string().min(1), spec: configuredSpec.optional() })).optional(),
  flightRecorder: z.union([z.boolean(), z.object({ stopWhen: z.string().min(1) })]).optional(),
});

const SHAPES: Record<string, string> = {
  packet:
    'is hex text, {"pcap": "FILE", "index": NUMBER}, or a list of layers such as [{"type": "ethernet"}, {"type": "ipv4"}]',
  context: 'is an object of context fields such as {"ingress_ifindex": 1}, or hex text',
  program: 'is the path of a .bpf.c or .o file',
};

export const replayArguments: z.ZodType<ReplayArguments> = z.object({ recording: z.string().min(1) });

export type Configuration =
  | { request: 'replay'; given: ReplayArguments }
  | { request: 'launch'; given: LaunchArguments }
  | { request: 'attach'; given: AttachArguments };

/** Throws `badConfiguration` about the first thing that is wrong: `repeat: …`. */
export function readConfiguration(kind: 'launch' | 'attach', given: unknown): Configuration {
  const isReplay = kind === 'launch' && typeof given === 'object' && given !== null && 'recording' in given;
  const request = isReplay ? 'replay' : kind;
  const schema: z.ZodType = { replay: replayArguments, launch: launchArguments, attach: attachArguments }[
    request
  ];
  const parsed = schema.safeParse(given ?? {}, { reportInput: true });
  if (parsed.success) return { request, given: parsed.data } as Configuration;
  throw badConfiguration(describeIssue(parsed.error.issues[0]!));
}

function describeIssue(issue: z.core.$ZodIssue): string {
  const path = issue.path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('');
  const attribute = path.replace(/^\./, '') || 'configuration';
  const shape = SHAPES[String(issue.path[0])];
  const value = 'input' in issue ? issue.input : undefined;
  const words =
    value === undefined && issue.path.length > 0 && issue.code === 'invalid_type'
      ? `is missing${shape === undefined ? '' : `; it ${shape}`}`
      : shape !== undefined && issue.path.length === 1
        ? `${JSON.stringify(value)} is not right: it ${shape}`
        : issue.message;
  return `In the launch configuration, "${attribute}": ${words}.`;
}
