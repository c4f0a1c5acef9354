/** Checks a layers description somebody wrote as JSON; problems name the field: `packet[2].ttl: …`. */
import type { z } from 'zod';
import type { PacketProblem, Parsed } from './problem';
import { layerTypes, schemaOfLayer, type Layer } from './schema';

export function parseLayers(value: unknown, root = 'packet'): Parsed<Layer[]> {
  if (!Array.isArray(value))
    return { ok: false, problems: [{ path: root, message: 'is not a list of layers' }] };
  if (value.length === 0) return { ok: false, problems: [{ path: root, message: 'has no layers' }] };
  const problems: PacketProblem[] = [];
  const layers: Layer[] = [];
  for (const [index, described] of value.entries()) {
    const path = `${root}[${index}]`;
    const parsed = parseLayer(described, path);
    if (parsed.ok) layers.push(parsed.value);
    else problems.push(...parsed.problems);
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, value: layers };
}

function parseLayer(described: unknown, path: string): Parsed<Layer> {
  const fail = (at: string, message: string) => ({ ok: false as const, problems: [{ path: at, message }] });
  if (typeof described !== 'object' || described === null || Array.isArray(described))
    return fail(path, 'is not a layer; write an object such as {"type": "ipv4"}');
  const type = (described as { type?: unknown }).type;
  if (type === undefined) return fail(`${path}.type`, `is missing; it is one of ${layerTypes.join(', ')}`);
  const schema = typeof type === 'string' ? schemaOfLayer(type) : undefined;
  if (!schema) return fail(`${path}.type`, `${JSON.stringify(type)} is not one of ${layerTypes.join(', ')}`);
  const parsed = schema.safeParse(described, { reportInput: true });
  if (parsed.success) return { ok: true, value: parsed.data as Layer };
  const problems = parsed.error.issues.flatMap((issue) =>
    wordsOf(issue, path, described, Object.keys(schema.shape)),
  );
  return { ok: false, problems };
}

/** One zod issue in words, with the value it is about. */
function wordsOf(
  issue: z.core.$ZodIssue,
  root: string,
  described: object,
  fields: string[],
): PacketProblem[] {
  const path =
    root + issue.path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('');
  const value = issue.path.reduce<unknown>(
    (inside, key) => (inside as Record<PropertyKey, unknown> | undefined)?.[key],
    described,
  );
  const shown = JSON.stringify(value) ?? 'nothing';
  switch (issue.code) {
    case 'too_big':
      return [{ path, message: `${shown} is more than ${issue.maximum}` }];
    case 'too_small':
      return [{ path, message: `${shown} is less than ${issue.minimum}` }];
    case 'not_multiple_of':
      return [{ path, message: `${shown} is not a multiple of ${issue.divisor}` }];
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({
        path: `${path}.${key}`,
        message: `there is no such field${suggestion(key, fields)}; the fields are ${fields.join(', ')}`,
      }));
    case 'invalid_value':
      return [{ path, message: `${shown} is not one of ${issue.values.map(String).join(', ')}` }];
    case 'invalid_type':
      return [
        value === undefined
          ? { path, message: `is missing (${issue.expected})` }
          : { path, message: `${shown} is not ${article(issue.expected)}` },
      ];
    case 'invalid_union':
      return [closestBranch(issue, path, value, root, described, fields)];
    default:
      return [{ path, message: `${shown} ${issue.message}` }];
  }
}

/** Of a union's branches, the one that fits the value's JavaScript type says best what is wrong. */
function closestBranch(
  issue: z.core.$ZodIssueInvalidUnion,
  path: string,
  value: unknown,
  root: string,
  described: object,
  fields: string[],
): PacketProblem {
  const branches = issue.errors.map((errors) =>
    errors.flatMap((inner) =>
      wordsOf(
        { ...inner, path: [...issue.path, ...inner.path] } as z.core.$ZodIssue,
        root,
        described,
        fields,
      ),
    ),
  );
  const sameType = issue.errors.findIndex((errors) =>
    errors.every((inner) => inner.code !== 'invalid_type' && inner.code !== 'unrecognized_keys'),
  );
  const best = branches[sameType]?.[0];
  return best ?? { path, message: `${JSON.stringify(value)} is not what this field takes` };
}

function article(expected: string): string {
  const noun = { int: 'a whole number', number: 'a number', object: 'an object', array: 'a list' }[expected];
  return noun ?? `a ${expected}`;
}

/** Names other tools use for the same fields. */
const ALIASES: Record<string, string> = {
  src: 'source',
  dst: 'destination',
  sport: 'sourcePort',
  dport: 'destinationPort',
  seq: 'sequence',
  ack: 'acknowledgment',
  len: 'length',
  tos: 'dscp',
  hlim: 'hopLimit',
  proto: 'protocol',
};

function suggestion(key: string, fields: string[]): string {
  const lower = key.toLowerCase().replaceAll(/[_-]/g, '');
  const alias = ALIASES[lower];
  const meant =
    fields.find((field) => field.toLowerCase() === lower) ??
    (alias !== undefined && fields.includes(alias) ? alias : undefined);
  return meant ? ` (did you mean ${meant}?)` : '';
}
