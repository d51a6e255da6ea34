import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { LISTENERS, type EventSource } from '#libs/events';
import { openStream } from '#libs/outbox';
import { silent } from '#libs/telemetry';
import { withRedis, type Redis } from '../../test/servers/with-redis.js';
import { drawer } from '../prove/draw.js';
import { asks, signedUp, type Person } from './never-asked.js';
import type { Fault, Scene } from './fault.js';
import { SERVICES, type ServiceName, type Town } from './town.js';

/** FS: what is on the real streams, and how fast it is heard. */
export const STREAM: readonly Fault[] = [addedAgain(), poisoned(), slowConsumer()];

/** On a busy machine. */
const HEARD_MS = 30_000;
/** As libs/outbox/redis-stream.ts names it. */
export const keyOf = (source: EventSource): string => `tributary:{events}:${source}`;

/** Resolves when everybody who hears it has acknowledged this entry of a stream, and all before it. */
async function acknowledged(redis: Redis, source: EventSource, entry: string): Promise<void> {
  const until = performance.now() + HEARD_MS;
  for (const group of LISTENERS[source]) {
    while (!(await isPast(redis, keyOf(source), group, entry))) {
      if (performance.now() > until)
        throw new Error(`${group} has not come past entry ${entry} of ${source} in ${HEARD_MS / 1_000} s`);
      await sleep(20);
    }
  }
}

/** Has the group acknowledged this entry, and all before it? */
export async function isPast(redis: Redis, key: string, group: string, entry: string): Promise<boolean> {
  const groups = (await redis.xinfo('GROUPS', key)) as unknown[][];
  const facts = groups.map((one) => new Map(pairs(one))).find((one) => one.get('name') === group);
  if (facts === undefined || isBefore(String(facts.get('last-delivered-id')), entry)) return false;
  const pending = (await redis.xpending(key, group, '-', entry, 1)) as unknown[];
  return pending.length === 0;
}

function* pairs(flat: readonly unknown[]): Generator<[string, unknown]> {
  for (let at = 0; at < flat.length; at += 2) yield [String(flat[at]), flat[at + 1]];
}

function isBefore(one: string, other: string): boolean {
  const [[ms = 0, n = 0], [otherMs = 0, otherN = 0]] = [one, other].map((id) => id.split('-').map(Number)) as [
    number[],
    number[],
  ];
  return ms < otherMs || (ms === otherMs && n < otherN);
}

/** Entries that come together, out of which three copies of each are added in any order. */
const WINDOW = 50;
const COPIES = 3;
/** Of an old part of a stream. */
const OLD_MAX = 300;

/** Somebody who is followed, not followed any more and followed again, and has published and deleted: told again, nothing of it comes back. */
async function past(town: Town): Promise<void> {
  const name = randomUUID().slice(0, 6);
  const [author, reader] = await Promise.all(['a', 'r'].map((kind) => signedUp(town, `${kind}_${name}`)));
  if (!author || !reader) throw new Error('nobody signed up');
  const say = (who: Person, query: string, variables: object): Promise<Record<string, { id: string } | null>> =>
    asks(town, query, variables, who.token);
  for (const field of ['follow', 'unfollow', 'follow'])
    await say(reader, `mutation($id: ID!) { ${field}(userId: $id) { id } }`, { id: author.id });
  for (let nth = 0; nth < 3; nth += 1) {
    const publish = 'mutation($input: PublishPostInput!) { publishPost(input: $input) { id } }';
    const { publishPost } = await say(author, publish, { input: { body: `past ${name} ${nth}` } });
    if (nth === 0) await say(author, 'mutation($id: ID!) { deletePost(id: $id) { id } }', { id: publishPost!.id });
  }
}

