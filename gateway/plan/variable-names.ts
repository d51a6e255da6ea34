import { Kind, visit, type ASTNode, type VariableDefinitionNode } from 'graphql';

/**
 * What planners (`representations`, `__batch_reps_0`, `contextualArgument_1_0`) and we (`_r0`) call variables of our own in a request to
 * a subgraph. A client's variable of such a name has another on the way.
 */
const OURS = /^(_|representations$|contextualArgument)/;

export class VariableNames {
  readonly #onTheWay = new Map<string, string>();

  constructor(definitions: readonly VariableDefinitionNode[], prefix: string) {
    for (const { variable } of definitions) {
      const { value: name } = variable.name;
      if (OURS.test(name)) this.#onTheWay.set(name, `${prefix}${this.#onTheWay.size}`);
    }
  }

  rename<Node extends ASTNode>(node: Node): Node {
    if (this.#onTheWay.size === 0) return node;
    return visit(node, {
      Variable: (variable) => {
        const value = this.#onTheWay.get(variable.name.value);
        return value === undefined ? undefined : { ...variable, name: { kind: Kind.NAME, value } };
      },
    }) as Node;
  }

  /** Name on the way → the client's. */
  clientNames(): Map<string, string> {
    return new Map([...this.#onTheWay].map(([client, onTheWay]) => [onTheWay, client]));
  }
}
