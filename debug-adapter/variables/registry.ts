/** References for the client: a number for each path that was shown, the same as long as the session lives. */
import type { VariableNode } from './node';

export class Registry {
  private readonly references = new Map<string, number>();
  private readonly nodes = new Map<number, VariableNode>();

  /** The reference of a node, newly given or as before; the newest node of a path is the one that answers. */
  reference(node: VariableNode): number {
    let reference = this.references.get(node.path);
    if (reference === undefined) {
      reference = this.references.size + 1;
      this.references.set(node.path, reference);
    }
    this.nodes.set(reference, node);
    return reference;
  }

  find(reference: number): VariableNode | undefined {
    return this.nodes.get(reference);
  }

  /** After a restart nothing that was shown exists any more. Numbers are not used again. */
  clear(): void {
    this.nodes.clear();
  }
}
