import { beforeAll, describe, expect, it } from '@jest/globals';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ROOT } from '../../commands/root.js';
import { apart } from './apart.js';
import { OPERATIONS } from './operations.js';
import { committedRecordings, RECORDED } from './recording.js';
import { record } from './recorder.js';

/** RECORD=1 writes the files anew; what changed shows in review. */
const rewrites = process.env['RECORD'] === '1';

const askedIn = (files: Map<string, string>) =>
  Object.fromEntries([...files].map(([file, text]) => [file, apart(text)]));

let fresh: Map<string, string>;
beforeAll(async () => {
  fresh = await record();
  if (!rewrites) return;
  await rm(RECORDED, { recursive: true, force: true });
  for (const [file, text] of fresh) {
    await mkdir(dirname(RECORDED + file), { recursive: true });
    await writeFile(`${RECORDED + file}.json`, text);
  }
}, 180_000);

describe('what the gateway sends to each service', () => {
  it('is what is recorded; if not, RECORD=1 npm test -- test/contracts/recorded records it, and the services are asked for it', async () => {
    expect(askedIn(await committedRecordings())).toEqual(askedIn(fresh));
  });

  it('is the same whichever of it goes together; control: with one field less it is not', () => {
    const call = (query: string, variables: object, data: object) => [
      { sentBy: ['tributary'], subject: null, query, variables, answer: { data } },
    ];
    const one = call(
      'query($representations:[_Any!]!){_entities(representations:$representations){...on A{a}}}',
      { representations: [1] },
      { _entities: [{ a: 1 }] },
    );
    const two = call(
      'query($representations:[_Any!]!,$n:Int){_entities(representations:$representations){...on B{b(n:$n)}}}',
      { representations: [2], n: 3 },
      { _entities: [{ b: 2 }] },
    );
    const both = (fields: string) =>
      call(
        `query($_r0:[_Any!]!,$_r1:[_Any!]!,$n:Int){_e0:_entities(representations:$_r0){...on A{${fields}}}_e1:_entities(representations:$_r1){...on B{b(n:$n)}}}`,
        { _r0: [1], _r1: [2], n: 3 },
        { _e0: [{ a: 1 }], _e1: [{ b: 2 }] },
      );
    const told = (calls: object[]) => apart(JSON.stringify(calls));
    expect(told(both('a'))).toEqual(told([...two, ...one]));
    expect(told(both('c'))).not.toEqual(told([...two, ...one]));
  });

  it('is recorded for every example', async () => {
    const examples = (await readdir(join(ROOT, 'examples'))).filter((file) => file.endsWith('.graphql')).sort();
    const recorded = Object.values(OPERATIONS).map(({ example }) => `${example}.graphql`);
    expect([...new Set(recorded)].sort()).toEqual(examples);
  });
});
