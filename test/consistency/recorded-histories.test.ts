import { afterAll, beforeAll, expect, it } from '@jest/globals';
import pg from 'pg';
import { silent } from '#libs/telemetry';
import { secretsFrom } from '../../commands/databases.js';
import { gatewayEnvironment } from '../../commands/everything.js';
import { readGatewayConfig } from '../../gateway/config.js';
import { startGateway, type RunningGateway } from '../../gateway/start.js';
import { cast, publish } from '../journeys/cast.js';
import { alice, bob, carol, type Card } from '../people.js';
import { withServer } from '../servers/needs.js';
import { startWorld, type Person, type World } from '../world.js';
import { violations, type Operation, type Violation } from '../../commands/faults/history.js';
import { ownServers, type OwnServers } from './own-servers.js';
import { secondProcess, type SecondProcess } from './second-process.js';

/** Redis' own number for a place apart. */
const REDIS_DATABASE = 7;
/** Each round everybody writes once, and then something is another process than before. */
const ROUNDS = 7;
const WRITE = `mutation($id: ID!, $bio: String!) { follow(userId: $id) { id } editProfile(input: { bio: $bio }) { id } }`;
const READ = `query($own: String!) {
  own: userByHandle(handle: $own) { id bio }
  homeTimeline(first: ${ROUNDS}) { edges { node { body } } }
}`;
const READ_ALL = `query($own: String!, $left: String!, $right: String!) {
  own: userByHandle(handle: $own) { id bio }
  left: userByHandle(handle: $left) { id bio }
  right: userByHandle(handle: $right) { id bio }
}`;

/** What clients read, and what they say with it. */
interface Way {
  readonly what: 'what they wrote' | 'what all wrote';
  readonly token?: boolean;
  readonly monotonic?: boolean;
}

/**
 * DESIGN §1, row 5: three clients write and read, each its own graph, through three gateways in turn. Two of these keep entities in
 * a memory of their own, to which no service's drop comes, as if each drop were lost; the third is of the stock engine. They ask two
 * processes of users and of posts. Gateways, users and posts are ended and started again in between. What posts shows of a
 * client's follows is a copy that is always late, because its consumer is made to wait. What was seen is recorded, and checked afterwards.
 */
