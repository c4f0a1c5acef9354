/** A row of the Variables view, and what can be done with it. */
export interface VariableNode {
  /**
   * Identity from one reading of the values to the next, e.g. `maps/counts/[3]/.packets`: references given to the
   * client stay valid while the values under them change.
   */
  path: string;
  name: string;
  value: string;
  /** What is said of it beside the code, where that is less than `value`; empty where nothing is. */
  brief?: string;
  type?: string;
  /** An expression that evaluates to this node. */
  evaluateName?: string;
  /** Where its value lies, for what watches it, when that is not `evaluateName`: `packet[12..13]`. */
  place?: string;
  /** Number of children shown by position; absent when they are few, or nobody has counted. */
  indexed?: number;
  /** Children `start` to `start + count`; all without a range. */
  children?: (start?: number, count?: number) => Promise<VariableNode[]>;
  /** Writes to the kernel and returns the node as it is then. */
  assign?: (text: string) => Promise<VariableNode>;
  /** Why there is no `assign`, where a user might expect one. */
  readOnly?: string;
  /** The bytes behind the value, for a memory view: all of them, or those that are known. */
  memory?: () => Promise<Uint8Array | { bytes: Uint8Array; known: Uint8Array } | undefined>;
  /** Writes bytes of that memory, from an offset on. */
  writeMemory?: (offset: number, bytes: Uint8Array) => Promise<void>;
}

/** A row that says something instead of showing a value. */
export function note(path: string, name: string, value: string): VariableNode {
  return { path: `${path}/(${name})`, name, value };
}

/** Above this many children they are shown in ranges. */
export const PAGE = 100;

/** Rows `[0..99]`, `[100..199]`, …; ranges of ranges above 10,000, so that no level is longer than a page. */
export function rangeNodes(
  path: string,
  total: number,
  children: (start: number, count: number) => Promise<VariableNode[]>,
  start = 0,
): VariableNode[] {
  let size = PAGE;
  while (Math.ceil(total / size) > PAGE) size *= PAGE;
  return Array.from({ length: Math.ceil(total / size) }, (_, i) => {
    const first = start + i * size;
    const count = Math.min(size, start + total - first);
    const rangePath = `${path}/[${first}..${first + count - 1}]`;
    return {
      path: rangePath,
      name: `[${first}..${first + count - 1}]`,
      value: '',
      children: async (from = 0, many?: number) =>
        count > PAGE && many === undefined
          ? rangeNodes(rangePath, count, children, first)
          : children(first + from, Math.min(many ?? count, count - from)),
    };
  });
}
