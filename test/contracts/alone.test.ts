import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { EVENTS, type DomainEvent } from '#libs/events';
import { globalId, newId, parseGlobalId } from '#libs/identity';
import { keepStill } from '../still.js';
import { startAlone, type Alone, type Answer, type Service } from './alone.js';
import { OPERATIONS } from './operations.js';
import { committedRecordings, isWrite, normalised, type Recording } from './recording.js';

keepStill();

const SERVICES: readonly Service[] = ['users', 'posts', 'followers'];

describe.each(SERVICES)('%s, asked what the gateway asks, with no other service there', (service) => {
  describe.each(['apollo', 'tributary'])('by the engine %s', (engine) => {
    const started = Date.now();
    let alone: Alone;
    let recordings: Map<string, string>;
    beforeAll(async () => {
      [alone, recordings] = await Promise.all([startAlone(service), committedRecordings()]);
    });
    afterAll(() => alone?.close());

    it('answers as recorded', async () => {
      const known = JSON.stringify([...recordings]);
      let asked = 0;
      for (const name of Object.keys(OPERATIONS)) {
        const recording = JSON.parse(recordings.get(`${service}/${name}`) ?? '[]') as Recording;
        for (const { sentBy, subject, query, variables, answer } of recording) {
          if (!sentBy.includes(engine)) continue;
          const answered = await alone.ask(subject, query, variables);
          const tidy = normalised(answered, (id) => known.includes(id), started);
          expect({ name, ...tidy }).toEqual({ name, ...answer });
          if (isWrite({ query })) await alone.running.settle();
          asked += 1;
        }
      }
      // One at least for each of its fields that DESIGN's operations name.
      expect(asked).toBeGreaterThanOrEqual({ users: 13, posts: 10, followers: 7 }[service]);
    });
  });
});

/**
 * One row per key that a representation may have, for each entity that a service resolves. In the demo graph dan blocks eve.
 */
