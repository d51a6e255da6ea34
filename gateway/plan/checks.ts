import type { Supergraph } from '../supergraph/supergraph.js';
import { completePlan } from './complete-plan.js';
import { Coverage } from './coverage.js';
import { isLabelOn } from './override-labels.js';
import { plainPlan } from './plain-plan.js';
import type { Plan } from './plan.js';
import type { Asked } from './planner.js';

export interface Checked {
  readonly plan: Plan;
  /** What it leaves out, or asks wrongly. */
  readonly left: ReadonlySet<string>;
}

export interface Found {
  /** What the plan leaves out as it came. */
  readonly left: ReadonlySet<string>;
  /** The plan with what could be put back in. */
  readonly whole: Checked;
}

/**
 * Looks plans of one supergraph over, and makes one by the rules alone. Up to hundreds of milliseconds for the largest operations, so who
 * calls this has a thread to spare (checking-worker.ts).
 */
export class Checks {
  readonly #supergraph: Supergraph;
  readonly #coverage: Coverage;
  readonly #roots: { readonly query: string; readonly mutation: string | undefined };

  constructor(supergraph: Supergraph) {
    const { schema } = supergraph;
    this.#supergraph = supergraph;
    this.#coverage = Coverage.of(supergraph);
    this.#roots = { query: schema.getQueryType()!.name, mutation: schema.getMutationType()?.name };
  }

  /** Throws when an operation of the plan cannot be read. */
  check(asked: Asked, plan: Plan): Found {
    const left = this.#left(asked, plan);
    const whole = completePlan(plan, this.#supergraph.schema, this.#coverage.joins, asked, left);
    return { left, whole: whole === plan || left.size === 0 ? { plan: whole, left } : this.#checked(asked, whole) };
  }

  /** Throws when by the rules alone there is none. */
  planPlainly(asked: Asked): Checked {
    const plan = plainPlan(this.#coverage.joins, this.#roots, asked, (label) => isLabelOn(label, asked));
    return this.#checked(asked, plan);
  }

  #checked(asked: Asked, plan: Plan): Checked {
    return { plan, left: this.#left(asked, plan) };
  }

  #left(asked: Asked, plan: Plan): ReadonlySet<string> {
    return this.#coverage.uncovered(asked.query, asked.kind, plan, (label) => isLabelOn(label, asked));
  }
}
