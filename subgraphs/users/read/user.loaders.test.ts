import { expect, it } from '@jest/globals';
import { openCache } from '#libs/cache';
import type { Asker, Reader } from '#libs/database';
import { newId } from '#libs/identity';
import type { RequestContext } from '#libs/subgraph-kit';
import { sealer } from '../../../test/sealer.js';
import { EMAIL } from '../sealing.js';
import { UserCache } from '../user.cache.js';
import { userLoaders } from './user.loaders.js';

const [alice, bob] = [newId(), newId()];

/** A row of people, as one of our statements finds it: by id, or by handle. */
function row(id: string, handle: string) {
  const address = `${handle}@example.com`;
  return { id, handle, displayName: handle, bio: '', avatarUrl: null, joinedAt: new Date(0), email: sealer.seal(EMAIL, id, address) };
} // prettier-ignore
type Row = ReturnType<typeof row>;

/** A replica that is a moment behind its primary. Nothing is kept. */
function loadersOf(replica: readonly Row[], primary: readonly Row[] | Error) {
  const door = (rows: readonly Row[] | Error, lagging: boolean): Reader => ({
    query: async <R>(text: string, [keys]: readonly unknown[] = [], onReplica?: () => void) => {
      if (rows instanceof Error) throw rows;
      if (lagging) onReplica?.();
      const by = text.includes('FROM handles') ? 'handle' : 'id';
      return rows.filter((one) => (keys as string[]).includes(one[by])) as R[];
    },
  });
  const database = {
    query: door(primary, false).query,
    reader: ({ mayLag }: Asker) => (mayLag ? door(replica, true) : door(primary, false)),
  };
  const cache = new UserCache(openCache({ mode: 'off' }));
  return userLoaders({ database, sealer, cache, cached: false })({ viewer: bob, mayLag: true } as RequestContext);
}

it('who was renamed a moment ago is found by the new handle, also by a request that has read them under the old one', async () => {
  const { people, byHandle } = loadersOf([row(alice, 'alice')], [row(alice, 'alicia')]);
  expect(await people.load(alice)).toMatchObject({ handle: 'alice' });
  expect(await byHandle.load('alicia')).toMatchObject({ id: alice, handle: 'alicia' });
  expect(await people.load(alice)).toMatchObject({ handle: 'alicia' });
});

it('who has just come has their e-mail address as they have their name', async () => {
  const { people, emails } = loadersOf([], [row(bob, 'bob')]);
  expect(await people.load(bob)).toMatchObject({ handle: 'bob' });
  expect(await emails.load(bob)).toBe('bob@example.com');
});

it('who is not there fails alone where the primary cannot be asked', async () => {
  const { people, byHandle } = loadersOf([row(alice, 'alice')], new Error('the primary is gone'));
  const found = await Promise.allSettled([people.load(alice), people.load(bob), byHandle.load('alice'), byHandle.load('bob')]); // prettier-ignore
  expect(found.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'rejected']);
});
