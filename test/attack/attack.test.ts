import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ASSERTION_HEADER, AssertionSigner } from '#libs/identity';
import { createServer } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { GUARDED } from '../federation/guarded.js';
import { SEED } from '../seed.js';
import { startFixtures, type TinySubgraph } from '../tiny/tiny-graph.js';
import { bearer, JSON_TYPE, query, type Attack, type Cast, type Message } from './attack.js';
import { fuzz } from './fuzz.js';
import { hearing } from './heard.js';
import { wrongInLine } from './log.js';
import { startNaive, startNaiveCache } from './naive.js';
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

// E last: one of them waits until a crowd that is under way beside all others has gone.
describe.each(['A', 'B', 'C', 'D', 'F', 'G', 'H', 'S', 'X', 'E'])('attacks %s', (letter) => {
  it.each(named(letter))('%s', async (_name, row) => {
    expect((await attack(row, programs, LOOSE)).violations).toEqual([]);
  });
});

describe('what nobody has thought of (R5)', () => {
  it('a thousand requests that were changed by chance are answered as all others are, and so is whoever comes next', async () => {
    const fuzzed = await fuzz(programs, { count: 1_000, seed: SEED }, LOOSE);
    expect(fuzzed.violations).toEqual([]);
    expect([fuzzed.count, [...fuzzed.statuses.keys()]]).toEqual([1_000, expect.arrayContaining([200, 400])]);
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

describe('control: the same rows against who does not look who asks', () => {
  const rowsOf = (id: string, what: RegExp): Attack[] => ATTACKS.filter((row) => row.id === id && what.test(row.what));
  /** What is found when somebody else stands where they are sent to. */
  const foundBy = async (rows: readonly Attack[], instead: string, state = programs.state): Promise<string[][]> => {
    const found: string[][] = [];
    for (const row of rows) {
      const others = { ...programs, state, urls: { ...programs.urls, [row.to]: instead } };
      found.push([...(await attack(row, others, undefined)).violations]);
    }
    return found;
  };

  it.each([
    ['answers', 'S18', /^nobody, after two|one who may see less|what is for a group/, 3],
    ['answers', 'S19', /two hundred people|addresses? of four/, 1],
    ['calls', 'S19', /two hundred people|equal mutations/, 2],
  ] as const)('a cache that keeps %s by what is asked is found by %s', async (keeps, id, what, count) => {
    const rows = rowsOf(id, what).filter(({ to }) => to === 'private');
    const cache = await startNaiveCache(programs.urls.private, keeps);
    const found = await foundBy(rows, cache.url);
    cache.close();
    expect(found).toHaveLength(count);
    for (const violations of found)
      expect(violations.join()).toMatch(/was told|does not say|twenty mutations were \d+\b/);
  });

  it('a gateway that takes every token is found by F13 and F18', async () => {
    const naive = await startNaive();
    const forged: Message = { headers: bearer('a.b.c'), body: query('{me{name}}') };
    const rows = [...rowsOf('F13', /revoked/), ...rowsOf('F18', /not published yet|withdrawn/)].map(
      ({ id, what, to, come }): Attack => ({ id, what, to, come, send: forged }),
    );
    const found = await foundBy(rows, naive.url);
    await naive.close();
    expect(found).toHaveLength(3);
    for (const violations of found) expect(violations).toContainEqual(expect.stringMatching(/^status 200, not 401/));
  });

  it('a service that nobody guards is found by S23', async () => {
    const { subgraphs } = await startFixtures({ people: GUARDED['people']! });
    const rows = rowsOf('S23', /^email (?!in the second).*, by nobody$/).map((row): Attack => {
      const { body } = row.send as Message;
      return { ...row, send: { body: (body as string).replace('rank ', 'rank:__typename ') } };
    });
    const found = await foundBy(rows, subgraphs[0]!.url);
    await subgraphs[0]!.close();
    expect(found.length).toBeGreaterThan(5);
    for (const violations of found) expect(violations).toContainEqual(expect.stringMatching(/^it says .*example/));
  });

  it('passwords that are kept cheaply, and a log-in that says who is there, are found by S21', async () => {
    const cheap = async (how: Parameters<Programs['state']>[0]): ReturnType<Programs['state']> => ({
      ...(await programs.state(how)),
      passwords: ['$argon2id$v=19$m=4096,t=1,p=1$'],
    });
    const [kept] = await foundBy(rowsOf('S21', /as they are kept/), programs.urls.social, cheap);
    expect(kept).toContain('passwords are kept as $argon2id$v=19$m=4096,t=1,p=1$');

    const telling = await startTelling();
    const [alike] = await foundBy(rowsOf('S21', /and then that of nobody/), telling.url);
    // How long it takes counts where it is asked how long things take.
    const [timed] = rowsOf('S21', /by turns/) as [Attack];
    const others = { ...programs, urls: { ...programs.urls, social: telling.url } };
    const patient = { ms: Infinity, nextMs: Infinity, blockedMs: Infinity, own: true };
    const { violations } = await attack(timed, others, patient);
    telling.close();
    expect(alike).toContainEqual(expect.stringMatching(/UNAUTHENTICATED.* and .*NOT_FOUND/));
    expect(violations).toEqual([expect.stringMatching(/^who is there takes \d+\.\d+ times as long/)]);
  });
});

/** Says who is there, and takes its time for nobody else: people who are there are called carol, or there_1. */
async function startTelling(): Promise<{ url: string; close: () => void }> {
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      const there = /"(carol|there_\d+)"/.exec(body)?.[1];
      const code = there === undefined ? 'NOT_FOUND' : 'UNAUTHENTICATED';
      const refused = { errors: [{ message: 'no', path: ['logIn'], extensions: { code } }], data: { logIn: null } };
      const answer = body.includes('signUp') ? { data: { signUp: { user: { handle: there } } } } : refused;
      response.writeHead(200, { 'content-type': 'application/json; charset=utf-8' });
      setTimeout(() => response.end(JSON.stringify(answer)), there === undefined ? 0 : 300);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`,
    close: () => server.close().closeAllConnections(),
  };
}

describe('what is looked at beside the answers', () => {
  it('a socket that leads to another machine (control: to this one)', async () => {
    await programs.state();
    for (const [host, wrong] of [
      ['127.0.0.1', []],
      ['203.0.113.1', ['a socket was opened to 203.0.113.1']],
    ] as const) {
      const socket = connect(9, host).on('error', () => {});
      socket.destroy();
      expect((await programs.state({ beside: true })).wrong).toEqual(wrong);
    }
  });

  it('what a service hears of a client that the gateway was not to pass on (control: what the gateway says)', () => {
    const calls: TinySubgraph['calls'] = [];
    const heard = hearing([{ calls } as unknown as TinySubgraph]);
    calls.push({ headers: { host: 'x', 'content-type': 'application/json', 'tributary-assertion': 'e30' }, body: '' });
    expect(heard()).toEqual([]);
    calls.push({ headers: { 'x-user-id': '1' }, body: '' }, { headers: { 'tributary-client': 'forged' }, body: '' });
    expect(heard()).toEqual(['a service heard x-user-id: 1', 'a service heard tributary-client: forged']);
    expect(heard()).toEqual([]);
  });

  it('no statement of users that its gateway brings about by itself, when it asks which log-ins have ended', async () => {
    // The others may still hear of what was done before.
    const ofUsers = async () => (await programs.state({ beside: true })).statements['users']!;
    // Of several times: in one of them may come what users itself looks for every half minute.
    let fewest = Infinity;
    for (let tries = 0; tries < 5 && fewest > 0; tries += 1) {
      const before = await ofUsers();
      // Twice as long as it waits between two times that it asks.
      await new Promise((go) => setTimeout(go, 1_000));
      fewest = Math.min(fewest, (await ofUsers()) - before);
    }
    expect(fewest).toBe(0);
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
