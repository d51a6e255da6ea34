import {
  getNamedType,
  isAbstractType,
  Kind,
  TypeInfo,
  visit,
  visitWithTypeInfo,
  type ASTNode,
  type FieldNode,
  type GraphQLSchema,
  type SelectionSetNode,
} from 'graphql';
import { Failure } from '#libs/failure';
import type { Operation } from '../engine.js';
import type { NormalOperation } from '../plan/normalise.js';
import type { Supergraph } from '../supergraph/supergraph.js';
import { isMet, nobody, type Grants, type Seen } from './grants.js';
import { Requirements, type Requirement } from './requirements.js';

/** What a request may not have of its operation. */
export interface Denial {
  /** One character for each requirement of the operation: as many plans as there are outcomes, however many people ask. */
  readonly key: string;
  readonly unmet: ReadonlySet<Requirement>;
  /** What was found of whoever asks, to find the same again in another supergraph. */
  readonly seen: Seen;
}

/**
 * Marks a field that the client asks for and may not have. Two underscores at the start are GraphQL's own, so no schema
 * defines it and no client can send it.
 */
export const DENIED = '__denied';

/** Decides before anything is planned, so that what is denied is neither planned nor fetched. */
export class Authorization {
  readonly #schema: GraphQLSchema;
  readonly #requirements: Requirements;
  readonly #byOperation = new WeakMap<Operation, Needed>();

  /** Undefined for a supergraph that asks nothing of anybody: nothing is then done per request. */
  static of(supergraph: Supergraph): Authorization | undefined {
    const requirements = Requirements.of(supergraph);
    return requirements && new Authorization(supergraph.schema, requirements);
  }

  private constructor(schema: GraphQLSchema, requirements: Requirements) {
    this.#schema = schema;
    this.#requirements = requirements;
  }

  /** Undefined when the operation asks for nothing that is not everybody's. */
  deny(operation: Operation, grants: Grants = nobody): Denial | undefined | Promise<Denial> {
    const needed = this.#neededBy(operation);
    if (needed.requirements.length === 0) return undefined;
    if (needed.policies.length === 0) return denialOf(needed, grants, NONE);
    const policies = grants.policies(needed.policies);
    return 'then' in policies
      ? policies.then((held) => denialOf(needed, grants, held))
      : denialOf(needed, grants, policies);
  }

  /** Puts `@__denied` on every field that is not to be had. */
  mark<Node extends ASTNode>(node: Node, { unmet }: Denial): Node {
    if (unmet.size === 0) return node;
    const types = new TypeInfo(this.#schema);
    return visit(
      node,
      visitWithTypeInfo(types, {
        Field: (field) => {
          if (!this.#needsOf(field, types).some((one) => unmet.has(one))) return undefined;
          const directives = [
            ...(field.directives ?? []),
            { kind: Kind.DIRECTIVE as const, name: { kind: Kind.NAME as const, value: DENIED } },
          ];
          return { ...field, directives };
        },
      }),
    ) as Node;
  }

  #neededBy(operation: Operation): Needed {
    let needed = this.#byOperation.get(operation);
    if (!needed) {
      const found = new Set<Requirement>();
      const types = new TypeInfo(this.#schema);
      visit(
        operation.document,
        visitWithTypeInfo(types, {
          Field: (field) => this.#needsOf(field, types).forEach((one) => found.add(one)),
        }),
      );
      const requirements = [...found];
      const names = (kind: Requirement['kind']) => [
        ...new Set(requirements.flatMap((one) => (one.kind === kind && 'anyOf' in one ? one.anyOf.flat() : []))),
      ];
      needed = { requirements, scopes: names('scopes'), policies: names('policies') };
      this.#byOperation.set(operation, needed);
    }
    return needed;
  }

  #needsOf(field: FieldNode, types: TypeInfo): Requirement[] {
    const parent = types.getParentType();
    const definition = types.getFieldDef();
    if (!parent || !definition || field.name.value.startsWith('__')) return [];
    const requirements = this.#requirements;
    const type = getNamedType(definition.type);
    // Of an interface everything is asked when its own fields are; behind `... on T` it is T that counts.
    const whole = isAbstractType(type) && selectsDirectly(field);
    return [
      ...requirements.ofType(parent),
      ...requirements.ofField(parent, field.name.value),
      ...(whole ? requirements.ofType(type) : requirements.ofItself(type)),
    ];
  }
}

const NONE: ReadonlySet<string> = new Set();

interface Needed {
  readonly requirements: readonly Requirement[];
  readonly scopes: readonly string[];
  readonly policies: readonly string[];
}

function denialOf(needed: Needed, grants: Grants, policies: ReadonlySet<string>): Denial {
  let key = '';
  const unmet = new Set<Requirement>();
  for (const requirement of needed.requirements) {
    const met = isMet(requirement, grants, policies);
    key += met ? '1' : '0';
    if (!met) unmet.add(requirement);
  }
  const seen: Seen = {
    authenticated: grants.authenticated,
    scopes: needed.scopes.filter((scope) => grants.scopes.has(scope)),
    policies: needed.policies.filter((policy) => policies.has(policy)),
  };
  return { key, unmet, seen };
}

/** `{ id }` and not only `{ ... on Book { id } }`; what type an object has is no secret of the type. */
function selectsDirectly({ selectionSet }: FieldNode): boolean {
  return (selectionSet?.selections ?? []).some(
    (selection) => selection.kind === Kind.FIELD && selection.name.value !== '__typename',
  );
}

export function isDenied(field: FieldNode): boolean {
  return field.directives?.some(({ name }) => name.value === DENIED) ?? false;
}

/** With UNAUTHORIZED=reject: nothing runs when anything is denied. */
export function refuseDenied({ definition, fragments, clientKeys }: NormalOperation): void {
  const paths = new Set<string>();
  const look = (set: SelectionSetNode, above: string): void => {
    for (const selection of set.selections) {
      if (selection.kind === Kind.FIELD) {
        const key = selection.alias?.value ?? selection.name.value;
        const path = `${above}${clientKeys.get(key) ?? key}`;
        if (isDenied(selection)) paths.add(path);
        else if (selection.selectionSet) look(selection.selectionSet, `${path}.`);
      } else if (selection.kind === Kind.INLINE_FRAGMENT) look(selection.selectionSet, above);
      else look(fragments.get(selection.name.value)!.selectionSet, above);
    }
  };
  look(definition.selectionSet, '');
  if (paths.size === 0) return;
  const shown = [...paths].slice(0, PATHS_SHOWN).join(', ');
  const more = paths.size > PATHS_SHOWN ? ` and ${paths.size - PATHS_SHOWN} more` : '';
  throw new Failure('UNAUTHORIZED_FIELD_OR_TYPE', `Unauthorized field or type: ${shown}${more}.`);
}

const PATHS_SHOWN = 5;
