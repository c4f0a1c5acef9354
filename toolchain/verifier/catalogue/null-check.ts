/** Pointers that may be NULL, and the check that is missing. */
import type { Facts } from './kinds';
import { neutralReturn } from './words';

/** The check to write, with the variable's own name, when the path tells it. */
export function nullCheck(facts: Facts, register = facts.match[1]): string {
  const { variable, isParameter, programType, here } = facts;
  const name = variable(register);
  const leave = `return ${neutralReturn(programType)};`;
  if (!name) {
    const member = memberBefore(here);
    // Each read of it is another pointer to the verifier, so that the check and the use must be of one.
    return member
      ? `Keep ${member} in a local variable, leave when that is NULL (if (!p) ${leave}), and go on with the variable.`
      : 'Compare it with NULL on every path before it is used.';
  }
  const check = `Check it before it is used: if (!${name}) ${leave}`;
  // What its callers pass does not count for a function that is verified on its own.
  return isParameter(register)
    ? `${check} Or make the function static, so that its calls are followed.`
    : check;
}

/** `` `ctx->sk` `` of `` `ctx->sk->mark` ``: the pointer in a member that an expression goes on from. */
export function memberBefore(here: string): string | undefined {
  const member = /^`([A-Za-z_]\w*->[A-Za-z_]\w*)->[\w.]+`$/.exec(here)?.[1];
  return member && `\`${member}\``;
}

/** Arguments of kernel functions are counted from 0, those of helpers from 1. */
export function argumentRegister(kind: string | undefined, number: string | undefined): string {
  return String(Number(number) + (kind === 'helper arg' ? 0 : 1));
}
