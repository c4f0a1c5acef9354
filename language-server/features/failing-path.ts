/** The failing path of a rejected program as rows of a tree. */
import { pathToFileURL } from 'node:url';
import { readDwarf } from '../../toolchain/dwarf/dwarf';
import { readBpfObject } from '../../toolchain/elf/object';
import { loadedLayout } from '../../toolchain/program/loaded-layout';
import type { FailingPath } from '../../toolchain/verifier/path';
import type { SourcePositions, SourceSpan } from '../../toolchain/verifier/position';
import type { Failure } from '../../toolchain/verifier/report';
import { registersAround, type VariableIn } from '../../toolchain/verifier/registers';
import { trailOf, type TrailRow } from '../../toolchain/verifier/trail';
import type { Verification } from '../model/verify';
import type { FailingPathParams, FailingPathResult, PathNode, PathPlace } from '../protocol';
import { failure as refusal, requireDocument, type Session } from '../session';

/** Rows under one node; a path may have a hundred thousand, and nobody reads on after these. */
const MAX_ROWS = 500;

/** Throws the answer that says why there is no path. */
export async function failingPath(session: Session, params: FailingPathParams): Promise<FailingPathResult> {
  const bpf = requireDocument(session, params);
  if (!bpf.verification) {
    await bpf.start(true);
    await bpf.settled();
  }
  const { verification, verifiedVersion } = bpf;
  const report = verification?.reportOn(params.program);
  if (!verification || !report || verifiedVersion === undefined) {
    throw refusal(bpf.status.problem?.message ?? `There is no verdict on "${params.program}" yet.`);
  }
  const { failure } = report;
  if (!failure) throw refusal(`The verifier accepted "${params.program}": no path of it fails.`);
  const uriOf = (path: string): string => (path === bpf.path ? bpf.uri : pathToFileURL(path).href);
  return {
    program: params.program,
    kernel: verification.kernel,
    code: failure.id,
    message: failure.message,
    version: verifiedVersion,
    nodes: nodesOf(failure, uriOf, variablesOf(verification, params.program)),
  };
}

/** Which variables live in registers; empty for an object without DWARF. */
function variablesOf({ object, programs }: Verification, program: string): VariableIn {
  const read = readBpfObject(object);
  const dwarf = read.ok ? readDwarf(read.value.elf) : undefined;
  const lineInfo = programs.find(({ name }) => name === program)?.lineInfo;
  if (!read.ok || !dwarf || !lineInfo) return () => undefined;
  const layout = loadedLayout(read.value, program, lineInfo);
  return (insn, register) => {
    const at = layout.at(insn);
    const variables = at ? dwarf.variables(at.section, at.insn) : [];
    return variables.find(({ location }) => location.kind === 'register' && location.register === register)
      ?.name;
  };
}

/** A place that the explanation names. */
interface Station {
  kind: 'start' | 'cause' | 'failure';
  cause?: PathNode['cause'];
  /** Position in the path; -1 for a declaration, which is not on it. */
  step: number;
  message: string;
  at: SourceSpan | undefined;
}

function nodesOf(failure: Failure, uriOf: (path: string) => string, variableIn: VariableIn): PathNode[] {
  const { path, positions } = failure;
  const tree = { path, positions, uriOf, variableIn };
  const stations = stationsOf(failure);
  return stations.map((station, number): PathNode => {
    const next = stations[number + 1];
    const ranHere = next && station.step >= 0 ? { first: station.step, last: next.step - 1 } : undefined;
    const rows = ranHere ? trailOf(path.steps, ranHere.first, ranHere.last, positions) : [];
    return {
      kind: station.kind,
      ...(station.cause && { cause: station.cause }),
      label: station.message,
      ...(station.at && { detail: lineName(station.at), place: placeOf(station.at, uriOf) }),
      ...stepFacts(tree, station.step, station.step),
      children: rowNodes(withoutOwnLine(rows, station), tree),
    };
  });
}

/** A first row that only repeats the line its parent stands for tells nothing. */
function withoutOwnLine(rows: TrailRow[], { at }: Station): TrailRow[] {
  const [first, ...others] = rows;
  const repeats =
    at &&
    first?.kind === 'line' &&
    !first.inside &&
    !first.decision &&
    first.at?.path === at.path &&
    first.at.range.start.line === at.range.start.line;
  return repeats ? others : rows;
}

/** Declarations, the path's beginning, the places that the explanation names in the order of the path, and the end. */
function stationsOf({ path, positions, causes, instruction, at, message }: Failure): Station[] {
  const refused = path.steps.findLastIndex(({ insn }) => insn === instruction);
  const end = refused < 0 ? path.steps.length - 1 : refused;
  const told = causes
    .filter(({ step }) => step < end)
    .map((cause): Station => ({
      kind: 'cause',
      cause: cause.kind,
      step: cause.step,
      message: sentence(cause.message),
      at: cause.at,
    }));
  const declared = told.filter(({ step }) => step < 0);
  const onPath = told.filter(({ step }) => step >= 0);
  const first = path.steps[0];
  const start: Station[] =
    first && end > 0 && onPath[0]?.step !== 0
      ? [{ kind: 'start', step: 0, message: 'The path begins here', at: positions.at(first.insn) }]
      : [];
  return [...declared, ...start, ...onPath, { kind: 'failure', step: end, message, at }];
}

interface Tree {
  path: FailingPath;
  positions: SourcePositions;
  uriOf(path: string): string;
  variableIn: VariableIn;
}

function rowNodes(rows: TrailRow[], tree: Tree): PathNode[] {
  const shown = rows.slice(-MAX_ROWS).map((row) => rowNode(row, tree));
  const left = rows.length - shown.length;
  if (left === 0) return shown;
  const label = `${left.toLocaleString('en-US')} earlier rows are not shown; they are in the verifier log`;
  return [{ kind: 'more', label, children: [] }, ...shown];
}

function rowNode(row: TrailRow, tree: Tree): PathNode {
  const place = row.at && { place: placeOf(row.at, tree.uriOf) };
  const facts = stepFacts(tree, row.first, row.last);
  const label = row.at ? row.at.text.trim() : 'instructions without a source line';
  if (row.kind === 'loop') {
    const detail = row.at && lineName(row.at);
    return {
      kind: 'loop',
      label,
      ...(detail && { detail }),
      ...place,
      ...facts,
      count: row.count,
      children: rowNodes(row.rows, tree),
    };
  }
  const kind = row.inside ? 'call' : row.decision ? 'decision' : 'line';
  const detail =
    row.at && (row.decision ? `${lineName(row.at)} → ${lineName(row.decision.to)}` : lineName(row.at));
  return {
    kind,
    label,
    ...(detail && { detail }),
    ...place,
    ...facts,
    children: row.inside ? rowNodes(row.inside, tree) : [],
  };
}

/** What the log says of a stretch of steps. */
function stepFacts(
  { path, variableIn }: Tree,
  first: number,
  last: number,
): Pick<PathNode, 'logLines' | 'registers' | 'instruction'> {
  const [from, to] = [path.steps[first], path.steps[last]];
  if (!from || !to) return {};
  const registers = registersAround(path, first, last, variableIn);
  return {
    logLines: { first: from.logLine, last: to.logLine },
    instruction: `${to.insn}: ${to.text}`,
    ...(registers.length > 0 && { registers }),
  };
}

function placeOf(at: SourceSpan, uriOf: (path: string) => string): PathPlace {
  return { uri: uriOf(at.path), range: at.range };
}

function lineName(at: SourceSpan): string {
  return `line ${at.range.start.line + 1}`;
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
