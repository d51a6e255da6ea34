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
import { ANSWER_MS, whileWanted } from './while-wanted.js';

/** Apollo's planner: pure JavaScript, so it runs everywhere; in a worker thread that is replaced when it takes too long. */
export async function apolloPlanner(
  supergraphSdl: string,
  start = PlanningThread.start,
  answerMs = ANSWER_MS,
): Promise<Planner> {
  const lives = new PlanningLives(() => start(supergraphSdl), answerMs);
  const { labels } = await lives.thread();
  return apolloPlannerBy(
    labels,
    (query, on, signal) => lives.plan(query, on, signal),
    () => lives.end(),
  );
}

/** One thread at a time, asked one question at a time: whoever waits outlives the thread that another's question ended. */
class PlanningLives {
  readonly #start: () => Promise<PlanningThread>;
  readonly #answerMs: number;
  #thread: PlanningThread | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #over = false;

  constructor(start: () => Promise<PlanningThread>, answerMs: number) {
    this.#start = start;
    this.#answerMs = answerMs;
  }

  plan(query: string, on: string[], signal: AbortSignal): Promise<QueryPlan> {
    if (this.#waiting >= WAITING_MAX)
      return Promise.reject(new Error(`${WAITING_MAX} operations wait for Apollo's planner.`));
    this.#waiting += 1;
    const planning = this.#last
      .then(async () => {
        signal.throwIfAborted();
        return (await this.thread()).plan(query, on, this.#answerMs);
      })
      .finally(() => (this.#waiting -= 1));
    this.#last = planning.catch(() => undefined);
    return whileWanted(planning, signal);
  }

  /** In turn, like all that is asked of it. */
  async thread(): Promise<PlanningThread> {
    if (this.#over) throw new Error('The planner is closed.');
    if (!this.#thread || this.#thread.ended) this.#thread = await this.#start();
    return this.#thread;
  }

  async end(): Promise<void> {
    this.#over = true;
    await this.#thread?.end();
    await this.#last;
    await this.#thread?.end();
  }
}

const WAITING_MAX = 1_000;

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

type Reply = { ready: true; labels: string[] } | { plan: QueryPlan } | { error: string };

export class PlanningThread {
  ended = false;
  labels: string[] = [];
  readonly #worker: Worker;
  readonly #ready: Promise<void>;
  #asked: { resolve(plan: QueryPlan): void; reject(error: Error): void } | undefined;

  static async start(this: void, sdl: string): Promise<PlanningThread> {
    const thread = new PlanningThread(sdl);
    await thread.#ready;
    return thread;
  }

  private constructor(sdl: string) {
    this.#worker = new Worker(new URL('./apollo-worker.mjs', import.meta.url), { workerData: { sdl } });
    this.#worker.unref();
    this.#ready = new Promise((resolve, reject) => {
      this.#worker.on('message', (reply: Reply) => {
        if ('ready' in reply) {
          this.labels = reply.labels;
          resolve();
        } else if ('plan' in reply) this.#asked?.resolve(reply.plan);
        else this.#asked?.reject(new Error(reply.error));
      });
      const gone = (error: Error) => {
        this.ended = true;
        reject(error);
        this.#asked?.reject(error);
      };
      this.#worker.on('error', gone);
      this.#worker.on('exit', () => gone(new Error('The planning thread ended.')));
    });
  }

  /** One question at a time. */
  async plan(query: string, on: string[], answerMs: number): Promise<QueryPlan> {
    if (this.ended) throw new Error('The planning thread ended.');
    // A synchronous planner cannot be interrupted, only ended.
    const late = setTimeout(() => {
      this.#asked?.reject(new Error(`Apollo's planner took longer than ${answerMs} ms.`));
      void this.end();
    }, answerMs);
    this.#worker.ref();
    try {
      return await new Promise((resolve, reject) => {
        this.#asked = { resolve, reject };
        this.#worker.postMessage({ query, on });
      });
    } finally {
      clearTimeout(late);
      this.#asked = undefined;
      // An idle planner keeps no process alive.
      this.#worker.unref();
    }
  }

  async end(): Promise<void> {
    this.ended = true;
    await this.#worker.terminate();
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
