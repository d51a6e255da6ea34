import { describe, expect, it } from '@jest/globals';
import { alice, bob, carol, PASSWORD } from '../people.js';
import type { Person, World } from '../world.js';
import { act, cast, example, mutation, publish, refusals, told, type List } from './cast.js';

interface Told {
  unreadNotificationCount: number;
  notifications: List<{
    id: string;
    kind: string;
    read: boolean;
    actor: { handle: string } | null;
    post: { id: string } | null;
  }>;
}

/** What others do that concerns somebody, and what takes it back. */
export function notifications(world: () => World): void {
  const ask = async (who: Person, variables = {}): Promise<Told> => {
    await world().settle();
    return told<Told>(who, await example('notifications'), variables);
  };
  const kinds = ({ notifications: { edges } }: Told): string[] =>
    edges.map(({ node }) => `${node.kind} ${node.actor?.handle.split('_')[0]}`);

  describe('notifications', () => {
    it('tell follows, likes, replies and mentions once, newest first, and forget what was taken back', async () => {
      const [a, b, c] = (await cast(world(), alice, bob, carol)) as [Person, Person, Person];
      const post = await publish(a, 'hello');
      await act(b, 'follow', a.id);
      await world().settle();
      await b.ask(mutation('likePost'), { id: post });
      await world().settle();
      const reply = await publish(c, `@${a.handle.toUpperCase()} well`, post);
      await world().settle();
      const mention = await publish(b, `@${a.handle}, @${a.handle} and @nobody_at_all`);
      // Nobody hears of themselves.
      await a.ask(mutation('likePost'), { id: post });
      await publish(a, `@${a.handle} to myself`, post);

      const all = await ask(a);
      expect(kinds(all)).toEqual(['MENTION bob', 'REPLY carol', 'LIKE bob', 'FOLLOW bob']);
      expect(all.notifications.edges.map(({ node }) => node.post?.id)).toEqual([mention, reply, post, undefined]);
      expect(all.unreadNotificationCount).toBe(4);
      const first = await ask(a, { first: 2 });
      expect(kinds(first)).toEqual(['MENTION bob', 'REPLY carol']);
      expect(kinds(await ask(a, { first: 2, after: first.notifications.pageInfo.endCursor }))).toEqual([
        'LIKE bob',
        'FOLLOW bob',
      ]);

      await b.ask(mutation('unlikePost'), { id: post });
      await act(b, 'unfollow', a.id);
      await c.ask('mutation($id: ID!) { deletePost(id: $id) { id } }', { id: reply });
      expect(kinds(await ask(a))).toEqual(['MENTION bob']);
    });

    it('are read up to one or all of them, and stay so', async () => {
      const [a, b, c] = (await cast(world(), alice, bob, carol)) as [Person, Person, Person];
      await act(b, 'follow', a.id);
      await world().settle();
      await act(c, 'follow', a.id);
      const [newest, oldest] = (await ask(a)).notifications.edges.map(({ node }) => node.id);
      const mark = async (upTo?: string): Promise<number> => {
        type Marked = { markNotificationsRead: { unreadNotificationCount: number } };
        const { markNotificationsRead } = await told<Marked>(a, await example('mark-notifications-read'), { upTo });
        return markNotificationsRead.unreadNotificationCount;
      };
      expect(await mark(oldest)).toBe(1);
      expect((await ask(a)).notifications.edges.map(({ node }) => node.read)).toEqual([false, true]);
      expect(await mark()).toBe(0);
      expect(await mark(oldest)).toBe(0);
      expect((await ask(a)).notifications.edges.map(({ node }) => node.read)).toEqual([true, true]);
      expect(newest).toMatch(/^notification_/);
    });

    it('of somebody with whom there is a block do not show, in either direction, and go with an account', async () => {
      const [a, b, c] = (await cast(world(), alice, bob, carol)) as [Person, Person, Person];
      const post = await publish(a, 'hello');
      await world().settle();
      await b.ask(mutation('likePost'), { id: post });
      await c.ask(mutation('likePost'), { id: post });
      expect(kinds(await ask(a)).sort()).toEqual(['LIKE bob', 'LIKE carol']);
      await act(b, 'block', a.id);
      const blocked = await ask(a);
      expect([kinds(blocked), blocked.unreadNotificationCount]).toEqual([['LIKE carol'], 1]);
      await act(b, 'unblock', a.id);
      expect(kinds(await ask(a)).sort()).toEqual(['LIKE bob', 'LIKE carol']);

      await c.ask(await example('delete-account'), { input: { password: PASSWORD } });
      expect(kinds(await ask(a))).toEqual(['LIKE bob']);
      await a.ask(await example('delete-account'), { input: { password: PASSWORD } });
      await world().settle();
      const left = await world().users.database.query(
        `SELECT FROM notification_facts f FULL JOIN notifications n USING (recipient_id, id)
         JOIN users u ON u.id IN (recipient_id, f.actor_id, n.actor_id) WHERE u.deleted_at IS NOT NULL`,
      );
      expect(left).toEqual([]);
    });

    it('are nobody’s without a log-in, and a cursor of another’s list is refused', async () => {
      const [a, b] = (await cast(world(), alice, bob)) as [Person, Person];
      await act(b, 'follow', a.id);
      const { notifications: mine } = await ask(a);
      expect(refusals(await world().ask(await example('notifications')))).toEqual(['notifications UNAUTHENTICATED']);
      expect(await told(world(), '{ unreadNotificationCount }')).toEqual({ unreadNotificationCount: null });
      const stolen = await b.ask(await example('notifications'), { after: mine.pageInfo.endCursor });
      expect(refusals(stolen)).toEqual(['notifications BAD_USER_INPUT']);
      const wrong = await a.ask(await example('mark-notifications-read'), { upTo: a.id });
      expect(refusals(wrong)).toEqual(['markNotificationsRead BAD_USER_INPUT']);
    });
  });
}
