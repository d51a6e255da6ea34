import { setTimeout as sleep } from 'node:timers/promises';
import { LISTENERS, type EventSource } from '#libs/events';
import { startFaultProxy, type FaultProxy } from '../../test/servers/fault-proxy.js';
import { startRedisCluster, startWatchedRedis, tell, withClient, type RedisServer } from '../../test/servers/redis.js';
import { underWay } from './checker.js';
import type { Fault, Scene } from './fault.js';
import { restarted } from './restarted.js';
import { until } from './until.js';

/** Several Redis of which one replaces another by itself. */
interface Group {
  /** As operators write it: REDIS_URL. */
  readonly url: string;
  /** Where the streams are, and who follows it. */
  readonly primary: RedisServer;
  readonly replica: RedisServer;
  stop(): Promise<void>;
}

interface Watched extends Group {
  /** By which everybody knows the primary. */
  readonly door: FaultProxy;
  readonly sentinels: readonly number[];
}

const SOURCES = Object.keys(LISTENERS) as EventSource[];
const streamOf = (source: EventSource): string => `tributary:{events}:${source}`;
/** What Sentinels and replicas say first, and no client of ours. */
const THE_GROUP = /sentinel-|replconf|psync/i;

/**
 * All programs are on a group of Redis, with their entity cache. What its primary took last never came to the replica, and was heard by
 * nobody: it is lost with the primary, acknowledged as it was, and has to come again from the outboxes (I5).
 */
export const REDIS_GROUPS: readonly Fault[] = [
  onGroup(
    'FR7-sentinel',
    'the primary that Sentinels watch is killed (-9), with events that only it has; its replica is promoted',
    watched,
    killed,
  ),
  onGroup(
    'FR7-parted',
    'the primary is parted from Sentinels and replica, not from clients; a second is promoted; the first comes back',
    watched,
    parted,
  ),
  onGroup(
    'FR7-cluster',
    'the primary of a Cluster that has the streams is killed (-9), with events that only it has; its replica is promoted',
    clustered,
    killed,
  ),
  {
    ...onGroup(
      'control-FR7',
      'as FR7-sentinel, but the replica says that it has all of the streams: what was lost is missed by nobody, which has to be found',
      watched,
      async (group, ms) => killed(group, ms, copyMarks),
    ),
    control: true,
  },
];

function onGroup<G extends Group>(
  id: string,
  says: string,
  startGroup: () => Promise<G>,
  strike: (group: G, ms: number) => Promise<number>,
): Fault {
  let group: G;
  const on = async ({ town, databases }: Scene, settings: Readonly<Record<string, string>>): Promise<void> => {
    await restarted(town, settings);
    await until('all that the outboxes have is heard', async () => (await underWay(databases)) === 0);
  };
  return {
    id,
    says,
    unnoticed: true,
    async prepare(scene) {
      group = await startGroup();
      await on(scene, { REDIS_URL: group.url, ENTITY_CACHE: 'on' });
      // It was empty, and got all once more: before that is over nothing can be lost of it.
      const streams = SOURCES.map(streamOf).join(' ');
      await until('all streams are there', async () =>
        (await tell(group.primary.port, `EXISTS ${streams}`)).startsWith(`:${SOURCES.length}`),
      );
      await until('all is heard again', async () => (await underWay(scene.databases)) === 0);
    },
    async strike({ ms }) {
      const lost = await strike(group, ms);
      process.stderr.write(`${id}: ${lost} events were lost that Redis had acknowledged, and that nobody had heard\n`);
      if (lost === 0) throw new Error('nothing was lost with the primary, so it did not come about');
    },
    async tidy(scene) {
      await on(scene, {});
      await group.stop();
    },
  };
}

/** How many events were lost. `before`: the last that is done while both are there. */
async function killed({ primary, replica }: Group, ms: number, before?: typeof copyMarks): Promise<number> {
  const last = await cutOff(primary, replica);
  await sleep(ms);
  await before?.(primary, replica);
  const lost = await only(primary, last);
  process.kill(primary.pid, 'SIGKILL');
  await promoted(replica);
  return lost;
}

