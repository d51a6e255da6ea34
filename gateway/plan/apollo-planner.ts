import type {
  FetchDataRewrite,
  PlanNode as ApolloNode,
  QueryPlan,
  QueryPlanSelectionNode,
  SubscriptionNode,
} from '@apollo/query-planner';
import {
  fetchOf,
  withPath,
  type ContextRewrite,
  type Path,
  type Plan,
  type PlanNode,
  type Required,
  type Rewrite,
  type RewriteStep,
} from './plan.js';
import type { Planner, PlanRequest } from './planner.js';
import { isLabelOn } from './override-labels.js';
import { Thread } from './thread.js';
import { ThreadLives } from './thread-lives.js';
import { ANSWER_MS } from './while-wanted.js';

type ApolloThread = Thread<readonly string[], { query: string; on: string[] }, QueryPlan>;

/** Apollo's planner: pure JavaScript, so it runs everywhere; in a worker thread that is replaced when it takes too long. */
export async function apolloPlanner(
  supergraphSdl: string,
  start = apolloThread,
  answerMs = ANSWER_MS,
): Promise<Planner> {
  const lives = new ThreadLives(() => start(supergraphSdl), { answerMs: () => answerMs });
  return apolloPlannerBy(
    await lives.begin(),
    (query, on, { signal, begun }) => lives.ask({ query, on }, signal, begun),
    () => lives.end(),
  );
}

export function apolloThread(sdl: string): ApolloThread {
  return new Thread(new URL('./apollo-worker.mjs', import.meta.url), { sdl });
}

/** Wherever it is that Apollo's planner runs. */
export function apolloPlannerBy(
  known: readonly string[],
  ask: (query: string, on: string[], request: PlanRequest) => Promise<QueryPlan>,
  close: () => Promise<void>,
): Planner {
  return {
    name: 'apollo',
    overrideLabels: new Set(known),
    async plan(request: PlanRequest): Promise<Plan> {
      const on = known.filter((label) => isLabelOn(label, request));
      const plan = await ask(request.query, on, request);
      return { root: plan.node ? nodeOf(plan.node) : undefined };
    },
    close,
  };
}

function nodeOf(node: ApolloNode | SubscriptionNode): PlanNode {
  switch (node.kind) {
    case 'Sequence':
      return { kind: 'sequence', nodes: node.nodes.map(nodeOf) };
    case 'Parallel':
      return { kind: 'parallel', nodes: node.nodes.map(nodeOf) };
    case 'Flatten':
      return withPath(nodeOf(node.node), node.path.map(pathStepOf));
    case 'Fetch': {
      const contextual = new Set((node.contextRewrites ?? []).map((rewrite) => rewrite.renameKeyTo));
      return fetchOf(
        {
          subgraph: node.serviceName,
          operation: node.operation,
          variables: (node.variableUsages ?? []).filter((name) => !contextual.has(name)),
          outputRewrites: (node.outputRewrites ?? []).map(rewriteOf),
        },
        node.operationKind,
        node.requires && {
          requires: node.requires.map(requiredOf),
          inputRewrites: (node.inputRewrites ?? []).map(rewriteOf),
          contextRewrites: (node.contextRewrites ?? []).map((rewrite): ContextRewrite => {
            const up = rewrite.path.filter((step) => step === '..').length;
            return { up, path: rewrite.path.slice(up).map(rewriteStepOf), variable: rewrite.renameKeyTo };
          }),
        },
      );
    }
    default:
      throw new Error(`Apollo's planner answered with a ${node.kind} node, which this gateway does not run.`);
  }
}

function pathStepOf(step: string | number): Path[number] {
  return step === '@' ? { kind: 'list' } : { kind: 'key', key: String(step) };
}

function requiredOf(selection: QueryPlanSelectionNode): Required {
  if (selection.kind === 'Field') {
    const name = selection.alias ?? selection.name;
    return { kind: 'field', read: name, name, selections: selection.selections?.map(requiredOf) };
  }
  return { kind: 'type', type: selection.typeCondition ?? '', selections: selection.selections.map(requiredOf) };
}

function rewriteOf(rewrite: FetchDataRewrite): Rewrite {
  const path = rewrite.path.map(rewriteStepOf);
  return rewrite.kind === 'KeyRenamer'
    ? { kind: 'rename', path, to: rewrite.renameKeyTo }
    : { kind: 'set', path, value: rewrite.setValueTo as unknown };
}

function rewriteStepOf(step: string): RewriteStep {
  return step.startsWith('... on ')
    ? { kind: 'types', types: [step.slice('... on '.length)] }
    : { kind: 'key', key: step };
}
