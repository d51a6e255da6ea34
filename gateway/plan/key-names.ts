import { Kind, OperationTypeNode, visit, type ASTNode, type FieldNode } from 'graphql';
import type { SchemaNames } from './schema-names.js';

/**
 * Response keys that would be dangerous or ambiguous between here and the subgraphs get a neutral name on the way:
 * - names that every JavaScript object has (`__proto__`, `constructor`), so that no code downstream has to think of them;
 * - an alias that is the name of another field (`id: title`), because the planner asks for keys by their plain names;
 * - a plain field with arguments that somebody's @key or @requires asks for with other arguments, or with none, or the other way
 *   round.
 * A root field of a mutation is looked for by no key, and services keep what was done under its name (Idempotency-Key). So it has the
 * client's, or one made of it alone: none that another supergraph would change.
 */
export class KeyNames {
  readonly #names: SchemaNames;
  readonly #onTheWay = new Map<string, string>();
  readonly #roots = new Map<string, string>();
  readonly #prefix: string;
  readonly #rootPrefix: string;

  constructor(names: SchemaNames, taken: ReadonlySet<string>) {
    this.#names = names;
    this.#prefix = unused('_key', [taken, names.fields]);
    this.#rootPrefix = unused('_root', [taken]);
  }

  rename<Node extends ASTNode>(node: Node): Node {
    return visit(node, {
      // Introspection goes to nobody, so its keys stay the client's.
      FragmentDefinition: ({ typeCondition }) => (typeCondition.name.value.startsWith('__') ? false : undefined),
      Field: (field: FieldNode, _key, _parent, _path, ancestors) => {
        if (field.name.value.startsWith('__')) return false;
        const key = field.alias?.value ?? field.name.value;
        if (isRootOfMutation(ancestors)) {
          if (!dangerous(key)) return undefined;
          const name = `${this.#rootPrefix}_${key}`;
          this.#roots.set(key, name);
          return { ...field, alias: { kind: Kind.NAME, value: name } };
        }
        if (!this.#ambiguous(field, key)) return undefined;
        let name = this.#onTheWay.get(key);
        if (name === undefined) {
          name = `${this.#prefix}${this.#onTheWay.size}`;
          this.#onTheWay.set(key, name);
        }
        return { ...field, alias: { kind: Kind.NAME, value: name } };
      },
    }) as Node;
  }

  clientKeys(): Map<string, string> {
    return new Map([...this.#onTheWay, ...this.#roots].map(([client, onTheWay]) => [onTheWay, client]));
  }

  #ambiguous(field: FieldNode, key: string): boolean {
    if (dangerous(key)) return true;
    if (field.alias && key !== field.name.value && this.#names.required.has(key)) return true;
    const given = (field.arguments?.length ?? 0) > 0;
    return given ? this.#names.required.has(key) : this.#names.requiredWithArguments.has(key);
  }
}

function dangerous(key: string): boolean {
  // Under node --disable-proto=delete it is in no prototype, and no name of ours on the way either (run/merge.ts).
  return key === '__proto__' || key in Object.prototype || key === '__typename';
}

function isRootOfMutation(ancestors: readonly (ASTNode | readonly ASTNode[])[]): boolean {
  // Lists have siblings in them; what is above is a node of its own.
  const [operation, ...between] = ancestors.filter((one): one is ASTNode => 'kind' in one);
  return (
    operation?.kind === Kind.OPERATION_DEFINITION &&
    operation.operation === OperationTypeNode.MUTATION &&
    !between.some(({ kind }) => kind === Kind.FIELD)
  );
}

/** A prefix that nothing in the sets starts with. */
export function unused(wanted: string, sets: readonly ReadonlySet<string>[]): string {
  let prefix = wanted;
  while (sets.some((set) => [...set].some((name) => name.startsWith(prefix)))) prefix = `_${prefix}`;
  return prefix;
}
