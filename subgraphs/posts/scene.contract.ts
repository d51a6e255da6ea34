import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDatabase, provisionServices, type Database } from '#libs/database';
import { EVENTS, type DomainEvent, type EventType, type Payload } from '#libs/events';
import { newId, shardOf } from '#libs/identity';
import { silent } from '#libs/telemetry';
import { layOutStores } from '../../test/stores.js';
import { postsParticipant } from './on/deletion.js';
import { HEARD } from './on/heard.js';
import { postCountOf, wholeCount } from './post.counts.js';
import { postsTables } from './posts.tables.js';
import type { Writing } from './write/as-person.js';

/** The posts service without its edges: its store, what a client may do, what it hears. For tests. */
export interface Scene {
  readonly database: Database;
  /** Of its server; absent: embedded. */
  readonly url: string | undefined;
  readonly writing: Writing;
  /** Somebody whom posts has heard of. */
  person(): Promise<string>;
  /** Of an account's deletion it also waits until its step is worked off. */
  hear<T extends EventType>(type: T, payload: Payload<T>): Promise<void>;
  /** The events told so far about an aggregate, as `version:type`. */
  told(aggregate: string): Promise<string[]>;
  /** Every count that is not the number of its rows. */
  drift(): Promise<unknown[]>;
  /** Transactions that were run so far, and runs: one more for every deadlock. */
  readonly transactions: { begun: number; run: number };
  close(): Promise<void>;
}

/** Embedded, in a folder that is kept if it is given one; or on the server whose superuser's address is given. */
export async function openScene(adminUrl?: string, kept?: string): Promise<Scene> {
  const dataDir = kept ?? (await mkdtemp(join(tmpdir(), 'posts-')));
  const prefix = `test_${newId().replaceAll('-', '').slice(-12)}_`;
  const url = adminUrl && (await provisionServices(adminUrl, ['posts'], { posts: 'posts' }, { prefix }))['posts'];
  if (url === undefined) await layOutStores(dataDir, 'posts');
  const database = await openDatabase({ service: 'posts', url, dataDir, poolMax: 20, logger: silent, ...postsTables });
  const transactions = { begun: 0, run: 0 };
  const transaction = database.transaction.bind(database);
  database.transaction = (work) => {
    transactions.begun += 1;
    return transaction((tx) => {
      transactions.run += 1;
      return work(tx);
    });
  };
  const writing: Writing = {
    database,
    clock: Date.now,
    newPostId: (authorId) => newId({ shard: shardOf(authorId) }),
    pause: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  };

  const participant = postsParticipant({ database, logger: silent });
  await participant.settled();

  async function hear<T extends EventType>(type: T, payload: Payload<T>): Promise<void> {
    const { version, source } = EVENTS[type];
    const at = new Date().toISOString();
    const event = {
      id: newId(),
      type,
      version,
      source,
      aggregate: 'test',
      aggregateVersion: 1,
      at,
      actor: null,
      payload,
    };
    const handle = HEARD[type] as (tx: unknown, event: DomainEvent) => Promise<void>;
    await database.transaction(async (tx) => {
      await handle(tx, event as unknown as DomainEvent);
      tx.events.push(event as unknown as DomainEvent);
    });
    await participant.settled();
  }

  return {
    database,
    url,
    writing,
    hear,
    person: async () => {
      const userId = newId();
      await hear('user-registered', { userId, handle: 'somebody' });
      return userId;
    },
    told: async (aggregate) => {
      const rows = await database.query<{ version: number; type: string }>(
        'SELECT aggregate_version AS version, type FROM outbox WHERE aggregate = $1 ORDER BY position',
        [aggregate],
      );
      return rows.map((row) => `${row.version}:${row.type}`);
    },
    drift: () => database.query(DRIFT),
    transactions,
    close: async () => {
      await participant.close();
      await database.close();
      if (kept === undefined) await rm(dataDir, { recursive: true, force: true });
    },
  };
}

const DRIFT = `
  SELECT * FROM (
    SELECT 'likes' AS count, p.id, ${wholeCount('likes', 'p')} AS says,
      (SELECT count(*)::int FROM likes l WHERE l.post_id = p.id AND l.liked) AS counted FROM posts p
    UNION ALL
    SELECT 'replies', p.id, ${wholeCount('replies', 'p')},
      (SELECT count(*)::int FROM posts r WHERE r.in_reply_to_id = p.id AND r.state = 'published') FROM posts p
    UNION ALL
    SELECT 'posts', u.id, ${postCountOf('u')},
      (SELECT count(*)::int FROM posts p WHERE p.author_id = u.id AND p.state = 'published') FROM people u
  ) AS counts WHERE says <> counted`;