describe('_entities', () => {
  const stranger = globalId('user', newId({ now: Date.parse('2026-01-01T00:00:00.000Z') }));
  const noPost = globalId('post', newId({ now: Date.parse('2026-01-01T00:00:00.000Z') }));
  let services: Record<Service, Alone>;
  let people: Record<string, string>;
  let posts: Record<'of alice' | 'of dan' | 'of bob, deleted', string>;

  beforeAll(async () => {
    const [users, postsService, followers] = await Promise.all(SERVICES.map((service) => startAlone(service)));
    if (!users || !postsService || !followers) throw new Error('not started');
    services = { users, posts: postsService, followers };
    const { data } = await users.ask(null, '{ users { edges { node { id handle } } } }');
    const everybody = data?.['users'] as { edges: { node: { id: string; handle: string } }[] } | undefined;
    people = Object.fromEntries((everybody?.edges ?? []).map(({ node }) => [node.handle, node.id]));

    const newestOf = async (handle: string): Promise<string> => {
      const query = '{ posts(first: 1) { edges { node { id } } } }';
      const answer = await entities(
        'posts',
        null,
        [{ __typename: 'User', id: people[handle] }],
        `... on User ${query}`,
      );
      return only<{ posts: { edges: [{ node: { id: string } }] } }>(answer).posts.edges[0].node.id;
    };
    posts = {
      'of alice': await newestOf('alice'),
      'of dan': await newestOf('dan'),
      'of bob, deleted': await newestOf('bob'),
    };
    const gone = { id: posts['of bob, deleted'] };
    await postsService.ask(people['bob'] ?? '', 'mutation($id: ID!) { deletePost(id: $id) { id } }', gone);

    // carol leaves: asked of users, heard by the others.
    const leave = 'mutation { deleteAccount(input: { password: "tributary" }) { state } }';
    await users.ask(people['carol'] ?? '', leave);
    for (const service of [postsService, followers]) {
      await service.hear(deletionOf(parseGlobalId('user', people['carol'] ?? ''), 'carol'));
      await service.running.settle();
    }
  });
  afterAll(() => Promise.all(Object.values(services ?? {}).map((service) => service.close())));

  function entities(
    service: Service,
    subject: string | null,
    representations: unknown[],
    selection: string,
  ): Promise<Answer> {
    const query = `query($r: [_Any!]!) { _entities(representations: $r) { ${selection} } }`;
    return services[service].ask(subject, query, { r: representations });
  }

  const user = (id: string | undefined) => ({ __typename: 'User', id });
  const post = (id: string | undefined) => ({ __typename: 'Post', id });

  it('of users: known, known twice, unknown, deleted, malformed', async () => {
    const asked = [people['alice'], people['bob'], stranger, people['carol'], 'nonsense', noPost, people['alice']];
    const { data, errors } = await entities('users', null, asked.map(user), '... on User { id handle }');
    const alice = { id: people['alice'], handle: 'alice' };
    const bob = { id: people['bob'], handle: 'bob' };
    expect(data).toEqual({ _entities: [alice, bob, null, null, null, null, alice] });
    expect(placesOf(errors)).toEqual(['4 BAD_USER_INPUT', '5 BAD_USER_INPUT']);
  });

  it('of users: what only its owner may see is null for everybody else, and a block hides nobody’s name', async () => {
    const asked = [user(people['dan']), user(people['eve'])];
    const seen = async (subject: string | null) =>
      (await entities('users', subject, asked, '... on User { handle email }')).data?.['_entities'];
    const [dan, eve] = [
      { handle: 'dan', email: null },
      { handle: 'eve', email: null },
    ];
    expect(await seen(null)).toEqual([dan, eve]);
    expect(await seen(people['dan'] ?? '')).toEqual([{ ...dan, email: 'dan@example.org' }, eve]);
    expect(await seen(people['eve'] ?? '')).toEqual([dan, { ...eve, email: 'eve@example.org' }]);
  });

  it('of posts: posts that are known, known twice, unknown, deleted, malformed', async () => {
    const asked = [
      posts['of alice'],
      posts['of dan'],
      noPost,
      posts['of bob, deleted'],
      'post_',
      stranger,
      posts['of alice'],
    ];
    const { data, errors } = await entities('posts', null, asked.map(post), '... on Post { id viewerHasLiked }');
    const [ofAlice, ofDan] = [posts['of alice'], posts['of dan']].map((id) => ({ id, viewerHasLiked: null }));
    expect(data).toEqual({ _entities: [ofAlice, ofDan, null, null, null, null, ofAlice] });
    expect(placesOf(errors)).toEqual(['4 BAD_USER_INPUT', '5 BAD_USER_INPUT']);
  });

  it('of posts: a post that a block hides is as if it were not there, from both sides', async () => {
    const [byEve] = await idsOfPosts('eve', people['bob'] ?? null);
    const asked = [posts['of dan'], byEve, posts['of alice']].map(post);
    const seen = async (subject: string | undefined) =>
      (await entities('posts', subject ?? null, asked, '... on Post { id }')).data?.['_entities'];
    const [ofDan, ofEve, ofAlice] = asked.map(({ id }) => ({ id }));
    expect(await seen(people['bob'])).toEqual([ofDan, ofEve, ofAlice]);
    expect(await seen(people['eve'])).toEqual([null, ofEve, ofAlice]);
    expect(await seen(people['dan'])).toEqual([ofDan, null, ofAlice]);
  });

  it('of posts: people who are known, known twice, unknown, deleted, malformed; a block empties the list', async () => {
    const asked = [people['alice'], stranger, people['carol'], '', people['alice'], people['dan']].map(user);
    const selection = '... on User { id posts(first: 1) { edges { node { id } } } }';
    const { data, errors } = await entities('posts', people['eve'] ?? '', asked, selection);
    const alice = { id: people['alice'], posts: { edges: [{ node: { id: posts['of alice'] } }] } };
    const dan = { id: people['dan'], posts: { edges: [] } };
    expect(data).toEqual({ _entities: [alice, null, null, null, alice, dan] });
    expect(placesOf(errors)).toEqual(['3 BAD_USER_INPUT']);
  });

  it('of followers: known, known twice, unknown (users says who exists), deleted, malformed', async () => {
    const asked = [people['alice'], stranger, people['carol'], 'nonsense', noPost, people['alice']].map(user);
    const { data, errors } = await entities('followers', null, asked, '... on User { followerCount viewerFollows }');
    const alice = { followerCount: 3, viewerFollows: null };
    const nobody = { followerCount: 0, viewerFollows: null };
    const deleted = { followerCount: null, viewerFollows: null };
    expect(data).toEqual({ _entities: [alice, nobody, deleted, null, null, alice] });
    expect(placesOf(errors)).toEqual(['3 BAD_USER_INPUT', '4 BAD_USER_INPUT']);
  });

  it('of followers: what is about the viewer is the viewer’s, and nobody whom a block hides is in a list', async () => {
    const selection = '... on User { viewerFollows followsViewer viewerBlocks followers { edges { node { id } } } }';
    const seen = async (subject: string | undefined, handle: string) => {
      const answer = await entities('followers', subject ?? null, [user(people[handle])], selection);
      const entity = only<{ followers: { edges: { node: { id: string } }[] } }>(answer);
      return { ...entity, followers: entity.followers.edges.map(({ node }) => node.id) };
    };
    const nothing = { viewerFollows: null, followsViewer: null, viewerBlocks: null };
    const [alice, bob, dan, eve] = ['alice', 'bob', 'dan', 'eve'].map((handle) => people[handle]);
    expect(await seen(undefined, 'alice')).toEqual({ ...nothing, followers: [eve, dan, bob] });
    expect(await seen(bob, 'alice')).toEqual({
      viewerFollows: true,
      followsViewer: true,
      viewerBlocks: false,
      followers: [eve, dan, bob],
    });
    expect((await seen(eve, 'alice')).followers).toEqual([eve, bob]);
    expect((await seen(dan, 'alice')).followers).toEqual([dan, bob]);
    expect(await seen(dan, 'eve')).toMatchObject({ viewerBlocks: true, viewerFollows: false });
    expect(await seen(eve, 'dan')).toMatchObject({ viewerBlocks: false, viewerFollows: false });
    expect(alice).toBeDefined();
  });

  it.each(SERVICES)(
    'of %s: 1,000 representations are answered, 1,001 are refused before anything is looked up',
    async (service) => {
      const many = (count: number) => Array.from({ length: count }, () => user(people['alice']));
      const { data, errors } = await entities(service, null, many(1_000), '... on User { id }');
      expect(errors).toBeUndefined();
      expect(data?.['_entities']).toHaveLength(1_000);
      const before = services[service].running.database.statements;
      const refused = await entities(service, null, many(1_001), '... on User { id }');
      expect(refused.errors?.map(({ extensions }) => extensions.code)).toEqual(['BAD_USER_INPUT']);
      expect(refused.data ?? null).toBeNull();
      expect(services[service].running.database.statements).toBe(before);
    },
  );

  it.each(SERVICES)('of %s: what is no representation of its entities is refused', async (service) => {
    for (const wrong of [
      {},
      { __typename: 'Robot', id: '1' },
      { __typename: { toString: 7 } },
      { id: people['alice'] },
      'User',
    ]) {
      const { data, errors } = await entities(service, null, [wrong], '__typename');
      expect([data ?? null, errors?.map(({ extensions }) => extensions.code)]).toEqual([null, ['BAD_USER_INPUT']]);
    }
    for (const keyless of [
      { __typename: 'User' },
      { __typename: 'User', id: null },
      { __typename: 'User', id: { toString: 1 } },
    ]) {
      const { data, errors } = await entities(service, null, [keyless], '... on User { id }');
      expect([data, placesOf(errors)]).toEqual([{ _entities: [null] }, ['0 BAD_USER_INPUT']]);
    }
  });

  async function idsOfPosts(handle: string, subject: string | null): Promise<string[]> {
    const selection = '... on User { posts { edges { node { id } } } }';
    const answer = await entities('posts', subject, [user(people[handle])], selection);
    return only<{ posts: { edges: { node: { id: string } }[] } }>(answer).posts.edges.map(({ node }) => node.id);
  }
});

/** The one entity that was asked for. */
function only<Entity>({ data }: Answer): Entity {
  const [entity] = (data?.['_entities'] ?? []) as Entity[];
  if (!entity) throw new Error('no entity');
  return entity;
}

function placesOf(errors: Answer['errors']): string[] {
  return (errors ?? []).map(({ path, extensions }) => `${path?.[1]} ${extensions.code}`).sort();
}

function deletionOf(userId: string, handle: string): DomainEvent {
  const { version, source } = EVENTS['user-deleted'];
  return {
    id: newId(),
    type: 'user-deleted',
    version,
    source,
    aggregate: `user:${userId}`,
    aggregateVersion: 1,
    at: new Date().toISOString(),
    actor: userId,
    payload: { userId, handle },
  };
}