withServer(['postgres', 'redis'], 'recorded histories of clients of three gateways', (adminUrl = '', redisUrl = '') => {
  let servers: OwnServers;
  let world: World;
  /** The nth has written `post n`; following them one by one is a count that a timeline tells. */
  let authors: Person[];
  const seconds: SecondProcess[] = [];
  let openGateway: (nth: number) => Promise<RunningGateway>;

  beforeAll(async () => {
    servers = await ownServers(adminUrl, redisUrl, REDIS_DATABASE);
    const env = {
      ...servers.env,
      CONSISTENCY_WAIT_MS: '30000',
      // What one process of a service writes another may have to tell.
      RELAY_POLL_MS: '20',
      ENDED_SESSIONS_POLL_MS: '600000',
    };
    world = await startWorld(env);
    seconds.push(await secondProcess('posts', servers, env), await secondProcess('users', servers, env));
    const others = world.subgraphs.map((first) => seconds.find(({ name }) => name === first.name) ?? first);
    openGateway = async (nth) => {
      const kept = nth < 2 ? { ENGINE: 'tributary', ENTITY_CACHE: 'on', REDIS_URL: undefined } : { ENGINE: 'apollo' };
      const own = { ...env, ...kept, PORT: '0', SUBGRAPH_TIMEOUT_MS: '40000', REQUEST_TIMEOUT_MS: '60000' };
      const subgraphs = nth === 0 ? world.subgraphs : others;
      const gateway = await startGateway(
        readGatewayConfig(gatewayEnvironment(own, '', secretsFrom(servers.master), subgraphs)),
        { logger: silent },
      );
      await gateway.ready();
      return gateway;
    };
    const cards = Array.from({ length: ROUNDS }, (_, nth): Card => ({
      handle: `author${nth}`,
      displayName: 'An author',
      email: `author${nth}@example.org`,
    }));
    authors = await cast(world, ...cards);
    for (const [nth, author] of authors.entries()) await publish(author, `post ${nth + 1}`);
    await world.settle();
  });
  afterAll(async () => {
    for (const second of seconds) await second.close();
    await world?.close();
    await servers?.drop();
  });

  async function record(rounds: number, way: Way): Promise<Violation[]> {
    const people = await cast(world, alice, bob, carol);
    const gateways = await Promise.all([0, 1, 2].map((nth) => openGateway(nth)));
    const history: Operation[] = [];
    const slow = await slowConsumer(servers.postsUrl);
    try {
      for (let round = 0; round < rounds; round += 1) {
        await Promise.all(people.map((who) => turn(who, people, gateways, round, history, way)));
        if (round === rounds - 1) break;
        const restarted = round % (seconds.length + gateways.length);
        const nth = restarted - seconds.length;
        if (nth < 0) await seconds[restarted]?.restart();
        else {
          await gateways[nth]?.close();
          gateways[nth] = await openGateway(nth);
        }
      }
    } finally {
      await slow.stop();
      await Promise.all(gateways.map((gateway) => gateway.close()));
    }
    await world.settle();
    return violations(history);
  }

  const tokens = new Map<string, string>();
  /** Writes through one gateway, and reads through it and then the others. */
  async function turn(
    who: Person,
    people: readonly Person[],
    gateways: readonly RunningGateway[],
    round: number,
    history: Operation[],
    way: Way,
  ): Promise<void> {
    const via = (nth: number) => gateways[(round + nth) % gateways.length] as RunningGateway;
    const value = round + 1;
    const did = (kind: Operation['kind'], began: number, values: Readonly<Record<string, number>>): void => {
      const ended = performance.now();
      for (const [what, value] of Object.entries(values))
        history.push({ client: who.id, key: what, kind, value, began, ended });
    };
    const [left, right] = people.filter((other) => other !== who).map(({ handle }) => handle);
    const [query, asked] =
      way.what === 'what all wrote' ? [READ_ALL, { own: who.handle, left, right }] : [READ, { own: who.handle }];
    const began = performance.now();
    await ask(via(0), who, WRITE, { id: authors[round]?.id, bio: `text ${value}` }, way);
    did('write', began, { [`bio of ${who.id}`]: value, [`follows of ${who.id}`]: value });
    for (let read = 0; read < gateways.length; read += 1) {
      const readBegan = performance.now();
      did('read', readBegan, seenIn(await ask(via(read), who, query, asked, way), who.id));
    }
  }

  async function ask(
    gateway: RunningGateway,
    who: Person,
    query: string,
    variables: object,
    way: Way,
  ): Promise<Record<string, unknown>> {
    const token = way.token === true ? tokens.get(who.id) : undefined;
    const response = await fetch(gateway.url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        authorization: `Bearer ${who.token}`,
        ...(token === undefined ? {} : { 'consistency-token': token }),
        ...(way.monotonic === true ? { 'tributary-consistency': 'monotonic' } : {}),
      },
      body: JSON.stringify({ query, variables }),
    });
    const answered = response.headers.get('consistency-token');
    if (answered !== null) tokens.set(who.id, answered);
    const { data, errors } = (await response.json()) as { data: Record<string, unknown>; errors?: unknown };
    expect(errors).toBeUndefined();
    return data;
  }

  it('show every client what it wrote, and never go back behind it, with the token', async () => {
    expect(await record(ROUNDS, { what: 'what they wrote', token: true })).toEqual([]);
  }, 120_000);

  it('control: without the token the same clients are shown what is older than their writes, and go back', async () => {
    const found = new Set<string>();
    for (let tries = 0; tries < 5 && found.size < 2; tries += 1)
      for (const { guarantee } of await record(2, { what: 'what they wrote' })) found.add(guarantee);
    expect([...found].sort()).toEqual(['monotonic reads', 'read your writes']);
  }, 120_000);

  it('never go back behind what a client has read, whoever wrote it, when they ask for that', async () => {
    expect(await record(ROUNDS, { what: 'what all wrote', monotonic: true })).toEqual([]);
  }, 120_000);

  it('control: when they do not, they are shown what another has written, and then what was before', async () => {
    const others = new Set<string>();
    for (let tries = 0; tries < 5 && others.size === 0; tries += 1)
      for (const { guarantee, of } of await record(2, { what: 'what all wrote' }))
        if (of.key !== `bio of ${of.client}`) others.add(guarantee);
    expect([...others]).toEqual(['monotonic reads']);
  }, 120_000);
});

/** The last write of each kind that is shown: of the follows the last before which none is lacking. */
function seenIn(data: Record<string, unknown>, viewer: string): Record<string, number> {
  const { homeTimeline, ...profiles } = data as { homeTimeline?: Home; own: Profile; left?: Profile; right?: Profile };
  const seen = Object.fromEntries(
    Object.values(profiles).map(({ id, bio }) => [`bio of ${id}`, Number(/^text (\d+)$/.exec(bio)?.[1] ?? 0)]),
  );
  if (homeTimeline === undefined) return seen;
  const bodies = new Set(homeTimeline.edges.map(({ node }) => node.body));
  let follows = 0;
  while (bodies.has(`post ${follows + 1}`)) follows += 1;
  return { ...seen, [`follows of ${viewer}`]: follows };
}

interface Profile {
  readonly id: string;
  readonly bio: string;
}

interface Home {
  readonly edges: readonly { readonly node: { readonly body: string } }[];
}

/** Holds what the consumer of posts writes to, again and again, for a moment each time: its effects are always late. */
async function slowConsumer(url: string): Promise<{ stop(): Promise<void> }> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  let stopped = false;
  const holding = (async () => {
    while (!stopped) {
      await client.query('BEGIN');
      await client.query('LOCK TABLE follow_edges IN SHARE ROW EXCLUSIVE MODE');
      await new Promise((resolve) => setTimeout(resolve, 150));
      await client.query('COMMIT');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  })();
  return {
    async stop() {
      stopped = true;
      await holding;
      await client.end();
    },
  };
}
