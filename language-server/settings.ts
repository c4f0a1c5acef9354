import { z } from 'zod';
import { parseTarget } from '../kernel/targets/target';
import type { Settings } from './protocol';

export const defaultSettings: Settings = {
  clang: { path: '', args: null, extraArgs: [] },
  verify: { when: 'onType', delay: 300 },
  inlayHints: { ranges: false },
  target: '',
};

const schemas = {
  'clang.path': z.string(),
  'clang.args': z.array(z.string()).nullable(),
  'clang.extraArgs': z.array(z.string()),
  'verify.when': z.enum(['onType', 'onSave', 'manual']),
  'verify.delay': z.number().min(0).max(60_000),
  'inlayHints.ranges': z.boolean(),
  target: z.string().refine((text) => text === '' || !('problem' in parseTarget(text))),
};

/**
 * Settings as an editor sent them. A value that does not fit is replaced by its default and named in `problems`, so
 * that one typing error does not turn everything off.
 */
export function readSettings(raw: unknown): { settings: Settings; problems: string[] } {
  const settings = structuredClone(defaultSettings);
  const problems: string[] = [];
  for (const [name, schema] of Object.entries(schemas)) {
    const [group, key] = name.split('.') as [string, string | undefined];
    const outer = (raw as Record<string, unknown> | null | undefined)?.[group];
    const value = key === undefined ? outer : (outer as Record<string, unknown> | null | undefined)?.[key];
    if (value === undefined) continue;
    const parsed = schema.safeParse(value);
    if (!parsed.success) {
      problems.push(
        `The setting bpf.${name} has the unusable value ${JSON.stringify(value)}; its default is used.`,
      );
    } else if (key === undefined) {
      Object.assign(settings, { [group]: parsed.data });
    } else {
      Object.assign(settings[group as 'clang' | 'verify' | 'inlayHints'], { [key]: parsed.data });
    }
  }
  return { settings, problems };
}
