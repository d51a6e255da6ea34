import { Kind, type ConstDirectiveNode, type DocumentNode, type TypeNode } from 'graphql';
import type { Supergraph } from '../supergraph/supergraph.js';

/** What each subgraph has of the supergraph's types, as the join directives say. */
export class SubgraphTypes {
  readonly #graphs: ReadonlyMap<string, string>;
  readonly #join: string;
  /** `GRAPH Type.field` → the name of its type there. */
  readonly #fields = new Map<string, string>();
  /** `GRAPH Abstract` → object types. */
  readonly #members = new Map<string, Set<string>>();
  readonly #abstract = new Set<string>();

  constructor({ document, features, subgraphs }: Supergraph) {
    this.#join = features.find(({ identity }) => identity === 'https://specs.apollo.dev/join')?.as ?? 'join';
    this.#graphs = new Map([...subgraphs.values()].map(({ name, graph }) => [name, graph]));
    this.#read(document);
  }

  isAbstract(type: string): boolean {
    return this.#abstract.has(type);
  }

  /** The named type of a field that the subgraph itself resolves without being given anything. */
  fieldType(subgraph: string, type: string, field: string): string | undefined {
    return this.#fields.get(`${this.#graphs.get(subgraph)} ${type}.${field}`);
  }

  /** The types that an object of this union or interface can have when it comes from the subgraph. */
  members(subgraph: string, type: string): ReadonlySet<string> {
    return this.#members.get(`${this.#graphs.get(subgraph)} ${type}`) ?? new Set();
  }

  #read(document: DocumentNode): void {
    const graphs = [...this.#graphs.values()];
    for (const definition of document.definitions) {
      if (!('name' in definition) || !definition.name || !('directives' in definition)) continue;
      const type = definition.name.value;
      const applied = (definition.directives ?? []) as readonly ConstDirectiveNode[];
      const here = this.#named(applied, 'type').map((directive) => text(directive, 'graph')!);
      // Federation 1 names them only where there is a key.
      const of = here.length > 0 ? here : graphs;
      switch (definition.kind) {
        case Kind.UNION_TYPE_DEFINITION: {
          this.#abstract.add(type);
          const members = this.#named(applied, 'unionMember');
          for (const directive of members) this.#member(text(directive, 'graph')!, type, text(directive, 'member')!);
          if (members.length === 0)
            for (const graph of of) for (const one of definition.types ?? []) this.#member(graph, type, one.name.value);
          break;
        }
        case Kind.INTERFACE_TYPE_DEFINITION:
          this.#abstract.add(type);
          this.#readFields(type, of, definition.fields ?? []);
          break;
        case Kind.OBJECT_TYPE_DEFINITION: {
          this.#readFields(type, of, definition.fields ?? []);
          const implemented = this.#named(applied, 'implements');
          for (const directive of implemented)
            this.#member(text(directive, 'graph')!, text(directive, 'interface')!, type);
          if (implemented.length === 0)
            for (const graph of of)
              for (const one of definition.interfaces ?? []) this.#member(graph, one.name.value, type);
          break;
        }
        default:
      }
    }
  }

  #readFields(
    type: string,
    of: readonly string[],
    fields: readonly {
      name: { value: string };
      type: TypeNode;
      directives?: readonly ConstDirectiveNode[] | undefined;
    }[],
  ): void {
    for (const field of fields) {
      const where = this.#named(field.directives ?? [], 'field').filter((directive) => text(directive, 'graph'));
      const name = namedType(field.type);
      if (where.length === 0 && this.#named(field.directives ?? [], 'field').length === 0)
        for (const graph of of) this.#fields.set(`${graph} ${type}.${field.name.value}`, name);
      for (const directive of where) {
        const elsewhere = ['external', 'usedOverridden'].some((argument) => text(directive, argument) === 'true');
        const given = ['requires', 'overrideLabel', 'contextArguments'].some((argument) =>
          directive.arguments?.some((one) => one.name.value === argument),
        );
        if (elsewhere || given) continue;
        const own = text(directive, 'type')?.replaceAll(/[[\]!\s]/g, '');
        this.#fields.set(`${text(directive, 'graph')} ${type}.${field.name.value}`, own ?? name);
      }
    }
  }

  #member(graph: string, abstract: string, type: string): void {
    const key = `${graph} ${abstract}`;
    const members = this.#members.get(key);
    if (members) members.add(type);
    else this.#members.set(key, new Set([type]));
  }

  #named(directives: readonly ConstDirectiveNode[], name: string): ConstDirectiveNode[] {
    return directives.filter((directive) => directive.name.value === `${this.#join}__${name}`);
  }
}

function text(directive: ConstDirectiveNode, name: string): string | undefined {
  const value = directive.arguments?.find((argument) => argument.name.value === name)?.value;
  return value && 'value' in value ? String(value.value) : undefined;
}

function namedType(type: TypeNode): string {
  return type.kind === Kind.NAMED_TYPE ? type.name.value : namedType(type.type);
}
