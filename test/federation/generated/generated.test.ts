import { describe, expect, it } from '@jest/globals';
import { conform, wrongOf, type Case } from './conform.js';
import { tell } from './tell.js';

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
