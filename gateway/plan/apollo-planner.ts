import { Worker } from 'node:worker_threads';
import type {
  FetchDataRewrite,
  PlanNode as ApolloNode,
  QueryPlan,
  QueryPlanSelectionNode,
  SubscriptionNode,
} from '@apollo/query-planner';
import {
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

/** Apollo's planner: pure JavaScript, so it runs everywhere; in a worker thread that is replaced when it overruns a deadline. */
export async function apolloPlanner(supergraphSdl: string): Promise<Planner> {
  let thread = await PlanningThread.start(supergraphSdl);
  return apolloPlannerBy(
    thread.labels,
    async (query, on, signal) => {
      if (thread.ended) thread = await PlanningThread.start(supergraphSdl);
      return thread.plan(query, on, signal);
    },
    () => thread.end(),
  );
}

/** Wherever it is that Apollo's planner runs. */
export function apolloPlannerBy(
  known: readonly string[],
  ask: (query: string, on: string[], signal: AbortSignal) => Promise<QueryPlan>,
  close: () => Promise<void>,
): Planner {
  return {
    name: 'apollo',
    overrideLabels: new Set(known),
    async plan(request: PlanRequest): Promise<Plan> {
      const on = known.filter((label) => isLabelOn(label, request));
      const plan = await ask(request.query, on, request.signal);
      return { root: plan.node ? nodeOf(plan.node) : undefined };
    },
    close,
  };
}

type Reply = { ready: true; labels: string[] } | { id: number; plan: QueryPlan } | { id: number; error: string };

class PlanningThread {
  ended = false;
  labels: string[] = [];
  readonly #worker: Worker;
  readonly #waiting = new Map<number, { resolve(plan: QueryPlan): void; reject(error: Error): void }>();
  #next = 0;

  static async start(sdl: string): Promise<PlanningThread> {
    const thread = new PlanningThread(sdl);
    await thread.#ready;
    return thread;
  }

  readonly #ready: Promise<void>;

  private constructor(sdl: string) {
    this.#worker = new Worker(new URL('./apollo-worker.mjs', import.meta.url), { workerData: { sdl } });
    this.#worker.unref();
    this.#ready = new Promise((resolve, reject) => {
      this.#worker.on('message', (reply: Reply) => {
        if ('ready' in reply) {
          this.labels = reply.labels;
          resolve();
          return;
        }
        const waiting = this.#waiting.get(reply.id);
        this.#waiting.delete(reply.id);
        if ('plan' in reply) waiting?.resolve(reply.plan);
        else waiting?.reject(new Error(reply.error));
      });
      this.#worker.on('error', (error: Error) => {
        reject(error);
        this.#fail(error);
      });
      this.#worker.on('exit', () => {
        const error = new Error('The planning thread ended.');
        reject(error);
        this.#fail(error);
      });
    });
  }

  plan(query: string, on: string[], signal: AbortSignal): Promise<QueryPlan> {
    const id = (this.#next += 1);
    return new Promise((resolve, reject) => {
      // A synchronous planner cannot be interrupted, only ended; everybody who waits for it is told.
      const abandon = () => {
        this.#waiting.delete(id);
        reject(signal.reason as Error);
        void this.end();
      };
      signal.addEventListener('abort', abandon, { once: true });
      const settled = () => {
        signal.removeEventListener('abort', abandon);
        // An idle planner keeps no process alive.
        if (this.#waiting.size === 0) this.#worker.unref();
      };
      this.#waiting.set(id, {
        resolve: (plan) => (settled(), resolve(plan)),
        reject: (error) => (settled(), reject(error)),
      });
      this.#worker.ref();
      this.#worker.postMessage({ id, query, on });
    });
  }

  async end(): Promise<void> {
    this.ended = true;
    await this.#worker.terminate();
  }

  #fail(error: Error): void {
    this.ended = true;
    for (const waiting of this.#waiting.values()) waiting.reject(error);
    this.#waiting.clear();
  }
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
      const fetch = {
        subgraph: node.serviceName,
        operation: node.operation,
        variables: (node.variableUsages ?? []).filter((name) => !contextual.has(name)),
      };
      const outputRewrites = (node.outputRewrites ?? []).map(rewriteOf);
      if (!node.requires) {
        return {
          kind: 'root',
          ...fetch,
          operationKind: node.operationKind === 'mutation' ? 'mutation' : 'query',
          path: [],
          outputRewrites,
        };
      }
      return {
        kind: 'entities',
        ...fetch,
        entities: [
          {
            alias: '_entities',
            variable: 'representations',
            paths: [[]],
            requires: node.requires.map(requiredOf),
            inputRewrites: (node.inputRewrites ?? []).map(rewriteOf),
            outputRewrites,
            contextRewrites: (node.contextRewrites ?? []).map((rewrite): ContextRewrite => {
              const up = rewrite.path.filter((step) => step === '..').length;
              return { up, path: rewrite.path.slice(up).map(rewriteStepOf), variable: rewrite.renameKeyTo };
            }),
          },
        ],
      };
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