function addedAgain(): Fault {
  const old = new Map<EventSource, string[]>();
  const seen = new Map<EventSource, string>();
  return {
    id: 'FS1',
    says: 'what is on the streams is added again, three times and in another order, and an old part of it once more',
    unnoticed: true,
    async prepare({ town }) {
      await past(town);
      await withRedis(town.redis.port, async (redis) => {
        for (const source of SERVICES) {
          const entries = await redis.xrevrange(keyOf(source), '+', '-', 'COUNT', OLD_MAX);
          old.set(source, entries.reverse().map(textOf));
          seen.set(source, entries.at(-1)?.[0] ?? '0-0');
        }
      });
    },
    async strike({ town, databases, ms }) {
      const seed = Date.now() % 1_000_000;
      const draw = drawer(seed);
      const told = { copies: 0, old: 0, early: 0 };
      await withRedis(town.redis.port, async (redis) => {
        const ours = new Set<string>();
        const add = async (source: EventSource, texts: readonly string[]): Promise<string> => {
          let last = '0-0';
          for (const text of texts) {
            last = (await redis.xadd(keyOf(source), '*', 'event', text)) ?? last;
            ours.add(`${source} ${last}`);
          }
          return last;
        };
        const again = async (): Promise<void> => {
          for (const source of SERVICES) {
            const news = await redis.xrange(keyOf(source), `(${seen.get(source)}`, '+', 'COUNT', WINDOW * (COPIES + 1));
            if (news.length === 0) continue;
            seen.set(source, news.at(-1)![0]);
            // Copies of copies would soon be all that there is.
            const fresh = news.filter(([id]) => !ours.has(`${source} ${id}`)).map(textOf);
            for (let from = 0; from < fresh.length; from += WINDOW) {
              const window = fresh.slice(from, from + WINDOW);
              const copies = shuffled(Array.from({ length: COPIES }, () => window).flat(), draw);
              told.copies += copies.length;
              await add(source, copies);
            }
          }
        };
        for (const end = performance.now() + ms / 2; performance.now() < end; await sleep(50)) await again();
        // From here on no relay tells anything: what is written is told by us alone, in any order, before the relays tell it as well.
        town.proxies.redis.set({ down: true });
        const ahead = new Set<string>();
        for (const end = performance.now() + ms / 2; performance.now() < end; await sleep(100)) {
          for (const source of SERVICES) {
            const texts = (await untold(databases, source)).filter((text) => !ahead.has(text));
            for (const text of texts) ahead.add(text);
            told.early += texts.length;
            await add(source, shuffled(texts, draw));
          }
        }
        town.proxies.redis.set({});
        const last = new Map<EventSource, string>();
        for (const [source, texts] of old) {
          told.old += texts.length;
          last.set(source, await add(source, texts));
        }
        for (const [source, entry] of last) await acknowledged(redis, source, entry);
      });
      process.stderr.write(
        `FS1: ${told.copies} entries were added again in another order, ${told.early} before the relays, ${told.old} of long ago (seed ${seed})\n`,
      );
      if (told.copies * told.old * told.early === 0)
        throw new Error(`something was not added: ${JSON.stringify(told)}`);
    },
  };
}

/** Events that no relay has told, as one would tell them. */
async function untold(databases: Scene['databases'], source: ServiceName): Promise<string[]> {
  const rows = await databases[source].query<{ at: Date; version: number; aggregateVersion: number }>(
    `SELECT id, type, version, source, aggregate, aggregate_version AS "aggregateVersion", at, actor, payload
     FROM outbox WHERE published_at IS NULL ORDER BY position LIMIT ${WINDOW}`,
  );
  return rows.map((row) => JSON.stringify({ ...row, at: row.at.toISOString() }));
}

function textOf([, fields]: readonly [string, readonly string[]]): string {
  return fields[fields.indexOf('event') + 1] ?? '';
}

/** Fisher and Yates. */
function shuffled(texts: readonly string[], draw: (below: number) => number): string[] {
  const all = [...texts];
  for (let at = all.length - 1; at > 0; at -= 1) {
    const other = draw(at + 1);
    [all[at], all[other]] = [all[other]!, all[at]!];
  }
  return all;
}

const MB = 1024 * 1024;
const TRIES_MAX = 5;

