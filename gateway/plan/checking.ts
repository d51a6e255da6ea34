import type { Supergraph } from '../supergraph/supergraph.js';
import type { Checked, Found } from './checks.js';
import type { Plan } from './plan.js';
import type { Asked, PlanRequest } from './planner.js';
import { Thread } from './thread.js';
import { ThreadLives } from './thread-lives.js';
import { ANSWER_MS } from './while-wanted.js';

/** Whoever looks plans of one supergraph over, and makes one by the rules alone. */
export interface Checking {
  /** Resolves when whoever checks is there and knows the supergraph. */
  begin(): Promise<void>;
  check(request: PlanRequest, plan: Plan): Promise<Found>;
  planPlainly(request: PlanRequest): Promise<Checked>;
  close(): Promise<void>;
}

export interface CheckQuestion {
  readonly id: string;
  /** Told when the thread does not know the supergraph (any more). */
  readonly read?: { readonly sdl: string; readonly addresses: ReadonlyMap<string, string> };
  readonly asked?: Asked;
  /** Absent: one is to be made. */
  readonly plan?: Plan;
}

export type CheckAnswer = 'unread' | 'read' | { readonly found: Found } | { readonly plain: Checked };

/**
 * In a thread, so that the event loop that answers requests gets plans that are finished. One thread for all supergraphs of the process,
 * for it costs 18 MB and most of that is GraphQL; it ends when nobody has planned for a while, and with the last who needs it.
 */
export function checkingInThread(supergraph: Supergraph): Checking {
  const { id, sdl } = supergraph;
  const lives = enter();
  const addresses = new Map([...supergraph.subgraphs.values()].map(({ name, url }) => [name, url]));
  const found = new WeakMap<Plan, { readonly query: string; readonly of: Promise<Found> }>();

  let isRead = false;
  const ask = async (question: Omit<CheckQuestion, 'id' | 'read'>, signal: AbortSignal): Promise<CheckAnswer> => {
    let answer = await lives.ask({ id, ...question }, signal);
    if (answer === 'unread') answer = await lives.ask({ id, read: { sdl, addresses }, ...question }, signal);
    isRead = true;
    return answer;
  };
  let begun: Promise<void> | undefined;
  let closed = false;
  return {
    begin() {
      if (isRead && lives.alive) return Promise.resolve();
      const begin = async () => void (await ask({}, new AbortController().signal));
      return (begun ??= begin().finally(() => (begun = undefined)));
    },
    // A plan that two planners hand on is looked over once.
    async check(request, plan) {
      const asked = askedOf(request);
      const known = found.get(plan);
      if (known?.query === asked.query) return known.of;
      const of = ask({ asked, plan }, request.signal).then((answer) => (answer as { found: Found }).found);
      found.set(plan, { query: asked.query, of });
      return of;
    },
    async planPlainly(request) {
      return ((await ask({ asked: askedOf(request) }, request.signal)) as { plain: Checked }).plain;
    },
    async close() {
      if (closed) return;
      closed = true;
      await leave();
    },
  };
}

/** Without what no thread can be told. */
function askedOf({ query, kind, labels, percent }: PlanRequest): Asked {
  return { query, kind, labels, percent };
}

type Lives = ThreadLives<true, CheckQuestion, CheckAnswer>;

let shared: { readonly lives: Lives; users: number } | undefined;

function enter(): Lives {
  shared ??= { lives: checkingLives(), users: 0 };
  shared.users += 1;
  return shared.lives;
}

async function leave(): Promise<void> {
  const { lives } = shared!;
  shared!.users -= 1;
  if (shared!.users > 0) return;
  shared = undefined;
  await lives.end();
}

export function checkingLives(idleMs = IDLE_MS, answerMs = ANSWER_MS): Lives {
  const start = () => new Thread<true, CheckQuestion, CheckAnswer>(WORKER);
  return new ThreadLives(start, { answerMs: ({ read }) => (read ? READ_MS : answerMs), idleMs });
}

/** A thread reads no TypeScript: from the sources (tests) it is the built one. */
const WORKER = new URL(
  import.meta.url.endsWith('.ts') ? '../../dist/gateway/plan/checking-worker.js' : './checking-worker.js',
  import.meta.url,
);
/** As the native planner's process: a large supergraph takes seconds where there is little CPU, and is read again in the next life. */
const READ_MS = 30_000;
const IDLE_MS = 10_000;
