import {
  isAbstractType,
  isInterfaceType,
  isObjectType,
  Kind,
  valueFromASTUntyped,
  type ConstDirectiveNode,
  type GraphQLCompositeType,
  type GraphQLNamedType,
  type GraphQLSchema,
} from 'graphql';
import type { Supergraph } from '../supergraph/supergraph.js';

/** One thing that a client has to have. `anyOf`: one of the lists, whole (an OR of ANDs); no list at all asks for nothing. */
export type Requirement =
  | { readonly kind: 'authenticated' }
  | { readonly kind: 'scopes' | 'policies'; readonly anyOf: readonly (readonly string[])[] };

type Kinds = Requirement['kind'];
/** The same requirement is the same object, wherever it stands. */
type Needs = ReadonlySet<Requirement>;

const NOTHING: Needs = new Set();

/**
 * What `@authenticated`, `@requiresScopes` and `@policy` ask of whoever wants a type or a field of a supergraph.
 *
 * What an interface asks is what any of its types asks, since an answer may be any of them; so says the Federation
 * documentation, and Apollo's composition writes it so from 2.9.4 on. It is worked out here, because older and other
 * composers leave it to the reader.
 */
export class Requirements {
  readonly #schema: GraphQLSchema;
  readonly #types = new Map<string, Needs>();
  readonly #fields = new Map<string, Needs>();
  readonly #known = new Map<string, Requirement>();

  /** Undefined when the supergraph asks nothing of anybody. */
  static of(supergraph: Supergraph): Requirements | undefined {
    const found = new Requirements(supergraph);
    return found.#known.size > 0 ? found : undefined;
  }

  private constructor({ document, schema, features }: Supergraph) {
    this.#schema = schema;
    const directives = new Map<string, Kinds>();
    for (const { identity, as, imports } of features) {
      const name = identity.slice(SPECS.length);
      const kind = identity.startsWith(SPECS) ? KINDS[name] : undefined;
      if (kind) directives.set(imports.get(`@${name}`)?.slice(1) ?? as, kind);
    }
    if (directives.size === 0) return;
    const needsOf = (applied: readonly ConstDirectiveNode[] | undefined): Set<Requirement> =>
      new Set(
        (applied ?? []).flatMap((directive) => {
          const kind = directives.get(directive.name.value);
          return kind ? [this.#requirement(kind, directive)] : [];
        }),
      );
    for (const definition of document.definitions) {
      if (!('name' in definition) || !definition.name || !('directives' in definition)) continue;
      const type = definition.name.value;
      add(this.#types, type, needsOf(definition.directives as readonly ConstDirectiveNode[]));
      if (!('fields' in definition)) continue;
      for (const field of definition.fields ?? [])
        if (field.kind === Kind.FIELD_DEFINITION)
          add(this.#fields, `${type}.${field.name.value}`, needsOf(field.directives));
    }
    this.#spread();
  }

  ofType(type: GraphQLNamedType): Needs {
    return this.#types.get(type.name) ?? NOTHING;
  }

  ofField(parent: GraphQLCompositeType, field: string): Needs {
    return this.#fields.get(`${parent.name}.${field}`) ?? NOTHING;
  }

  /** What an abstract type itself asks, whichever type the object turns out to have. */
  ofItself(type: GraphQLNamedType): Needs {
    if (!isAbstractType(type)) return this.ofType(type);
    const members = this.#schema.getPossibleTypes(type).map((one) => this.ofType(one));
    return withoutKindsOf(this.ofType(type), members);
  }

  #requirement(kind: Kinds, directive: ConstDirectiveNode): Requirement {
    const argument = directive.arguments?.find(({ name }) => name.value === kind);
    const anyOf = argument ? listsOf(valueFromASTUntyped(argument.value)) : [];
    const key = JSON.stringify([kind, anyOf]);
    let known = this.#known.get(key);
    if (!known) {
      known = kind === 'authenticated' ? { kind } : { kind, anyOf };
      this.#known.set(key, known);
    }
    return known;
  }

  #spread(): void {
    const interfaces = Object.values(this.#schema.getTypeMap()).filter(isInterfaceType);
    // A type has what its interface asks by itself (as an @interfaceObject's fields may), before interfaces have what types ask.
    for (const type of interfaces) {
      const possible = this.#schema.getPossibleTypes(type);
      for (const name of Object.keys(type.getFields())) {
        const itself = withoutKindsOf(
          this.ofField(type, name),
          possible.map((one) => this.ofField(one, name)),
        );
        for (const one of possible) add(this.#fields, `${one.name}.${name}`, itself);
      }
    }
    for (const type of interfaces) {
      for (const one of this.#schema.getPossibleTypes(type)) {
        if (!isObjectType(one)) continue;
        add(this.#types, type.name, this.ofType(one));
        for (const name of Object.keys(type.getFields()))
          add(this.#fields, `${type.name}.${name}`, this.ofField(one, name));
      }
    }
  }
}

const SPECS = 'https://specs.apollo.dev/';
const KINDS: Readonly<Record<string, Kinds>> = {
  authenticated: 'authenticated',
  requiresScopes: 'scopes',
  policy: 'policies',
};

function listsOf(value: unknown): string[][] {
  // GraphQL's list coercion: one value is a list of it.
  const outer: unknown[] = Array.isArray(value) ? value : [value];
  return outer.map((inner) => (Array.isArray(inner) ? inner : [inner]).map(String));
}

function add(to: Map<string, Needs>, name: string, needs: Needs): void {
  if (needs.size > 0) to.set(name, new Set([...(to.get(name) ?? []), ...needs]));
}

function withoutKindsOf(needs: Needs, others: readonly Needs[]): Needs {
  const kinds = new Set(others.flatMap((other) => [...other].map(({ kind }) => kind)));
  return new Set([...needs].filter(({ kind }) => !kinds.has(kind)));
}
