import { Kind, type DocumentNode } from 'graphql';

/** "Is a `Book` a `Media`?" for all types of the supergraph, inaccessible ones included. */
export class TypeFamilies {
  readonly #members = new Map<string, Set<string>>();
  /** Names of interfaces and unions. */
  readonly abstract = new Set<string>();

  constructor(supergraph: DocumentNode) {
    for (const definition of supergraph.definitions) {
      if (/^(Interface|Union)Type/.test(definition.kind) && 'name' in definition)
        this.abstract.add(definition.name!.value);
      switch (definition.kind) {
        case Kind.OBJECT_TYPE_DEFINITION:
        case Kind.OBJECT_TYPE_EXTENSION:
        case Kind.INTERFACE_TYPE_DEFINITION:
        case Kind.INTERFACE_TYPE_EXTENSION:
          this.#add(definition.name.value, definition.name.value);
          for (const parent of definition.interfaces ?? []) this.#add(parent.name.value, definition.name.value);
          break;
        case Kind.UNION_TYPE_DEFINITION:
        case Kind.UNION_TYPE_EXTENSION:
          this.#add(definition.name.value, definition.name.value);
          for (const member of definition.types ?? []) this.#add(definition.name.value, member.name.value);
          break;
        default:
      }
    }
  }

  /** The type itself and everything that is one. */
  of(type: string): ReadonlySet<string> {
    return this.#members.get(type) ?? new Set([type]);
  }

  ofAny(types: readonly string[]): ReadonlySet<string> {
    return types.length === 1 ? this.of(types[0]!) : new Set(types.flatMap((type) => [...this.of(type)]));
  }

  #add(parent: string, child: string): void {
    const members = this.#members.get(parent);
    if (members) members.add(child);
    else this.#members.set(parent, new Set([parent, child]));
  }
}
