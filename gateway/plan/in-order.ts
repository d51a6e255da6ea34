import {
  Kind,
  parse,
  type FieldNode,
  type OperationDefinitionNode,
  type SelectionNode,
  type SelectionSetNode,
} from 'graphql';
import { fieldsIn, headOf, readFetchText, textOfSelections } from './fetch-text.js';
import { textOf } from './normalise.js';
import type { Plan, PlanNode, RootFetch } from './plan.js';
import type { Planner } from './planner.js';
import { fragmentsOf } from './root-fields.js';

/**
 * The fields of a mutation run one after the other, each to its end before the next begins (GraphQL, “serially”). Both planners put
 * what follows several fields after the last of them, so that the answer to the first is read when the second has written. Here
 * each field is planned by itself; neighbours that one subgraph answers go in one request all the same, since it runs them in order.
 */
export function inOrder(planner: Planner): Planner {
  return {
    name: planner.name,
    overrideLabels: planner.overrideLabels,
    async plan(request): Promise<Plan> {
      const queries = request.kind === 'mutation' ? fieldsApart(request.query) : [];
      if (queries.length < 2) return planner.plan(request);
      const plans: Plan[] = [];
      for (const query of queries) plans.push(await planner.plan({ ...request, query }));
      return { root: oneAfterTheOther(plans) };
    },
    close: () => planner.close(),
  };
}

/** An operation for each key of the answer. */
function fieldsApart(query: string): string[] {
  const document = parse(query, { noLocation: true });
  const operation = document.definitions.find(
    (one): one is OperationDefinitionNode => one.kind === Kind.OPERATION_DEFINITION,
  )!;
  const fragments = fragmentsOf(document);
  const byKey = new Map<string, SelectionNode[]>();
  for (const [key, selection] of rootFields(operation.selectionSet)) {
    const there = byKey.get(key);
    if (there) there.push(selection);
    else byKey.set(key, [selection]);
  }
  if (byKey.size < 2) return [query];
  return [...byKey.values()].map((selections) =>
    textOf({ ...operation, selectionSet: fieldsIn(selections) }, fragments),
  );
}

/** Each field at the root with the fragments around it. Those with a name were put in place before (normalise.ts). */
function rootFields(set: SelectionSetNode): [key: string, selection: SelectionNode][] {
  return set.selections.flatMap((selection): [string, SelectionNode][] => {
    if (selection.kind === Kind.FIELD) return [[keyOf(selection), selection]];
    if (selection.kind === Kind.FRAGMENT_SPREAD) return [];
    return rootFields(selection.selectionSet).map(([key, inner]) => [
      key,
      { ...selection, selectionSet: fieldsIn([inner]) },
    ]);
  });
}

function keyOf({ alias, name }: FieldNode): string {
  return (alias ?? name).value;
}

function oneAfterTheOther(plans: readonly Plan[]): PlanNode {
  const nodes: PlanNode[] = [];
  for (const { root } of plans) {
    const [first, ...rest] = root?.kind === 'sequence' ? root.nodes : root ? [root] : [];
    if (!first) continue;
    const before = nodes.at(-1);
    if (before && writes(before) && writes(first) && before.subgraph === first.subgraph)
      nodes[nodes.length - 1] = together(before, first);
    else nodes.push(first);
    nodes.push(...rest);
  }
  return nodes.length === 1 ? nodes[0]! : { kind: 'sequence', nodes };
}

function writes(node: PlanNode): node is RootFetch {
  return node.kind === 'root' && node.operationKind === 'mutation' && node.path.length === 0;
}

function together(one: RootFetch, other: RootFetch): RootFetch {
  const texts = [readFetchText(one.operation), readFetchText(other.operation)];
  const definitions = new Map(texts.flatMap(({ variables }) => [...variables]));
  const head = headOf('mutation', definitions.values(), texts[0]!.directives);
  const selections = texts.flatMap(({ selectionSet }) => selectionSet.selections);
  return {
    ...one,
    operation: `${head}${textOfSelections(fieldsIn(selections))}`,
    variables: [...new Set([...one.variables, ...other.variables])],
    outputRewrites: [...one.outputRewrites, ...other.outputRewrites],
  };
}