/** Entries that are no events at all, and events that this release cannot take; each held one in a line of its own. */
function poison(source: EventSource): { none: string[]; held: object[] } {
  const event = (more: object): object => ({
    id: randomUUID(),
    type: 'user-teleported',
    version: 1,
    source,
    aggregate: `poison:${randomUUID()}`,
    aggregateVersion: 1,
    at: new Date().toISOString(),
    actor: null,
    payload: { to: 'Mars' },
    ...more,
  });
  const known = { users: 'user-registered', posts: 'post-liked', followers: 'follow-started' }[source];
  return {
    none: ['{"id":', '', 'null', '[]', '{}', JSON.stringify(event({ at: 'yesterday' })), `"${'x'.repeat(10 * MB)}"`],
    // Of a newer program: a type, a version. And a payload that is none of this version.
    held: [event({}), event({ type: known, version: 9 }), event({ type: known, payload: { to: 'Mars' } })],
  };
}

function poisoned(): Fault {
  return {
    id: 'FS2',
    says: 'poison on every stream: no JSON, no event, 10 MB, an unknown type, a newer version, a payload of another shape',
    unnoticed: true,
    async strike({ town, databases, ms }) {
      const wrong: string[] = [];
      const rounds = 3;
      let triesMost = 0;
      const held = async (service: ServiceName): Promise<{ aggregate: string; tries: number }[]> =>
        databases[service].query(`SELECT aggregate, tries FROM quarantine`);
      try {
        await withRedis(town.redis.port, async (redis) => {
          for (let nth = 0; nth < rounds; nth += 1) {
            for (const source of SERVICES) {
              const { none, held: events } = poison(source);
              for (const text of [...none, ...events.map((event) => JSON.stringify(event))])
                await redis.xadd(keyOf(source), '*', 'event', text);
              const last = (await redis.xadd(keyOf(source), '*', 'other', 'field'))!;
              await acknowledged(redis, source, last);
            }
            await sleep(ms / rounds);
            for (const service of SERVICES)
              for (const { aggregate, tries } of await held(service)) {
                triesMost = Math.max(triesMost, tries);
                if (!aggregate.startsWith('poison:'))
                  wrong.push(`${service} holds back ${aggregate}, which is no poison`);
              }
          }
          for (const service of SERVICES) {
            // Of each source that it hears: what it does not know at all; of what it hears, the newer version and the wrong payload.
            const sources = SERVICES.filter((source) => LISTENERS[source].includes(service));
            const most = rounds * sources.length * 3;
            const n = (await held(service)).length;
            process.stderr.write(`FS2: ${service} holds back ${n} events of at most ${most}\n`);
            if (n < rounds * sources.length || n > most)
              wrong.push(`${service} holds back ${n} events, which may be ${rounds * sources.length} to ${most}`);
            const says = town.logOf(service).match(/A stream entry is no event and is left out/g)?.length ?? 0;
            if (says < rounds * sources.length) wrong.push(`${service} logged ${says} entries that are no events`);
          }
        });
      } finally {
        // What nobody will ever be able to take, an operator takes away.
        for (const service of SERVICES)
          for (const table of ['quarantine', 'inbox'])
            await databases[service].query(`DELETE FROM ${table} WHERE aggregate LIKE 'poison:%'`);
      }
      process.stderr.write(`FS2: tried ${triesMost} times at most\n`);
      if (triesMost > TRIES_MAX) wrong.push(`it was tried ${triesMost} times, which may be ${TRIES_MAX}`);
      if (wrong.length > 0) throw new Error(wrong.join('\n'));
    },
  };
}

/** How much slower users hears than others tell. */
const SLOWER = 10;

