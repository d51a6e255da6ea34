import { describe, expect, it } from '@jest/globals';
import { coerceVariables } from '../../../gateway/http/variables.js';
import { holesOf, silentHolesOf } from './compare.js';
import { conform, differences, operationOf, questionOf, wrongOf, type Case } from './conform.js';
import { tell } from './tell.js';
import { CALM } from './values.js';
import { modelOf, World, type Way } from './world.js';

/** World, operation, and after how many fields it goes no deeper. Each was once answered wrongly, for its planners' plan is wrong. */
const KEPT: [string, number, number, number][] = [
  ['what is required requires something itself, and the entity comes from where that is external', 4, 18, 3],
  ['the same, while a field fails', 4, 72, 3],
  ['two such requirements', 4, 93, 3],
  ['such a requirement on an entity below an entity', 7, 14, 3],
  ['a field that requires is asked where the entity comes from, without what it requires', 110, 4, 4],
  ['the same after a mutation', 110, 20, 4],
  ['two fields of one subgraph require one field with different arguments', 104, 15, 4],
  ['the same beside other requirements', 129, 15, 4],
  ['the same under an alias', 129, 19, 4],
  ['the same after a mutation, where an interface has a member only elsewhere', 1016, 11, 5],
  ['an object is asked for without anything of it', 1069, 20, 5],
];

describe('a plan that was wrong', () => {
  it.each(KEPT)('%s: is mended (control: unchecked, somebody’s answer is wrong)', async (_name, seed, nth, fields) => {
    const { model, sdl } = modelOf(seed);
    for (const unchecked of [false, true]) {
      const world = new World(model, sdl, { unchecked });
      const { question, moment } = questionOf(world, seed, nth, fields);
      const found = await differences(world, question, moment, ['default', 'apollo', 'native']);
      await world.close();
      const wrong = found.filter(({ verdict }) => verdict !== 'right').map(({ way }) => way);
      if (unchecked) expect(wrong).not.toEqual([]);
      else expect(wrong).toEqual([]);
    }
  });
});

/** Of what `npm run conform` found @apollo/gateway to answer wrongly (results.md), one of each kind. */
const WRONG_IN_STOCK: [string, number, number][] = [
  ['what a requirement requires is asked of a subgraph that knows it by name only', 4, 18],
  ['a fragment within fragments of an interface, where nobody asks what the object is', 6, 0],
  ['one field with two arguments in one fetch: the client’s, and the one that is required', 6, 8],
  ['a list of lists of objects, which is required, arrives as nulls', 11, 0],
  ['fields of a type behind an @interfaceObject, in two fragments', 12, 8],
  ['the type of what an @interfaceObject’s list holds', 16, 25],
  ['a field beside one that is skipped, in fragments of interfaces', 21, 8],
  ['a field that requires is asked right after a mutation, without what it requires', 21, 17],
  ['a list of lists that two subgraphs give together', 24, 2],
];

describe('what ApolloGateway answers otherwise than graphql-js over the whole schema', () => {
  it.each(WRONG_IN_STOCK)('%s: ours is right (control: the stock one is wrong)', async (_name, seed, nth) => {
    const { model, sdl } = modelOf(seed);
    const world = new World(model, sdl);
    const { question, moment } = questionOf(world, seed, nth, 3);
    const found = await differences(world, question, moment, ['default', 'stock']);
    await world.close();
    expect(found.map(({ way, verdict }) => [way, verdict])).toEqual([
      ['default', 'right'],
      ['stock', 'wrong'],
    ]);
  });
});

/** Worlds in which a subgraph does not know every instance of what it says things about that have to be there. */
const FORGETFUL = [109, 151, 154, 188];

describe('whom a subgraph does not know', () => {
  it('is null, with an error where that may not be and none where it may (control: the stock engine’s door tells of both)', async () => {
    const ways = ['default', 'batches', 'apollo', 'stock'] as const;
    const wrongly = new Map<Way, number>(ways.map((way) => [way, 0]));
    let [silent, told] = [0, 0];
    for (const seed of FORGETFUL) {
      const { model, sdl } = modelOf(seed, true);
      const world = new World(model, sdl);
      for (let nth = 0; nth < 100; nth += 1) {
        const { question } = questionOf(world, seed, nth, 6);
        const operation = operationOf(question.document);
        const variables = coerceVariables(world.supergraph.schema, operation, question.variables, false);
        const truth = await world.truth(operation, variables, CALM);
        if (truth.unknown === undefined) continue;
        const holes = silentHolesOf(truth);
        silent += holes.length;
        told += holesOf(truth).length - holes.length;
        for (const { way, why, came } of await differences(world, question, CALM, ways)) {
          expect([seed, nth, way, why]).toEqual([seed, nth, way, undefined]);
          // Who gives by itself what it does not know tells an error of its own, which is passed on; the gateway adds none.
          const ours = came.errors.filter((_, index) => came.messages[index]!.endsWith('was unusable.'));
          const more = holesOf({ ...came, errors: ours }).filter((hole) => holes.includes(hole));
          wrongly.set(way, wrongly.get(way)! + more.length);
        }
      }
      await world.close();
    }
    expect([...wrongly]).toEqual([...ways.slice(0, 3).map((way) => [way, 0]), ['stock', expect.any(Number)]]);
    for (const count of [wrongly.get('stock'), silent, told]) expect(count).toBeGreaterThan(0);
  });
});

describe('an engine that is wrong', () => {
  it.each<[string, (text: string) => string]>([
    ['a value is another one', (text) => text.replace(/"id":"(\w+)-\d"/, '"id":"$1-9"')],
    ['an error is missing', (text) => text.replace(/^\{"errors":\[.*\],"data"/, '{"data"')],
    ['a field is missing', (text) => text.replace(/,"[a-z]\d+":null/, '')],
  ])('control: is found within 100 operations: %s', async (_what, spoil) => {
    const result = await conform({
      operations: 100,
      perWorld: 25,
      fields: 3,
      seed: 1,
      ways: ['default'],
      untilWrong: true,
      tampering: {
        engine: (engine) => ({
          about: engine.about,
          close: () => engine.close(),
          async execute(...asked) {
            const answer = await engine.execute(...asked);
            return { ...answer, body: spoil(answer.body.toString()) };
          },
        }),
      },
    });
    expect(wrongOf(result)).toBeGreaterThan(0);
    const [found] = result.cases.filter((one: Case) => one.verdict === 'wrong');
    expect(tell(found!)).toContain('# graphql-js over the whole schema');
  });
});
