/** C expressions as trees: what the parser gives and the evaluator goes through. */
import type { Outcome } from '../../toolchain/problem';

export type UnaryOperator = '+' | '-' | '~' | '!' | '*' | '&';
export type ArithmeticOperator = '+' | '-' | '*' | '/' | '%' | '<<' | '>>' | '&' | '|' | '^';
export type ComparisonOperator = '==' | '!=' | '<' | '>' | '<=' | '>=';

/** `text` is what was written, for messages and for the names of rows. */
export type ExpressionNode = { text: string } & (
  | { kind: 'number'; value: bigint; size: 4 | 8; signed: boolean }
  /** Without the NUL at its end. */
  | { kind: 'string'; bytes: Uint8Array }
  | { kind: 'null' }
  /** A variable, enumerator, macro or map; `$r0` and the like too. */
  | { kind: 'name'; name: string }
  | { kind: 'unary'; operator: UnaryOperator; operand: ExpressionNode }
  | {
      kind: 'binary';
      operator: ArithmeticOperator | ComparisonOperator;
      left: ExpressionNode;
      right: ExpressionNode;
    }
  | { kind: 'logical'; operator: '&&' | '||'; left: ExpressionNode; right: ExpressionNode }
  | {
      kind: 'conditional';
      condition: ExpressionNode;
      whenTrue: ExpressionNode;
      whenFalse: ExpressionNode;
    }
  | { kind: 'comma'; left: ExpressionNode; right: ExpressionNode }
  | { kind: 'cast'; type: TypeSyntax; operand: ExpressionNode }
  | { kind: 'sizeofType'; type: TypeSyntax }
  | { kind: 'sizeofValue'; operand: ExpressionNode }
  | { kind: 'member'; object: ExpressionNode; name: string; isArrow: boolean }
  /**
   * What stands between the brackets is an expression for arrays and pointers; a map's key may be written as its rows
   * show it, `{saddr = 10.0.0.1}`, which is none.
   */
  | { kind: 'index'; object: ExpressionNode; key: string; index: Outcome<ExpressionNode> }
  | { kind: 'call'; name: string; arguments: ExpressionNode[] }
);

/** A type as it is written in a cast. */
export interface TypeSyntax {
  text: string;
  /** `name`: a typedef, or arithmetic types such as `unsigned long`. */
  base: { kind: 'struct' | 'union' | 'enum' | 'name'; name: string };
  /** What is made of the base, in order: `char *[3]` is an array of three pointers, so pointer first. */
  derived: ({ kind: 'pointer' } | { kind: 'array'; count: number })[];
}

/**
 * An expression that is C as far as that can be told without knowing the program. `(x) * y` is a product if `x` is a
 * variable and a cast if it is a type, so the tree is made when that can be asked.
 */
export interface Expression {
  readonly text: string;
  /** @param isType whether a name that stands in parentheses by itself is a type. Trees are kept: asking is cheap. */
  tree(isType: (name: string) => boolean): ExpressionNode;
}
