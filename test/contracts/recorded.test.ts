import { beforeAll, describe, expect, it } from '@jest/globals';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ROOT } from '../../commands/root.js';
import { OPERATIONS } from './operations.js';
import { committedRecordings, RECORDED } from './recording.js';
import { record } from './recorder.js';

/** RECORD=1 writes the files anew; what changed shows in review. */
const rewrites = process.env['RECORD'] === '1';

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
    expect(Object.fromEntries(await committedRecordings())).toEqual(Object.fromEntries(fresh));
  });

  it('is recorded for every example', async () => {
    const examples = (await readdir(join(ROOT, 'examples'))).filter((file) => file.endsWith('.graphql')).sort();
    const recorded = Object.values(OPERATIONS).map(({ example }) => `${example}.graphql`);
    expect([...new Set(recorded)].sort()).toEqual(examples);
  });
});
