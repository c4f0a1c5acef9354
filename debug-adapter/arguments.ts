/** Launch and attach configurations, checked; problems in words that name the attribute. */
import { z } from 'zod';
import { attachSpec } from '../kernel/protocol';
import type { AttachArguments, ConfiguredSpec, LaunchArguments } from './protocol';

const common = {
  program: z.string().min(1),
  target: z.string().optional(),
  hostSocket: z.string().optional(),
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

/** 64-bit members of attach specifications by hook; JSON has no 64-bit numbers. */
const WIDE: Record<string, string[]> = {
  perfEvent: ['config', 'samplePeriod', 'sampleFrequency'],
  uprobe: ['offset'],
};

/** Numbers of a configuration become what the kernel host's protocol wants; nonsense is left for it to refuse. */
function widened(spec: unknown): unknown {
  if (typeof spec !== 'object' || spec === null || !('hook' in spec)) return spec;
  const members = WIDE[String(spec.hook)] ?? [];
  return Object.fromEntries(
    Object.entries(spec).map(([name, value]) => {
      const whole =
        members.includes(name) &&
        (Number.isSafeInteger(value) || (typeof value === 'string' && /^(0x[0-9a-f]+|\d+)$/i.test(value)));
      return [name, whole ? BigInt(value as number | string) : value];
    }),
  );
}

const configuredSpec = z.preprocess(
  widened,
  z.union([z.object({ hook: z.enum(['sockmap', 'iter']), map: z.string().min(1) }), attachSpec]),
) as z.ZodType<ConfiguredSpec>;

export const attachArguments: z.ZodType<AttachArguments> = z.object({
  ...common,
  attach: z.array(z.object({ entry: z.string().min(1), spec: configuredSpec.optional() })).optional(),
});

const SHAPES: Record<string, string> = {
  packet:
    'is hex text, {"pcap": "FILE", "index": NUMBER}, or a list of layers such as [{"type": "ethernet"}, {"type": "ipv4"}]',
  context: 'is an object of context fields such as {"ingress_ifindex": 1}, or hex text',
  program: 'is the path of a .bpf.c or .o file',
};

/** The configuration, or the first thing wrong with it: `repeat: …`. */
export function checkConfiguration<T>(
  schema: z.ZodType<T>,
  given: unknown,
): { ok: true; value: T } | { ok: false; problem: string } {
  const parsed = schema.safeParse(given ?? {}, { reportInput: true });
  if (parsed.success) return { ok: true, value: parsed.data };
  const issue = parsed.error.issues[0]!;
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
  return { ok: false, problem: `In the launch configuration, "${attribute}": ${words}.` };
}
