import { expect } from '@jest/globals';
import { grantsOf } from '../../gateway/authorization/grants.js';
import { coerceVariables } from '../../gateway/http/variables.js';
import { printPlan } from '../../gateway/plan/print-plan.js';
import type { TributaryEngine } from '../../gateway/run/engine.js';
import { operationOf, type Asked, type AskOptions, type Federation } from './harness.js';

export interface Expected {
  readonly variables?: Record<string, unknown>;
  readonly claims?: Record<string, unknown>;
  readonly data: unknown;
  /** Paths of the errors, in any order. */
  readonly errors?: readonly string[];
  /**
   * What the stock engine is known to do with it: it answers otherwise, or does not answer. By default it must agree. That it still does so
   * is asserted, too: the case is kept because of it. `tells`, `elsewhere`: it has the same data, and more errors, or the same number of
   * them at other places: where an entity is not there, our door makes errors of what it says in `extensions.valueCompletion`.
   */
  readonly stock?: 'wrong' | 'refuses' | 'tells' | 'elsewhere';
  /** @theguild/federation-composition does not compose this graph; by default it does, and its supergraph answers alike. */
  readonly guild?: 'refuses';
  /** A planner that is known to plan it wrongly. */
  readonly not?: 'native' | 'apollo';
}

/** The same question by each planner, with and without the planner's batches, and by the stock engine: the same answer. */
export async function everyWay(graph: Federation, query: string, expected: Expected): Promise<void> {
  const ways: AskOptions[] = [{ merge: 'flow' }, { merge: 'plan' }];
  if (expected.not !== 'native') ways.push({ planner: 'native' });
  if (expected.not !== 'apollo') ways.push({ planner: 'apollo' });
  if (expected.guild !== 'refuses') ways.push({ composer: 'guild' });
  if (!expected.stock) ways.push({ engine: 'apollo' });
  const { variables, claims, data, errors = [] } = expected;
  const right = { data, errors: [...errors].sort() };
  const ask = (way: AskOptions) =>
    graph.ask(query, { ...way, ...(variables && { variables }), ...(claims && { claims }) });
  for (const way of ways) expect({ way, ...seen(await ask(way)) }).toEqual({ way, ...right });
  if (!expected.stock) return;
  const stock = await ask({ engine: 'apollo' }).then(seen, () => 'refuses' as const);
  if (expected.stock === 'refuses') expect(stock).toBe('refuses');
  else {
    expect(stock).not.toBe('refuses');
    expect(stock).not.toEqual(right);
    if (expected.stock === 'wrong' || stock === 'refuses') return;
    expect(stock.data).toEqual(data);
    if (expected.stock === 'tells') expect(stock.errors.length).toBeGreaterThan(errors.length);
    else expect(stock.errors).toHaveLength(errors.length);
  }
}

function seen({ data, errors = [] }: Asked): { data: unknown; errors: string[] } {
  const paths = errors.map(({ path }) => path.join('.')).sort();
  return { data, errors: paths };
}

/** The plan as text, to read in a test. */
export async function planOf(graph: Federation, query: string, options: AskOptions = {}): Promise<string> {
  const engine = (await graph.engine(options)) as TributaryEngine;
  const { schema } = graph.supergraph;
  const operation = operationOf(schema, query);
  const variables = coerceVariables(schema, operation, options.variables ?? {}, false);
  const denial = await engine.authorization?.deny(operation, options.claims && grantsOf(options.claims));
  const { overrideLabels = [], random = () => 1 } = options;
  const overrides = { labels: overrideLabels, percent: random() * 100 };
  return printPlan(await engine.plans.plan(engine.normalOf(operation, variables, denial), overrides));
}