async function parted({ primary, replica, door, sentinels }: Watched, ms: number): Promise<number> {
  const last = await cutOff(primary, replica);
  door.set({ parts: THE_GROUP });
  await promoted(replica);
  for (const port of sentinels)
    await until('all Sentinels name another primary', async () => {
      const named = await tell(port, 'SENTINEL GET-MASTER-ADDR-BY-NAME watched');
      return !named.includes(String(door.port));
    });
  await until('nobody is connected to the primary of before', async () => door.connections() === 0);
  const lost = await only(primary, last);
  await sleep(ms);
  const later = (await only(primary, last)) - lost;
  if (later > 0) throw new Error(`the primary of before was given ${later} events beside the one that was promoted`);
  door.set({});
  return lost;
}

/**
 * From here on nothing comes to the replica, and nobody hears anything: the groups of readers are with a process that is not there. Of
 * each stream the last entry that the replica has.
 */
async function cutOff(primary: RedisServer, replica: RedisServer): Promise<ReadonlyMap<EventSource, string>> {
  // A Redis without passwords refuses whoever comes with one.
  await tell(replica.port, 'CONFIG SET masterauth nobody');
  await tell(primary.port, 'CLIENT KILL TYPE replica');
  const last = await withClient(replica.port, async (redis) => {
    // A replica of a Cluster sends whoever asks to its primary, if they have not said that they want to ask it.
    await redis.readonly().catch(() => 'no Cluster');
    const infos = await Promise.all(
      SOURCES.map((source) => redis.xinfo('STREAM', streamOf(source)) as Promise<unknown[]>),
    );
    return new Map(infos.map((info, at) => [SOURCES[at]!, String(info[info.indexOf('last-generated-id') + 1])]));
  });
  for (const source of SOURCES)
    for (const group of LISTENERS[source])
      await tell(primary.port, `SET ${streamOf(source)}:reader:${group} nobody PX 600000`);
  return last;
}

/** How many entries of streams it has behind these. */
async function only(primary: RedisServer, last: ReadonlyMap<EventSource, string>): Promise<number> {
  const behind = await withClient(primary.port, (redis) =>
    Promise.all([...last].map(([source, id]) => redis.xrange(streamOf(source), `(${id}`, '+'))),
  );
  return behind.flat().length;
}

async function promoted(replica: RedisServer): Promise<void> {
  // A Sentinel cuts off whoever is connected to what it promotes.
  await until('the replica is promoted', async () =>
    tell(replica.port, 'INFO replication').then(
      (info) => info.includes('role:master'),
      () => false,
    ),
  );
}

/** What tells a relay that a stream has lost nothing. */
async function copyMarks(primary: RedisServer, replica: RedisServer): Promise<void> {
  // What came after it would be missed.
  await tell(primary.port, 'CLIENT PAUSE 60000 WRITE');
  await withClient(primary.port, (from) =>
    withClient(replica.port, async (to) => {
      await to.config('SET', 'replica-read-only', 'no');
      for (const key of await from.keys('tributary:{events}:*:mark*')) {
        const mark = await from.dumpBuffer(key);
        if (mark !== null) await to.restore(key, 0, mark, 'REPLACE');
      }
    }),
  );
}

async function watched(): Promise<Watched> {
  let door: FaultProxy | undefined;
  const group = await startWatchedRedis({
    sentinels: 3,
    doorOf: async (port) => (door = await startFaultProxy({ port })).port,
  });
  const stop = async (): Promise<void> => {
    await group.stop();
    await door?.close();
  };
  return { ...group, door: door!, stop };
}

async function clustered(): Promise<Group> {
  const { url, nodes, replicas, stop } = await startRedisCluster(3, { replicated: true });
  const slot = Number((await tell(nodes[0]!.port, `CLUSTER KEYSLOT ${streamOf('users')}`)).slice(1));
  // As they are shared out there.
  const at = Math.floor((slot * nodes.length) / 16_384);
  return { url, primary: nodes[at]!, replica: replicas[at]!, stop };
}
