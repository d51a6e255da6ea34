import { describe, expect, it } from '@jest/globals';
import { conform, OURS, wrongOf, type Case } from './conform.js';
import { shrink } from './shrink.js';
import { tell } from './tell.js';
import type { Way } from './world.js';

/** By hand: `npm run conform -- --operations 10000`, which prints a table. */
const OPERATIONS = 1_000;
const PER_WORLD = 100;

describe('a thousand generated operations over generated graphs', () => {
  it('are answered as by one service that has everything, whoever plans, and whatever fails', async () => {
    const options = { operations: OPERATIONS, perWorld: PER_WORLD, fields: 3, seed: 1, untilWrong: true };
    const result = await conform({ ...options, shrinks: 1, shrink });
    const wrong = result.cases.filter((one) => (OURS as readonly Way[]).includes(one.way) && one.verdict === 'wrong');
    expect(wrong.map(tell).join('\n')).toBe('');
    expect(wrongOf(result)).toBe(0);
    // Where both planners make a plan that the gateway finds fault with, it takes the better one and says so in the log.
    expect(result.verdicts.default['flawed plan']).toBeLessThan(OPERATIONS / 100);
    expect(result.operations).toBe(OPERATIONS);
    expect(result.failing).toBeGreaterThan(OPERATIONS / 5);
  }, 600_000);
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
