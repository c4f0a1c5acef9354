/**
 * `verify --sarif`: one SARIF log (OASIS SARIF 2.1.0) for code scanning. Rules are the catalogue's ids; what led to a
 * rejection is a code flow that ends at the rejected instruction.
 */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { version } from '../../package.json';
import { Severity, type Diagnostic, type Range } from '../../toolchain/diagnostic';
import { entryById } from '../../toolchain/verifier/catalogue';
import type { Io } from '../io';
import { isAboutRun, type FileResult } from '../verify-file';
import type { Output } from './output';

const SCHEMA = 'https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json';
/** Name under which `originalUriBaseIds` has the directory that uris are relative to. */
const ROOT = 'ROOT';

const levels: Record<Severity, 'error' | 'warning' | 'note'> = {
  [Severity.Error]: 'error',
  [Severity.Warning]: 'warning',
  [Severity.Information]: 'note',
  [Severity.Hint]: 'note',
};

export function sarifOutput(io: Io, root = process.cwd()): Output {
  const results: FileResult[] = [];
  return {
    file: (result) => void results.push(result),
    end: () => io.out(`${JSON.stringify(sarifLog(results, root), undefined, 2)}\n`),
  };
}

/** @param root absolute path of the directory that uris are relative to. */
export function sarifLog(files: readonly FileResult[], root: string) {
  const rules: string[] = [];
  const ruleIndex = (id: string): number => {
    if (!rules.includes(id)) rules.push(id);
    return rules.indexOf(id);
  };
  const findings = files.flatMap(({ json, diagnostics, programs }) =>
    [...diagnostics, ...programs.flatMap((program) => program.diagnostics)].map((finding) => ({
      finding,
      kernel: finding.data?.kernel ?? json.kernel,
    })),
  );
  // What kept a file from being verified is about the run, not about the code.
  const failures = findings.filter(({ finding }) => isAboutRun(finding));
  const results = findings
    .filter(({ finding }) => !isAboutRun(finding))
    .map(({ finding, kernel }) => resultOf(finding, kernel, ruleIndex(finding.code), root));
  return {
    $schema: SCHEMA,
    version: '2.1.0',
    runs: [
      {
        tool: { driver: { name: 'bpf-studio', semanticVersion: version, rules: rules.map(ruleOf) } },
        originalUriBaseIds: { [ROOT]: { uri: `${pathToFileURL(root).href}/` } },
        columnKind: 'utf16CodeUnits',
        invocations: [
          {
            executionSuccessful: failures.length === 0,
            toolExecutionNotifications: failures.map(({ finding }) => ({
              descriptor: { id: finding.code },
              level: 'error',
              message: { text: finding.message },
              locations: [{ physicalLocation: { artifactLocation: artifact(finding.path, root) } }],
            })),
          },
        ],
        results,
      },
    ],
  };
}

/**
 * What the catalogue knows of a rule, with its whole documentation: a viewer elsewhere has no file of this machine to
 * open. clang's and the syntax checks' ids are their own description.
 */
function ruleOf(id: string) {
  const entry = entryById(id);
  const page = pageOf(id);
  return {
    id,
    shortDescription: { text: entry?.title ?? id },
    ...(entry
      ? {
          fullDescription: { text: entry.wants },
          help: { text: `${entry.wants}\n${entry.help}`, ...(page ? { markdown: page } : {}) },
        }
      : {}),
  };
}

/** Text of the installed documentation page of an id, `docs/verifier/ID.md`; undefined when there is none. */
function pageOf(id: string): string | undefined {
  const name = /^bpf\/([\w-]+)$/.exec(id)?.[1];
  const file = path.join(__dirname, '../docs/verifier', `${name}.md`);
  return name === undefined || !existsSync(file) ? undefined : readFileSync(file, 'utf8');
}

function resultOf(finding: Diagnostic, kernel: string, ruleIndex: number, root: string) {
  const { path: file, range, code, severity, message, related, data } = finding;
  const end = location(file, range, root);
  const steps = related.map((place) => location(place.path, place.range, root, place.message));
  const help = data?.help ? `\n${data.help}` : '';
  return {
    ruleId: code,
    ruleIndex,
    level: levels[severity],
    message: { text: `${message}${help}` },
    locations: [
      {
        ...end,
        ...(data?.program ? { logicalLocations: [{ name: data.program, kind: 'function' }] } : {}),
      },
    ],
    ...(steps.length > 0
      ? {
          relatedLocations: steps.map((step, index) => ({ id: index + 1, ...step })),
          codeFlows: [
            {
              threadFlows: [
                {
                  locations: [...steps, { ...end, message: { text: message } }].map((step, index) => ({
                    executionOrder: index + 1,
                    location: step,
                  })),
                },
              ],
            },
          ],
        }
      : {}),
    ...(data?.fixes
      ? {
          fixes: data.fixes.map((fix) => ({
            description: { text: fix.title },
            artifactChanges: [
              {
                artifactLocation: artifact(file, root),
                replacements: fix.edits.map((edit) => ({
                  deletedRegion: exactRegion(edit.range),
                  insertedContent: { text: edit.newText },
                })),
              },
            ],
          })),
        }
      : {}),
    properties: {
      ...(finding.source === 'verifier' || finding.source === 'libbpf' ? { kernel } : {}),
      ...(data?.kernelMessage ? { kernelMessage: data.kernelMessage } : {}),
    },
  };
}

/** A region as it is, also an empty one: where something is inserted. */
function exactRegion({ start, end }: Range) {
  return {
    startLine: start.line + 1,
    startColumn: start.character + 1,
    endLine: end.line + 1,
    endColumn: end.character + 1,
  };
}

function location(file: string, { start, end }: Range, root: string, message?: string) {
  return {
    physicalLocation: {
      artifactLocation: artifact(file, root),
      region: {
        startLine: start.line + 1,
        startColumn: start.character + 1,
        endLine: end.line + 1,
        // One past the end, as in LSP; a region is never empty.
        endColumn:
          end.line === start.line ? Math.max(end.character, start.character + 1) + 1 : end.character + 1,
      },
    },
    ...(message === undefined ? {} : { message: { text: message } }),
  };
}

/** A file below the root is named relative to it, another by its whole uri. */
function artifact(file: string, root: string): { uri: string; uriBaseId?: string } {
  const relative = path.relative(root, file);
  if (relative.startsWith('..') || path.isAbsolute(relative)) return { uri: pathToFileURL(file).href };
  return { uri: relative.split(path.sep).map(encodeURIComponent).join('/'), uriBaseId: ROOT };
}
