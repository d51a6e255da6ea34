import type {
  FetchNodePathSegment,
  FetchRewrite,
  FlattenNodePathSegment,
  PlanNode as NativeNode,
  RequiresSelection,
} from '@graphql-hive/router-query-planner';
import { silent, systemClock, type Clock, type Logger } from '#libs/telemetry';
import { NativeLives } from './native-lives.js';
import {
  fetchOf,
  withPath,
  type Entities,
  type Path,
  type Plan,
  type PlanNode,
  type Required,
  type Rewrite,
  type RewriteStep,
} from './plan.js';
import type { Planner, PlanRequest } from './planner.js';

/** Hive Router's planner (Rust through N-API): about 1.4 ms for a profile page, in a process of its own. */
export async function nativePlanner(
  supergraphSdl: string,
  logger: Logger = silent,
  clock: Clock = systemClock,
): Promise<Planner> {
  const lives = await NativeLives.begin(supergraphSdl, logger, clock);
  return {
    name: 'native',
    overrideLabels: new Set(lives.labels),
    async plan(request: PlanRequest): Promise<Plan> {
      const plan = await lives.plan(request);
      return { root: plan.node ? nodeOf(plan.node) : undefined };
    },
    close: () => lives.end(),
  };
}

function nodeOf(node: NativeNode): PlanNode {
  switch (node.kind) {
    case 'Sequence':
      return { kind: 'sequence', nodes: node.nodes.map(nodeOf) };
    case 'Parallel':
      return { kind: 'parallel', nodes: node.nodes.map(nodeOf) };
    case 'Flatten':
      return withPath(nodeOf(node.node), node.path.map(pathStepOf));
    case 'BatchFetch':
      return {
        kind: 'entities',
        subgraph: node.serviceName,
        operation: node.operation,
        variables: node.variableUsages ?? [],
        entities: node.entityBatch.aliases.map((alias): Entities => ({
          alias: alias.alias,
          variable: alias.representationsVariableName,
          paths: alias.paths.map((path) => path.map(pathStepOf)),
          requires: alias.requires.map(requiredOf),
          inputRewrites: (alias.inputRewrites ?? []).map(rewriteOf),
          outputRewrites: (alias.outputRewrites ?? []).map(rewriteOf),
          contextRewrites: [],
        })),
      };
    case 'Fetch':
      return fetchOf(
        {
          subgraph: node.serviceName,
          operation: node.operation,
          variables: node.variableUsages ?? [],
          outputRewrites: (node.outputRewrites ?? []).map(rewriteOf),
        },
        node.operationKind,
        node.requires && {
          requires: node.requires.map(requiredOf),
          inputRewrites: (node.inputRewrites ?? []).map(rewriteOf),
          contextRewrites: [],
        },
      );
    default:
      throw new Error(`The native planner answered with a ${node.kind} node, which this gateway does not run.`);
  }
}

function pathStepOf(step: FlattenNodePathSegment): Path[number] {
  if (step === '@') return { kind: 'list' };
  return 'Field' in step ? { kind: 'key', key: step.Field } : { kind: 'types', types: step.TypeCondition };
}

/** In this planner's `requires`, `name` is the key in the answer and `alias` the name that the subgraph knows. */
function requiredOf(selection: RequiresSelection): Required {
  switch (selection.kind) {
    case 'Field':
      return {
        kind: 'field',
        read: selection.name,
        name: selection.alias ?? selection.name,
        selections: selection.selections?.map(requiredOf),
      };
    case 'InlineFragment':
      return { kind: 'type', type: selection.typeCondition, selections: selection.selections.map(requiredOf) };
    default:
      throw new Error('The native planner answered with a fragment spread in `requires`, which it never defines.');
  }
}

function rewriteOf(rewrite: FetchRewrite): Rewrite {
  if ('KeyRenamer' in rewrite)
    return { kind: 'rename', path: rewrite.KeyRenamer.path.map(rewriteStepOf), to: rewrite.KeyRenamer.renameKeyTo };
  const setter = 'ValueSetter' in rewrite ? rewrite.ValueSetter : rewrite;
  return { kind: 'set', path: setter.path.map(rewriteStepOf), value: setter.setValueTo };
}

function rewriteStepOf(step: FetchNodePathSegment): RewriteStep {
  return 'Key' in step ? { kind: 'key', key: step.Key } : { kind: 'types', types: step.TypenameEquals };
}
