/** Variables on the stack: those that take it up, and the one of which a byte was never written. */
import type { Declared } from './names';
import type { CausalStep, Trace } from './trace';

/** Variables smaller than this do not fill 512 bytes. */
const LARGE = 32;
const MAX_VARIABLES = 4;

/** The largest variables of the functions that share the 512 bytes. */
export function stackUseSteps(trace: Trace): CausalStep[] {
  return trace.names
    .stackUse()
    .flatMap(({ name, frameSize, variables }) =>
      variables
        .filter(({ size }) => size >= LARGE)
        .map((variable) => ({ variable, of: `${frameSize} bytes of stack that \`${name}\` needs` })),
    )
    .sort((a, b) => b.variable.size - a.variable.size)
    .slice(0, MAX_VARIABLES)
    .map(({ variable, of }) =>
      declaration(trace, variable.declared, `\`${variable.name}\` takes ${variable.size} of the ${of}`),
    );
}

/** `invalid indirect read from stack R2 off -16+4 size 16`: what lies at byte 4. */
export function unwrittenSteps(trace: Trace): CausalStep[] {
  const [, off, within] = /\boff (-?\d+)\+(\d+) size/.exec(trace.classified.line) ?? [];
  if (off === undefined || within === undefined) return [];
  const variable = trace.names.onStack(trace.path.insn, Number(off) + Number(within));
  if (!variable) return [];
  const { path, isPadding, name, declared } = variable;
  const what = isPadding ? `padding between the members of \`${name}\`` : `\`${path}\``;
  return [declaration(trace, declared, `what was never written on this path is ${what}`)];
}

/** A point at a variable's declaration, which no step of the path stands for. */
export function declaration(trace: Trace, { file, line }: Declared, message: string): CausalStep {
  const at = file && line > 0 ? trace.positions.declared(file, line) : undefined;
  return { kind: 'stack', instruction: -1, step: -1, message, ...(at ? { at } : {}) };
}