function slowConsumer(): Fault {
  const slept = (s: number): string => `
    CREATE OR REPLACE FUNCTION hears_slowly() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN ${s > 0 ? `PERFORM pg_sleep(${s});` : ''} RETURN NEW; END $$`;
  return {
    id: 'FS3',
    says: 'users hears ten times slower than others tell, and what everybody has heard is trimmed from the streams',
    unnoticed: true,
    async prepare({ databases: { users } }) {
      await users.query(slept(0));
      await users.query(
        'CREATE TRIGGER hears_slowly BEFORE INSERT OR UPDATE ON inbox FOR EACH ROW EXECUTE FUNCTION hears_slowly()',
      );
    },
    async strike({ town, databases, ms }) {
      const { users } = databases;
      const count = async (): Promise<{ told: number; heard: number }> => {
        const told = await Promise.all(
          SERVICES.filter((source) => LISTENERS[source].includes('users')).map((source) =>
            databases[source].query<{ n: number }>('SELECT count(*)::int AS n FROM outbox'),
          ),
        );
        const [heard] = await users.query<{ n: number }>(
          `SELECT coalesce(sum(aggregate_version), 0)::int AS n FROM inbox WHERE consumer = 'users'`,
        );
        return { told: told.reduce((sum, [row]) => sum + row!.n, 0), heard: heard!.n };
      };
      const first = await count();
      const calmMs = Math.min(ms, 1_000);
      await sleep(calmMs);
      const each = (calmMs * SLOWER) / 1_000 / Math.max(1, (await count()).told - first.told);
      await users.query(slept(each));
      const before = await count();
      let trims = 0;
      let kept = 0;
      const gone: string[] = [];
      try {
        await withRedis(town.redis.port, async (redis) => {
          for (const end = performance.now() + ms; performance.now() < end; await sleep(100)) {
            const trimmed = await trim(town);
            trims += trimmed.length;
            for (const source of SERVICES) gone.push(...(await missing(redis, source, 'users')));
            kept = Math.max(kept, await redis.xlen(keyOf('posts')));
          }
        });
      } finally {
        await users.query(slept(0));
      }
      const after = await count();
      const [told, heard] = [after.told - before.told, after.heard - before.heard];
      process.stderr.write(
        `FS3: others told ${told} events and users heard ${heard}, each ${each.toFixed(2)} s after the one before; ` +
          `${trims} trims, ${kept} entries of posts were kept at most, ${gone.length} were gone that users needed\n`,
      );
      if (gone.length > 0)
        throw new Error(`the stream has lost what users had not heard: ${gone.slice(0, 5).join(', ')}`);
      if (heard * 2 > told) throw new Error(`users heard ${heard} of ${told} events: it was not slow`);
    },
    async tidy({ databases: { users } }) {
      await users.query('DROP TRIGGER hears_slowly ON inbox');
      await users.query('DROP FUNCTION hears_slowly');
    },
  };
}

/** As the relays do, each of them every ten seconds; a new stream does it at once. */
async function trim(town: Town): Promise<EventSource[]> {
  const stream = openStream({ redisUrl: `redis://127.0.0.1:${town.redis.port}`, logger: silent, listeners: LISTENERS });
  try {
    for (const source of SERVICES) {
      // Waits until it is connected.
      await stream.kept?.(source);
      await stream.trim?.(source);
    }
    return [...SERVICES];
  } finally {
    await stream.close();
  }
}

/** Entries that a group was given and has not acknowledged, and that are not there any more. */
export async function missing(redis: Redis, source: EventSource, group: string): Promise<string[]> {
  if (!LISTENERS[source].includes(group)) return [];
  const pending = (await redis.xpending(keyOf(source), group, '-', '+', 1_000)) as [string][];
  const [oldest] = pending[0] ?? [];
  if (oldest === undefined) return [];
  const there = new Set((await redis.xrange(keyOf(source), oldest, '+')).map(([id]) => id));
  const lost = pending.map(([id]) => id).filter((id) => !there.has(id));
  if (lost.length === 0) return [];
  // It may have been acknowledged between the two looks.
  const still = new Set(
    ((await redis.xpending(keyOf(source), group, '-', '+', 1_000)) as [string][]).map(([id]) => id),
  );
  return lost.filter((id) => still.has(id)).map((id) => `${source} ${id}`);
}
