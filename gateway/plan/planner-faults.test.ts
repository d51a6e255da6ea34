import { afterAll, describe, expect, it } from '@jest/globals';
import { federate, operationOf, type Federation } from '../../test/federation/harness.js';
import type { TributaryEngine } from '../run/engine.js';
import { Coverage } from './coverage.js';
import type { Plan } from './plan.js';
import { SeveralKeys } from './several-keys.js';

/** Two keys where something is required, of which only one is known where the query begins. */
const shop = federate({
  ant: {
    sdl: `type Shop @key(fields: "id") @key(fields: "code") { id: ID! code: ID! open: Boolean @external hours: String @requires(fields: "open") town: String }`,
    resolvers: {
      Shop: {
        __resolveReference: (shop: object) => shop,
        hours: ({ open }: { open?: boolean }) => (open === true ? '9 to 5' : `closed: ${String(open)}`),
        town: () => 'Delft',
      },
    },
  },
  bee: {
    sdl: `type Query { shop: Shop } type Shop @key(fields: "id") { id: ID! open: Boolean }`,
    resolvers: { Query: { shop: () => ({ id: '1' }) }, Shop: { open: () => true } },
  },
});
afterAll(() => shop.close());

const provided = federate({
  ant: {
    sdl: `type Query { shop: Shop near: Shop @provides(fields: "open") } type Shop @key(fields: "id") { id: ID! open: Boolean @external hours: String @requires(fields: "open") }`,
  },
  bee: { sdl: `type Shop @key(fields: "id") { id: ID! open: Boolean @shareable }` },
});

const faults = ({ supergraph }: Federation, query: string, operation: string) => {
  const plan: Plan = {
    root: {
      kind: 'root',
      subgraph: 'ant',
      operationKind: 'query',
      operation,
      variables: [],
      path: [],
      outputRewrites: [],
    },
  };
  return [...new Coverage(supergraph).uncovered(query, 'query', plan)];
};

describe('a @requires beside several keys', () => {
  it('is planned by Apollo’s planner in two calls, and everything else natively', async () => {
    const severalKeys = new SeveralKeys(shop.supergraph);
    expect(severalKeys.concern('{shop{hours}}')).toBe(true);
    expect(severalKeys.concern('{shop{town open}}')).toBe(false);
    const { data, calls } = await shop.ask('{ shop { hours town } }');
    expect(data).toEqual({ shop: { hours: '9 to 5', town: 'Delft' } });
    expect(calls.map(({ subgraph }) => subgraph)).toEqual(['bee', 'ant']);
  });

  it('control: the native planner alone makes no plan of it', async () => {
    await expect(shop.ask('{ shop { hours } }', { planner: 'native' })).rejects.toMatchObject({
      code: 'INTERNAL_SERVER_ERROR',
    });
    const engine = (await shop.engine()) as TributaryEngine;
    const normal = engine.normalOf(operationOf(shop.supergraph.schema, '{ shop { hours } }'), {});
    expect(await engine.plans.plan(normal, { labels: [], percent: 100 })).toMatchObject({ root: { kind: 'sequence' } });
  });
});

describe('a plan that asks a subgraph for what it only knows by name', () => {
  it('is found', () => {
    expect(faults(provided, '{shop{open}}', '{shop{open}}')).toEqual(['ant: Shop.open']);
  });

  it('not where it is provided on the way', () => {
    expect(faults(provided, '{near{open}}', '{near{open}}')).toEqual([]);
  });
});
