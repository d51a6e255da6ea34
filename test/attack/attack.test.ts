import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ASSERTION_HEADER, AssertionSigner } from '#libs/identity';
import { JSON_TYPE, query, type Attack, type Cast, type Message } from './attack.js';
import { SEED } from '../seed.js';
import { fuzz } from './fuzz.js';
import { wrongInLine } from './log.js';
import { startPrograms, type Programs } from './programs.js';
import { ATTACKS } from './rows.js';
import { attack, LOOSE, type Outcome } from './run.js';

/**
 * The table of attacks against the programs themselves; `npm run attack` sends the same to a process of its own and takes the time
 * more strictly. */
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
    expect((await attack(row, programs, LOOSE)).violations).toEqual([]);
  });
});

describe('what nobody has thought of (R5)', () => {
  it('two thousand requests that were changed by chance are answered as all others are, and so is whoever comes next', async () => {
    const fuzzed = await fuzz(programs, { count: 2_000, seed: SEED }, LOOSE);
    expect(fuzzed.violations).toEqual([]);
    expect([fuzzed.count, [...fuzzed.statuses.keys()]]).toEqual([2_000, expect.arrayContaining([200, 400])]);
  }, 120_000);
});

describe('what an attack may not bring about', () => {
  const asks = (to: Attack['to'], send: Attack['send']): Attack => ({
    id: 'X0',
    what: 'an ordinary question, of which it is said that it is refused',
    to,
    send,
    come: { status: 400 },
  });
  const whoIs = (handle: string): string => query(`{userByHandle(handle:"${handle}"){id}}`);

  it('control: a service of the social graph that is asked is seen, at the gateway and at its own door', async () => {
    expect((await attack(asks('social', { body: whoIs('nobody_1') }), programs, undefined)).violations).toContain(
      '1 calls of a service',
    );
    const letIn = ({ secrets }: Cast): Message => {
      const body = whoIs('nobody_2');
      const assertion = new AssertionSigner({ secrets: () => secrets.users }).sign('users', null, { body });
      return { headers: { ...JSON_TYPE, [ASSERTION_HEADER]: assertion }, body };
    };
    const ran = await attack(asks('users', letIn), programs, undefined);
    expect(ran.violations).toContainEqual(expect.stringMatching(/^[1-9]\d* SQL statements of users$/));
  });

  it('control: a loop that is blocked, and a next client who waits for it, are seen', async () => {
    const block = (): Message => {
      // Again and again, for as long as the question is on its way and its time is being taken.
      const blocks = setInterval(() => {
        for (const until = performance.now() + 50; performance.now() < until;);
      }, 1);
      setTimeout(() => clearInterval(blocks), 800);
      return { body: query('{__typename}') };
    };
    const row: Attack = { id: 'X0', what: 'a loop that is blocked', to: 'gateway', send: block, come: { status: 200 } };
    const { violations } = await attack(row, programs, { ms: 0, nextMs: 0, blockedMs: 20 });
    expect(violations).toEqual([
      expect.stringMatching(/^it was answered after \d+ ms$/),
      expect.stringMatching(/^the next one waited \d+ ms$/),
      expect.stringMatching(/^the event loop was blocked for \d+ ms$/),
    ]);
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
