import {
  isObjectType,
  TypeInfo,
  visit,
  visitWithTypeInfo,
  type DocumentNode,
  type GraphQLSchema,
  type OperationDefinitionNode,
} from 'graphql';
import { Failure } from '#libs/failure';
import type { RequestContext } from './context.js';

/**
 * What of others a service has copied and answers from, by what answers from it: a root field (`Query.post`), an entity that is asked
 * for by its key (`Post`), or any other field (`Post.replies`); each the kinds of aggregates that it needs, as they are called in events
 * (`relation` of `relation:<uuid>:<uuid>`). Root fields and entities have all to be there, if with nothing; a field that is not needs nothing
 * beyond what leads to it. Only what a client may have written itself matters: that is all that it waits for.
 */
export type Copies = Readonly<Record<string, readonly string[]>>;

/** `user` of `user:<uuid>`. */
export function kindOfAggregate(aggregate: string): string {
  return aggregate.split(':', 1)[0]!;
}

type Resolve = (...args: unknown[]) => unknown;

/** Kinds of aggregates of others that an operation answers from. */
export interface Needs {
  readonly all: ReadonlySet<string>;
  /** By which its mutations decide whether they are done; what their answers are read from is another matter. */
  readonly toMutate: ReadonlySet<string>;
}

/** Which copies an operation answers from, and fields that refuse to where one of them is behind what the reader has written. */
export class CopiesInSchema {
  readonly #copies: Copies;
  readonly #byOperation = new WeakMap<OperationDefinitionNode, Needs>();

  constructor(copies: Copies) {
    this.#copies = copies;
  }

  /** Throws where something is not declared, or does not exist. */
  guard(schema: GraphQLSchema): GraphQLSchema {
    const left = new Set(Object.keys(this.#copies));
    for (const type of Object.values(schema.getTypeMap())) {
      if (!isObjectType(type)) continue;
      const isRoot = type === schema.getQueryType() || type === schema.getMutationType();
      const { subgraph } = (type.extensions['apollo'] ?? {}) as { subgraph?: { resolveReference?: Resolve } };
      const reference = subgraph?.resolveReference;
      if (subgraph && reference) {
        left.delete(type.name);
        const needs = this.#declared(type.name);
        if (needs.length > 0)
          subgraph.resolveReference = (...args) => {
            refuse(args[1] as RequestContext, needs);
            return reference(...args);
          };
      }
      for (const field of Object.values(type.getFields())) {
        const name = `${type.name}.${field.name}`;
        left.delete(name);
        if (isRoot && !field.name.startsWith('_')) this.#declared(name);
        const needs = this.#copies[name] ?? [];
        // What a mutation goes by is asked for before any of it is done (read-your-writes.ts).
        if (needs.length === 0 || type === schema.getMutationType()) continue;
        const { resolve } = field;
        if (!resolve) throw new Error(`${name} needs copies, and has no resolver that could be kept from answering`);
        field.resolve = (source, args, context: RequestContext, info): unknown => {
          refuse(context, needs);
          return resolve(source, args, context, info) as unknown;
        };
      }
    }
    if (left.size > 0) throw new Error(`copies: there is no ${[...left].join(', ')}`);
    return schema;
  }

  of(schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode): Needs {
    const known = this.#byOperation.get(operation);
    if (known) return known;
    const types = new TypeInfo(schema);
    const fragments = new Map(
      document.definitions.flatMap((one) =>
        one.kind === 'FragmentDefinition' ? [[one.name.value, one] as const] : [],
      ),
    );
    const all = new Set<string>();
    const toMutate = new Set<string>();
    const note = (name: string, isMutation = false): void => {
      for (const kind of this.#copies[name] ?? []) {
        all.add(kind);
        if (isMutation) toMutate.add(kind);
      }
    };
    const isByKey = (): boolean => types.getParentType()?.name === '_Entity';
    const visitor = visitWithTypeInfo(types, {
      Field({ name }) {
        const parent = types.getParentType();
        if (parent) note(`${parent.name}.${name.value}`, parent === schema.getMutationType());
      },
      InlineFragment({ typeCondition }) {
        if (typeCondition && isByKey()) note(typeCondition.name.value);
      },
      FragmentSpread({ name }) {
        if (isByKey()) note(fragments.get(name.value)?.typeCondition.name.value ?? '');
      },
    });
    for (const definition of document.definitions)
      if (definition === operation || definition.kind === 'FragmentDefinition') visit(definition, visitor);
    const needs = { all, toMutate };
    this.#byOperation.set(operation, needs);
    return needs;
  }

  #declared(name: string): readonly string[] {
    const needs = this.#copies[name];
    if (needs === undefined) throw new Error(`copies: ${name} does not say of what it needs a copy`);
    return needs;
  }
}

function refuse({ behind }: RequestContext, needs: readonly string[]): void {
  if (behind !== undefined && needs.some((kind) => behind.has(kind))) throw new Failure('NOT_CAUGHT_UP');
}
