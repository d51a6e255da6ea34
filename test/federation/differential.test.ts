import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { execute, parse, validate } from 'graphql';
import { Failure } from '#libs/failure';
import { Dice, generate, question } from './generate.js';
import { federate, type Asked, type Federation } from './harness.js';

/** 400 operations by default; `DIFFERENTIAL=10000` by hand, `DIFFERENTIAL_SEED` for one graph. */
const OPERATIONS = Number(process.env['DIFFERENTIAL'] ?? 400);
const PER_GRAPH = 25;
const SEED = process.env['DIFFERENTIAL_SEED'];

interface Told {
  readonly data: unknown;
  readonly errors: readonly string[];
}

describe('generated operations over generated graphs', () => {
  it.each([
    ['all services well', false],
    ['some fields failing', true],
  ])(
    'are answered as by one service that has everything: %s',
    async (_what, failures) => {
      if (SEED !== undefined) return compare(Number(SEED), failures);
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: 0, max: 1_000_000 }), (seed) => compare(seed, failures)),
        { numRuns: Math.ceil(OPERATIONS / PER_GRAPH / 2), endOnFailure: true, seed: 20261120 },
      );
    },
    600_000,
  );
});

async function compare(seed: number, failures: boolean): Promise<void> {
  const { subgraphs, monolith } = generate(seed, failures);
  const graph = compose(subgraphs);
  if (!graph) return;
  const dice = new Dice(seed + 1);
  try {
    for (let i = 0; i < PER_GRAPH; i += 1) {
      const { query, variables } = question(monolith, dice);
      const document = parse(query);
      if (validate(monolith, document).length > 0) continue;
      const alone = await execute({ schema: monolith, document, variableValues: variables });
      const expected: Told = {
        data: JSON.parse(JSON.stringify(alone.data)) as unknown,
        errors: (alone.errors ?? []).map(({ path }) => path!.join('.')),
      };
      const asked = await graph.ask(query, { variables }).catch(refusedToPlan);
      if (!asked) continue;
      expect({ seed, query, variables, ...seen(asked) }).toEqual({ seed, query, variables, ...seen(expected) });
    }
  } finally {
    await graph.close();
  }
}

/** Some generated operations take a planner longer than it has, which is told as such: no answer is no wrong answer. */
function refusedToPlan(error: unknown): undefined {
  if (!(error instanceof Failure) || error.code !== 'GATEWAY_TIMEOUT') throw error;
}

/** Some generated parts do not compose (a field that nobody can reach); those graphs are left out, not the rest. */
function compose(subgraphs: Parameters<typeof federate>[0]): Federation | undefined {
  try {
    return federate(subgraphs);
  } catch {
    return undefined;
  }
}

/**
 * Data must be equal, and the places where an error is seen. Of errors below a place that was nulled the specification leaves
 * open which and how many are told.
 */
function seen({ data, errors = [] }: Told | Asked): Told {
  const paths = errors.map((error) => (typeof error === 'string' ? error : error.path.join('.')));
  return { data, errors: [...new Set(paths.map((path) => nulledAt(data, path)))].sort() };
}

/** The place of the answer where the null of this error is seen. */
function nulledAt(data: unknown, path: string): string {
  let value = data;
  const steps: string[] = [];
  for (const step of path.split('.')) {
    if (value === null || typeof value !== 'object') break;
    value = (value as Record<string, unknown>)[step];
    steps.push(step);
  }
  return steps.join('.');
}
