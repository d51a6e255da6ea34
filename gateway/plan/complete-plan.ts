import {
  isAbstractType,
  Kind,
  type FieldNode,
  type GraphQLSchema,
  type SelectionNode,
  type SelectionSetNode,
} from 'graphql';
import { headOf, join, readFetchText, textOfSelections, variablesIn } from './fetch-text.js';
import type { EntityFetch, Path, Plan, PlanNode, RootFetch } from './plan.js';
import type { Asked } from './planner.js';
import type { Joins } from './joins.js';

/**
 * What both planners leave out although the subgraph that is asked has it, put back in:
 * - where services have unions (or interfaces) of one name with different members, a shared field is asked only for the members
 *   that all of them have, and what is in the list besides comes without its fields;
 * - a field that is an object here and a union in the supergraph is not asked what it is.
 */
export function completePlan(
  plan: Plan,
  schema: GraphQLSchema,
  joins: Joins,
  asked: Asked,
  left: ReadonlySet<string>,
): Plan {
  const root = plan.root && new Completion(schema, joins, asked, left).node(plan.root);
  return root === plan.root ? plan : { root };
}

class Completion {
  readonly #schema: GraphQLSchema;
  readonly #joins: Joins;
  readonly #operation: SelectionSetNode;
  readonly #definitions: ReadonlyMap<string, string>;
  readonly #rootType: string;
  readonly #left: ReadonlySet<string>;

  constructor(schema: GraphQLSchema, joins: Joins, { query, kind }: Asked, left: ReadonlySet<string>) {
    const text = readFetchText(query);
    this.#schema = schema;
    this.#joins = joins;
    this.#operation = text.selectionSet;
    this.#definitions = text.variables;
    this.#rootType = (kind === 'query' ? schema.getQueryType() : schema.getMutationType())!.name;
    this.#left = left;
  }

