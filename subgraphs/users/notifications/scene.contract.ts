import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDatabase, provisionServices, type Database } from '#libs/database';
import { EVENTS, type DomainEvent, type EventType, type Payload } from '#libs/events';
import { newId } from '#libs/identity';
import { consume, openStream, type Stream, type Subscription } from '#libs/outbox';
import { silent } from '#libs/telemetry';
import { sealer } from '../../../test/sealer.js';
import { layOutStores } from '../../../test/stores.js';
import { loadUsers } from '../bulk.js';
import { heardBy } from '../on/heard.js';
import { notificationsOf, unreadCountOf } from '../read/notification.queries.js';
import { usersTables } from '../users.tables.js';

/** The users service without its edges: its store, and what it hears of others. For tests. */
export class Scene {
  readonly #versions = new Map<string, number>();

  private constructor(
    readonly database: Database,
    /** Of its server; absent: embedded. */
    readonly url: string | undefined,
    private readonly stream: Stream,
    private readonly consumer: Subscription,
    private readonly ended: () => Promise<void>,
  ) {}

  /** Embedded, in a folder that is kept if it is given one; or on the server whose superuser's address is given. */
  static async open(adminUrl?: string, kept?: string): Promise<Scene> {
    const dataDir = kept ?? (await mkdtemp(join(tmpdir(), 'users-')));
    const prefix = `test_${newId().replaceAll('-', '').slice(-12)}_`;
    const url = adminUrl && (await provisionServices(adminUrl, ['users'], { users: 'users' }, { prefix }))['users'];
    if (url === undefined) await layOutStores(dataDir, 'users');
    const database = await openDatabase({ service: 'users', url, dataDir, logger: silent, ...usersTables });
    const stream = openStream({ logger: silent, listeners: { posts: ['users'] } });
    const hear = heardBy({ stepTimeoutMs: 60_000, triesMax: 1 });
    return new Scene(
      database,
      url,
      stream,
      consume({ database, stream, group: 'users', hear, logger: silent, pausesMs: [1] }),
      async () => {
        if (kept === undefined) await rm(dataDir, { recursive: true, force: true });
      },
    );
  }

  async people(count: number): Promise<string[]> {
    const ids = Array.from({ length: count }, () => newId());
    const names = ids.map((id) => `u_${id.replaceAll('-', '').slice(-20)}`);
    await loadUsers(
      this.database,
      sealer,
      ids.map((id, nth) => ({
        id,
        handle: names[nth] as string,
        displayName: 'somebody',
        bio: '',
        email: `${names[nth]}@example.org`,
        passwordHash: 'none',
        joinedAt: new Date(),
      })),
    );
    return ids;
  }

  /** The next event of an aggregate, as it travels. */
  event<T extends EventType>(type: T, aggregate: string, actor: string | null, payload: Payload<T>): DomainEvent {
    const aggregateVersion = (this.#versions.get(aggregate) ?? 0) + 1;
    this.#versions.set(aggregate, aggregateVersion);
    const { version, source } = EVENTS[type];
    const at = new Date().toISOString();
    const event = { id: newId(), type, version, source, aggregate, aggregateVersion, at, actor, payload };
    return event as unknown as DomainEvent;
  }

  liked(postId: string, authorId: string, userId: string): DomainEvent {
    return this.event('post-liked', `like:${postId}:${userId}`, userId, { postId, userId, authorId });
  }

  unliked(postId: string, userId: string): DomainEvent {
    return this.event('post-unliked', `like:${postId}:${userId}`, userId, { postId, userId });
  }

  /** By nobody: one that comes back with an account. */
  followed(followerId: string, followeeId: string, actor: string | null = followerId): DomainEvent {
    const payload = { followerId, followeeId, followedAt: new Date().toISOString() };
    return this.event('follow-started', `relation:${followerId}:${followeeId}`, actor, payload);
  }

  unfollowed(followerId: string, followeeId: string): DomainEvent {
    return this.event('follow-ended', `relation:${followerId}:${followeeId}`, followerId, { followerId, followeeId });
  }

  blocked(blockerId: string, blockedId: string): DomainEvent {
    return this.event('block-started', `relation:${blockerId}:${blockedId}`, blockerId, { blockerId, blockedId });
  }

  published(authorId: string, body: string, inReplyToAuthorId: string | null): DomainEvent {
    const postId = newId();
    const [inReplyToId, createdAt] = [inReplyToAuthorId && newId(), new Date().toISOString()];
    const payload = { postId, authorId, body, inReplyToId, inReplyToAuthorId, createdAt };
    return this.event('post-published', `post:${postId}`, authorId, payload);
  }

  deleted(postId: string, authorId: string): DomainEvent {
    const payload = { postId, authorId, inReplyToId: null, reason: 'author' as const };
    return this.event('post-deleted', `post:${postId}`, authorId, payload);
  }

  restored(postId: string, authorId: string): DomainEvent {
    const createdAt = new Date().toISOString();
    const payload = { postId, authorId, body: 'x', inReplyToId: null, createdAt, editedAt: null };
    return this.event('post-restored', `post:${postId}`, authorId, payload);
  }

  /** As one batch of the stream; resolves when it is heard. */
  async hear(...events: readonly DomainEvent[]): Promise<void> {
    await this.stream.publish(events);
    await this.consumer.settled();
  }

  /** What somebody is shown, `<kind> <post>` newest first, and how many are unread. */
  async shown(viewer: string): Promise<{ told: string[]; unread: number }> {
    const rows = await notificationsOf(this.database, viewer, { after: undefined, take: 100 });
    return {
      told: rows.map(({ kind, postId }) => `${kind} ${postId}`),
      unread: (await unreadCountOf(this.database, viewer)) ?? 0,
    };
  }

  async close(): Promise<void> {
    await this.consumer.close();
    await this.stream.close();
    await this.database.close();
    await this.ended();
  }
}
