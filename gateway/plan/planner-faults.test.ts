import { afterAll, describe, expect, it } from '@jest/globals';
import { federate, operationOf, type Federation } from '../../test/federation/harness.js';
import type { TributaryEngine } from '../run/engine.js';
import { Coverage } from './coverage.js';
import { nativePlanner } from './native-planner.js';
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

const accounts = federate({
  ant: {
    sdl: `type Query { account: Account } interface Node { id: ID! } interface Named { name: String }
      type Account implements Node @interfaceObject @key(fields: "id") { id: ID! name: String }
      type Other implements Named { name: String }`,
  },
  bee: {
    sdl: `interface Node { id: ID! } interface Account implements Node @key(fields: "id") { id: ID! }
      type User implements Account & Node @key(fields: "id") { id: ID! }`,
  },
});

const fetchOf = (subgraph: string, operation: string) => ({ subgraph, operation, variables: [] });

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
  return [...Coverage.of(supergraph).uncovered(query, 'query', plan)];
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
    const native = await nativePlanner(shop.supergraph.sdl);
    const { signal } = new AbortController();
    const asked = { query: '{shop{hours}}', kind: 'query', labels: [], percent: 100, signal } as const;
    await expect(native.plan(asked)).rejects.toThrow();
    await native.close();
    const engine = (await shop.engine()) as TributaryEngine;
    const normal = engine.normalOf(operationOf(shop.supergraph.schema, '{ shop { hours } }'), {});
    expect(await engine.plans.plan(normal, { labels: [], percent: 100 })).toMatchObject({ root: { kind: 'sequence' } });
  });

  it('is planned by the rules alone where there is no other planner', async () => {
    const { data, calls } = await shop.ask('{ shop { hours town } }', { planner: 'native' });
    expect(data).toEqual({ shop: { hours: '9 to 5', town: 'Delft' } });
    expect(calls.map(({ subgraph }) => subgraph)).toEqual(['bee', 'ant']);
  });
});

describe('a plan that asks for a field without what it requires', () => {
  const given = (read: string, asked: string): Plan => ({
    root: {
      kind: 'sequence',
      nodes: [
        {
          ...fetchOf('bee', `{shop{__typename id ${asked}}}`),
          kind: 'root',
          operationKind: 'query',
          path: [],
          outputRewrites: [],
        },
        {
          ...fetchOf('ant', 'query($r:[_Any!]!){_entities(representations:$r){...on Shop{hours}}}'),
          kind: 'entities',
          entities: [
            {
              alias: '_entities',
              variable: 'r',
              paths: [[{ kind: 'key', key: 'shop' }]],
              requires: [
                {
                  kind: 'type',
                  type: 'Shop',
                  selections: ['__typename', 'id', ...(read === '' ? [] : [read])].map((name) => ({
                    kind: 'field',
                    read: name,
                    name: name === read ? 'open' : name,
                    selections: undefined,
                  })),
                },
              ],
              inputRewrites: [],
              outputRewrites: [],
              contextRewrites: [],
            },
          ],
        },
      ],
    },
  });
  const left = (plan: Plan) => [...Coverage.of(shop.supergraph).uncovered('{shop{hours}}', 'query', plan)];

  it.each<[string, Plan, string[]]>([
    ['nothing is given', given('', ''), ['ant: Shop.hours without what it requires']],
    ['another field is given', given('x', 'x: id'), ['ant: Shop.hours without what it requires']],
    [
      'the field with other arguments is given',
      given('open', 'open(on: 1)'),
      ['ant: Shop.hours without what it requires'],
    ],
    ['control: it is given', given('open', 'open'), []],
    ['control: it is given under another key', given('x', 'x: open'), []],
  ])('%s', (_name, plan, found) => expect(left(plan)).toEqual(found));

  it('is found where the entity comes from as well', () =>
    expect(faults(provided, '{shop{hours}}', '{shop{hours}}')).toEqual(['ant: Shop.hours without what it requires']));
});

describe('a plan that asks a subgraph for what it only knows by name', () => {
  it('is found', () => {
    expect(faults(provided, '{shop{open}}', '{shop{open}}')).toEqual(['ant: Shop.open']);
  });

  it('not where it is provided on the way', () => {
    expect(faults(provided, '{near{open}}', '{near{open}}')).toEqual([]);
  });
});

describe('a fragment within an interface object', () => {
  it('fits where the interface object implements its interface', () =>
    expect(faults(accounts, '{account{id}}', '{account{...on Node{id}}}')).toEqual([]));

  it('control: does not where it implements another', () =>
    expect(faults(accounts, '{account{name}}', '{account{name ...on Named{name}}}')).toEqual([
      'ant: ...on Named within Account',
    ]));
});
