import {
  Kind,
  TypeInfo,
  isAbstractType,
  parse,
  visit,
  visitWithTypeInfo,
  type ConstDirectiveNode,
  type GraphQLSchema,
} from 'graphql';
import type { Supergraph } from '../supergraph/supergraph.js';

/**
 * Found with @graphql-hive/router-query-planner 0.0.38: where a type has several keys in a subgraph that @requires something of
 * it, any of them is taken for the way back, also one that nobody else knows. The plan then goes a long way round, or the
 * process ends (of 300 generated operations 21 ended it; of those without such a field 1).
 */
export class SeveralKeys {
  readonly #api: GraphQLSchema;
  /** `Type.field` */
  readonly #requiring: ReadonlySet<string>;

  constructor({ document, schema }: Supergraph) {
    this.#api = schema;
    this.#requiring = new Set(
      document.definitions.flatMap((type) => {
        if (type.kind !== Kind.OBJECT_TYPE_DEFINITION && type.kind !== Kind.INTERFACE_TYPE_DEFINITION) return [];
        const keys = (type.directives ?? []).filter((one) => one.name.value === 'join__type' && has(one, 'key'));
        const requires = (directive: ConstDirectiveNode) =>
          directive.name.value === 'join__field' &&
          has(directive, 'requires') &&
          keys.filter((key) => graphOf(key) === graphOf(directive)).length > 1;
        const fields = (type.fields ?? []).filter(({ directives }) => directives?.some(requires));
        return fields.map((field) => `${type.name.value}.${field.name.value}`);
      }),
    );
  }

  /** Is there any such field? */
  get some(): boolean {
    return this.#requiring.size > 0;
  }

  /** Does the operation ask for a field that requires something beside several keys? */
  concern(query: string): boolean {
    if (this.#requiring.size === 0) return false;
    let found = false;
    const types = new TypeInfo(this.#api);
    visit(
      parse(query, { noLocation: true }),
      visitWithTypeInfo(types, {
        Field: ({ name }) => {
          const parent = types.getParentType();
          if (!parent || found) return;
          const possible = isAbstractType(parent) ? this.#api.getPossibleTypes(parent) : [];
          found = [parent, ...possible].some((type) => this.#requiring.has(`${type.name}.${name.value}`));
        },
      }),
    );
    return found;
  }
}

function has(directive: ConstDirectiveNode, argument: string): boolean {
  return directive.arguments?.some(({ name, value }) => name.value === argument && value.kind === Kind.STRING) ?? false;
}

function graphOf(directive: ConstDirectiveNode): string | undefined {
  const value = directive.arguments?.find(({ name }) => name.value === 'graph')?.value;
  return value?.kind === Kind.ENUM ? value.value : undefined;
}