  /** The same node when there is nothing to add. */
  node(node: PlanNode): PlanNode {
    switch (node.kind) {
      case 'sequence':
      case 'parallel': {
        const nodes = node.nodes.map((one) => this.node(one));
        return nodes.every((one, index) => one === node.nodes[index]) ? node : { ...node, nodes };
      }
      case 'root': {
        const type = node.path.length === 0 ? this.#rootType : this.#schema.getQueryType()!.name;
        return this.#fetch(node, (set) => this.#set(node.subgraph, set, type, keysOf(node.path)));
      }
      case 'entities':
        return this.#fetch(node, (set) =>
          changedIn(set, (selection) => {
            if (selection.kind !== Kind.FIELD || !selection.selectionSet) return selection;
            const key = selection.alias?.value ?? selection.name.value;
            const part = node.entities.find(({ alias }) => alias === key);
            const [path] = part?.paths ?? [];
            if (!path) return selection;
            const inner = this.#set(node.subgraph, selection.selectionSet, undefined, keysOf(path));
            return inner === selection.selectionSet ? selection : { ...selection, selectionSet: inner };
          }),
        );
    }
  }

  #fetch<Fetch extends RootFetch | EntityFetch>(
    fetch: Fetch,
    complete: (set: SelectionSetNode) => SelectionSetNode,
  ): Fetch {
    const text = readFetchText(fetch.operation);
    const set = complete(text.selectionSet);
    if (set === text.selectionSet) return fetch;
    const selection = textOfSelections(set);
    if (selection === textOfSelections(text.selectionSet)) return fetch;
    const variables = new Map(text.variables);
    const added = [...variablesIn(set)].filter((name) => !variables.has(name));
    for (const name of added) variables.set(name, this.#definitions.get(name)!);
    const kind = fetch.kind === 'root' ? fetch.operationKind : 'query';
    const head = headOf(kind, variables.values(), text.directives);
    return { ...fetch, operation: `${head}${selection}`, variables: [...fetch.variables, ...added] };
  }

  /** `type` is what the subgraph calls the object; undefined: what the fragments say. */
  #set(subgraph: string, set: SelectionSetNode, type: string | undefined, place: string): SelectionSetNode {
    return changedIn(set, (selection) => this.#selection(subgraph, selection, type, place));
  }

  #selection(subgraph: string, selection: SelectionNode, type: string | undefined, place: string): SelectionNode {
    if (selection.kind === Kind.INLINE_FRAGMENT) {
      const inner = this.#set(subgraph, selection.selectionSet, selection.typeCondition?.name.value ?? type, place);
      return inner === selection.selectionSet ? selection : { ...selection, selectionSet: inner };
    }
    if (selection.kind !== Kind.FIELD || !selection.selectionSet || type === undefined) return selection;
    const here = this.#fieldType(subgraph, type, selection.name.value);
    if (here === undefined) return selection;
    const below = join(place, selection.alias?.value ?? selection.name.value);
    const inner = this.#set(subgraph, selection.selectionSet, here, below);
    const added = [...this.#typename(type, selection, here), ...this.#members(subgraph, here, below)];
    if (added.length === 0 && inner === selection.selectionSet) return selection;
    return { ...selection, selectionSet: { ...inner, selections: [...added, ...inner.selections] } };
  }

  /** An object type here that clients know as one of several. */
  #typename(parent: string, field: FieldNode, here: string): SelectionNode[] {
    if (this.#isAbstract(here)) return [];
    const parentType = this.#schema.getType(parent);
    const known = parentType && 'getFields' in parentType ? parentType.getFields()[field.name.value] : undefined;
    const named = known && String(known.type).replaceAll(/[[\]!]/g, '');
    if (named === undefined || named === here || !isAbstractType(this.#schema.getType(named))) return [];
    const asked = field.selectionSet!.selections.some(
      (one) => one.kind === Kind.FIELD && !one.alias && one.name.value === '__typename',
    );
    return asked ? [] : [TYPENAME];
  }

  #members(subgraph: string, here: string, place: string): SelectionNode[] {
    if (this.#left.size === 0 || !this.#isAbstract(here)) return [];
    const sets = this.#askedAt(place);
    return [...this.#membersOf(subgraph, here)].flatMap((member): SelectionNode[] => {
      const fields = sets
        .flatMap((set) => this.#fieldsOn(set, member))
        .filter((field) => {
          const key = field.alias?.value ?? field.name.value;
          return this.#left.has(`${place}@${member}.${key}`) && this.#isWhole(subgraph, field, member);
        });
      if (fields.length === 0) return [];
      const typeCondition = { kind: Kind.NAMED_TYPE as const, name: { kind: Kind.NAME as const, value: member } };
      const selectionSet: SelectionSetNode = { kind: Kind.SELECTION_SET, selections: fields };
      return [{ kind: Kind.INLINE_FRAGMENT, typeCondition, selectionSet }];
    });
  }

  #isAbstract(type: string): boolean {
    return (this.#joins.types.get(type)?.kind ?? 'object') !== 'object';
  }

  /** The types that an object of this union or interface can have when it comes from the subgraph. */
  #membersOf(subgraph: string, type: string): ReadonlySet<string> {
    return this.#joins.types.get(type)?.members.get(subgraph) ?? new Set();
  }

  /** The named type of a field that the subgraph itself resolves without being given anything. */
  #fieldType(subgraph: string, type: string, field: string): string | undefined {
    const home = this.#joins.home(type, field, subgraph);
    if (!home || home.external || home.overridden || home.requires || home.label || home.contextual) return undefined;
    return home.named;
  }

  /** What the operation selects on objects at this place. */
  #askedAt(place: string): SelectionSetNode[] {
    let sets = [this.#operation];
    for (const key of place.split('.')) {
      sets = sets.flatMap((set) =>
        everyField(set).flatMap((field) =>
          (field.alias?.value ?? field.name.value) === key && field.selectionSet ? [field.selectionSet] : [],
        ),
      );
    }
    return sets;
  }

  #fieldsOn(set: SelectionSetNode, type: string): FieldNode[] {
    return set.selections.flatMap((selection): FieldNode[] => {
      if (selection.kind === Kind.FIELD) return selection.name.value === '__typename' ? [] : [selection];
      if (selection.kind !== Kind.INLINE_FRAGMENT) return [];
      const condition = selection.typeCondition?.name.value;
      const wanted = condition === undefined ? undefined : this.#schema.getType(condition);
      const applies =
        condition === undefined ||
        condition === type ||
        (isAbstractType(wanted) && this.#schema.getPossibleTypes(wanted).some(({ name }) => name === type));
      return applies ? this.#fieldsOn(selection.selectionSet, type) : [];
    });
  }

  /** The subgraph itself has all of it. */
  #isWhole(subgraph: string, field: FieldNode, parent: string): boolean {
    if (field.name.value === '__typename') return true;
    const type = this.#fieldType(subgraph, parent, field.name.value);
    if (type === undefined) return false;
    return (field.selectionSet?.selections ?? []).every((one) => this.#isWholeBelow(subgraph, one, type));
  }

  #isWholeBelow(subgraph: string, selection: SelectionNode, type: string): boolean {
    if (selection.kind === Kind.FIELD) return this.#isWhole(subgraph, selection, type);
    if (selection.kind !== Kind.INLINE_FRAGMENT) return false;
    const condition = selection.typeCondition?.name.value ?? type;
    if (condition !== type && !this.#membersOf(subgraph, type).has(condition)) return false;
    return selection.selectionSet.selections.every((one) => this.#isWholeBelow(subgraph, one, condition));
  }
}

/** The same set when nothing of it is another. */
function changedIn(set: SelectionSetNode, change: (selection: SelectionNode) => SelectionNode): SelectionSetNode {
  let changed = false;
  const selections = set.selections.map((selection) => {
    const after = change(selection);
    changed ||= after !== selection;
    return after;
  });
  return changed ? { ...set, selections } : set;
}

const TYPENAME: FieldNode = { kind: Kind.FIELD, name: { kind: Kind.NAME, value: '__typename' } };

function everyField(set: SelectionSetNode): FieldNode[] {
  return set.selections.flatMap((selection) => {
    if (selection.kind === Kind.FIELD) return [selection];
    return selection.kind === Kind.INLINE_FRAGMENT ? everyField(selection.selectionSet) : [];
  });
}

function keysOf(path: Path): string {
  return path.flatMap((step) => (step.kind === 'key' ? [step.key] : [])).join('.');
}
