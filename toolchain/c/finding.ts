/** A syntax error in a source text, by offsets. */
export interface SyntaxFinding {
  /** UTF-16 offsets into the text. */
  start: number;
  end: number;
  message: string;
  /** False when a macro or a conditional that cannot be seen through may explain it; such findings are not shown. */
  certain: boolean;
  /** Another place that belongs to the error, such as the bracket that is not closed. */
  related?: { start: number; end: number; message: string };
}
