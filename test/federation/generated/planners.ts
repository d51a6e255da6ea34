import { silent } from '#libs/telemetry';
import { apolloPlannerBy } from '../../../gateway/plan/apollo-planner.js';
import { nativePlanner } from '../../../gateway/plan/native-planner.js';
import type { Checking } from '../../../gateway/plan/checking.js';
import { Checks, type Found } from '../../../gateway/plan/checks.js';
import type { Plan } from '../../../gateway/plan/plan.js';
import type { Asked, Planner, Planners } from '../../../gateway/plan/planner.js';
import type { Supergraph } from '../../../gateway/supergraph/supergraph.js';

/**
 * The gateway's planners for hundreds of supergraphs in one process: each is opened once per world and asked once per operation,
 * however many engines need the plan; and Apollo's, and the checks, run here, not on a thread that would have to load them anew.
 */
export class WorldPlanners implements Planners {
  readonly #opened = new Map<Planner['name'], Promise<Planner>>();

  native = ({ sdl }: { sdl: string }) => this.#once('native', () => nativePlanner(sdl, silent, neverRests()));
  apollo = ({ sdl }: { sdl: string }) => this.#once('apollo', () => apolloHere(sdl));
  checking = checkingHere;

  async close(): Promise<void> {
    for (const planner of this.#opened.values()) await (await planner).close();
  }

  async #once(name: Planner['name'], open: () => Promise<Planner>): Promise<Planner> {
    let opened = this.#opened.get(name);
    if (!opened) {
      opened = open();
      this.#opened.set(name, opened);
    }
    const planner = await opened;
    return { ...planner, plan: remembering(planner), close: () => Promise.resolve() };
  }
}

const plans = new WeakMap<Planner, Map<string, Promise<Plan>>>();

/** A question that ended the native planner's process is not asked again either. */
function remembering(planner: Planner): Planner['plan'] {
  const known = plans.get(planner) ?? new Map<string, Promise<Plan>>();
  plans.set(planner, known);
  return (request) => {
    const key = JSON.stringify([request.query, request.labels, request.percent]);
    const plan = known.get(key) ?? planner.plan({ ...request, signal: AbortSignal.timeout(PLAN_MS) });
    known.set(key, plan);
    return plan;
  };
}

const PLAN_MS = 10_000;

/** Where whoever asks is. Four engines may get the same plan. */
export function checkingHere(supergraph: Supergraph): Checking {
  let checks: Checks | undefined;
  const here = () => (checks ??= new Checks(supergraph));
  return {
    begin: () => Promise.resolve(),
    check: async (asked, plan) => {
      const known = found.get(plan);
      if (known?.asked.query === asked.query) return known.found;
      const of = await Promise.resolve(here().check(asked, plan));
      found.set(plan, { asked, found: of });
      return of;
    },
    planPlainly: async (asked) => Promise.resolve(here().planPlainly(asked)),
    close: () => Promise.resolve(),
  };
}

const found = new WeakMap<Plan, { readonly asked: Asked; readonly found: Found }>();

async function apolloHere(sdl: string): Promise<Planner> {
  const file = new URL('../../../gateway/plan/apollo-planning.mjs', import.meta.url).href;
  const { apolloPlanning } = (await import(file)) as {
    apolloPlanning: (sdl: string) => { labels: string[]; plan(query: string, on: string[]): never };
  };
  const { labels, plan } = apolloPlanning(sdl);
  const ask = (query: string, on: string[]) => new Promise<never>((resolve) => resolve(plan(query, on)));
  return apolloPlannerBy(labels, ask, () => Promise.resolve());
}

/** A clock on which the deaths of the native planner are minutes apart. */
function neverRests(): () => number {
  let now = 0;
  return () => (now += 60_001);
}
