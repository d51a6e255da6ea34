import { afterAll, beforeAll, expect, it } from '@jest/globals';
import pg from 'pg';
import { silent } from '#libs/telemetry';
import { secretsFrom } from '../../commands/databases.js';
import { gatewayEnvironment } from '../../commands/everything.js';
import { readGatewayConfig } from '../../gateway/config.js';
import { startGateway, type RunningGateway } from '../../gateway/start.js';
import { cast } from '../journeys/cast.js';
import { alice, bob, carol } from '../people.js';
import { withServer } from '../servers/needs.js';
import { startWorld, type Person, type World } from '../world.js';
import { violations, type Operation, type Violation } from './history.js';
import { ownServers, type OwnServers } from './own-servers.js';

/** Redis' own number for a place apart. */
const REDIS_DATABASE = 7;
const FOLLOW = 'mutation($id: ID!) { follow(userId: $id) { id } }';
const UNFOLLOW = 'mutation($id: ID!) { unfollow(userId: $id) { id } }';
const HOME = '{ homeTimeline(first: 1) { edges { node { id } } } }';

/**
 * DESIGN §1, row 5: three clients write and read, each its own graph, through two gateways in turn, which are stopped and started
 * again in between; what posts shows of a client's follows is a copy that is always late, because its consumer is made to wait.
 * What was seen is recorded, and checked afterwards.
 */
withServer(['postgres', 'redis'], 'recorded histories of clients of two gateways', (adminUrl = '', redisUrl = '') => {
  let servers: OwnServers;
  let world: World;
  let openGateway: (engine: string) => Promise<RunningGateway>;

  beforeAll(async () => {
    servers = await ownServers(adminUrl, redisUrl, REDIS_DATABASE);
    const env = {
      ...servers.env,
      CONSISTENCY_WAIT_MS: '30000',
    };
    world = await startWorld(env);
    openGateway = async (engine) => {
      const own = { ...env, ENGINE: engine, PORT: '0', SUBGRAPH_TIMEOUT_MS: '40000', REQUEST_TIMEOUT_MS: '60000' };
      const gateway = await startGateway(
        readGatewayConfig(gatewayEnvironment(own, '', secretsFrom(servers.master), world.subgraphs)),
        { logger: silent },
      );
      await gateway.ready();
      return gateway;
    };
  }, 90_000);
  afterAll(async () => {
    await world?.close();
    await servers?.drop();
  }, 60_000);

  /** Follows somebody who has a post when the number is odd, else ends it; the timeline shows which. */
  async function record(withToken: boolean): Promise<Violation[]> {
    const people = (await cast(world, alice, bob, carol)) as Person[];
    const [author] = (await cast(world, bob)) as [Person];
    await author.ask('mutation { publishPost(input: { body: "hello" }) { id } }');
    await world.settle();
    const gateways = [await openGateway('tributary'), await openGateway('apollo')];
    const history: Operation[] = [];
    const slow = await slowConsumer(servers.postsUrl);
    try {
      for (let round = 0; round < ROUNDS; round += 1) {
        await Promise.all(people.map((who) => turn(who, author, gateways, round, history, withToken)));
        // Every other round one of the two is another process than before.
        const nth = round % 2;
        if (round % 4 < 2) {
          await gateways[nth]?.close();
          gateways[nth] = await openGateway(nth === 0 ? 'tributary' : 'apollo');
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
  async function turn(
    who: Person,
    author: Person,
    gateways: readonly RunningGateway[],
    round: number,
    history: Operation[],
    withToken: boolean,
  ): Promise<void> {
    const via = (nth: number) => gateways[(round + nth) % 2] as RunningGateway;
    const value = round + 1;
    const began = performance.now();
    await ask(via(0), who, value % 2 === 1 ? FOLLOW : UNFOLLOW, { id: author.id }, withToken);
    history.push({ client: who.id, key: who.id, kind: 'write', value, began, ended: performance.now() });
    for (let read = 1; read <= 2; read += 1) {
      const readBegan = performance.now();
      const data = await ask(via(read), who, HOME, {}, withToken);
      const { edges } = data['homeTimeline'] as { edges: unknown[] };
      // The timeline tells whether the follow is there, so the last write that fits it is what was read.
      const shown = (edges.length > 0 ? 1 : 0) === value % 2 ? value : value - 1;
      const ended = performance.now();
      history.push({ client: who.id, key: who.id, kind: 'read', value: shown, began: readBegan, ended });
    }
  }

  async function ask(
    gateway: RunningGateway,
    who: Person,
    query: string,
    variables: object,
    withToken: boolean,
  ): Promise<Record<string, unknown>> {
    const token = withToken ? tokens.get(who.id) : undefined;
    const response = await fetch(gateway.url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        authorization: `Bearer ${who.token}`,
        ...(token === undefined ? {} : { 'consistency-token': token }),
      },
      body: JSON.stringify({ query, variables }),
    });
    const answered = response.headers.get('consistency-token');
    if (answered !== null) tokens.set(who.id, answered);
    const { data, errors } = (await response.json()) as { data: Record<string, unknown>; errors?: unknown };
    expect(errors).toBeUndefined();
    return data;
  }

  it('show every client what it wrote, and never go back, with the token', async () => {
    expect(await record(true)).toEqual([]);
  }, 120_000);

  it('control: without the token the same clients are shown what is older than their writes', async () => {
    const found = await record(false);
    expect(found.map(({ guarantee }) => guarantee)).toContain('read your writes');
  }, 120_000);
});

const ROUNDS = 8;

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
