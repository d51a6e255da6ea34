import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Attack } from './attack.js';
import { wrongInLine } from './log.js';
import { startPrograms, type Programs } from './programs.js';
import { ATTACKS } from './rows.js';
import { attack, type Outcome } from './run.js';

/** The table of attacks against the programs themselves; `npm run attack` sends the same to a process of its own and takes the time. */
let programs: Programs;
const slow = new Map<Attack, Promise<Outcome>>();
beforeAll(async () => {
  programs = await startPrograms();
  for (const row of ATTACKS) if (row.slow) slow.set(row, attack(row, programs, undefined));
}, 120_000);
afterAll(() => programs.close());

const named = (letter: string) =>
  ATTACKS.filter(({ id, slow: late }) => id.startsWith(letter) && !late).map(
    (row) => [`${row.id} ${row.what} → ${row.to}`, row] as const,
  );

describe.each(['A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'S', 'X'])('attacks %s', (letter) => {
  it.each(named(letter))('%s', async (_name, row) => {
    expect((await attack(row, programs, undefined)).violations).toEqual([]);
  });
});

describe('the log of what is attacked', () => {
  it('was looked at, and of each row only what was well is passed (control)', async () => {
    expect((await programs.state()).logged).toBeGreaterThan(100);
    const line = (fields: object) => `${JSON.stringify({ level: 30, ...fields, msg: 'said' })}\n`;
    expect(wrongInLine(line({ detail: 'at node_modules/@apollo/server/dist/x.js:1:2' }))).toEqual([]);
    for (const [what, bad] of [
      ['a token', line({ bearer: programs.cast.people.alice.token })],
      ['a hash of a password', line({ parameters: ['$argon2id$v=19$m=19456'] })],
      ['a password', line({ variables: '{"i":{"password":"tributary"}}' })],
      ['an e-mail address', line({ detail: 'Failing row contains (1, alice@example.org)' })],
      ['a secret', line({ key: 's'.repeat(64) })],
      ['one line of JSON', `${line({})}${line({ level: 60 })}`],
      ['one line of JSON', 'Error: no JSON\n'],
    ] as const)
      expect([what, wrongInLine(bad, ['s'.repeat(64)])]).toEqual([what, [expect.stringContaining(what)]]);
  });
});

describe('attacks that take their time', () => {
  it.each(ATTACKS.filter((row) => row.slow).map((row) => [`${row.id} ${row.what}`, row] as const))(
    '%s',
    async (_, row) => {
      expect((await slow.get(row))?.violations).toEqual([]);
    },
  );
});
