import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { newId } from '#libs/identity';
import { withServer } from '../../../test/servers/needs.js';
import { forgetGone } from './gone-posts.js';
import { rebuilding } from './rebuild.contract.js';
import { Scene } from './scene.contract.js';

describe('a follow that comes back with an account', () => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await Scene.open();
  });
  afterAll(() => scene.close());

  it('notifies nobody, also where nothing is kept any more of when it began (control: one that begins does)', async () => {
    const [followee = '', old = '', fresh = ''] = await scene.people(3);
    await scene.hear(scene.followed(old, followee, null));
    expect(await scene.shown(followee)).toEqual({ told: [], unread: 0 });
    await scene.hear(scene.followed(fresh, followee));
    expect(await scene.shown(followee)).toMatchObject({ unread: 1 });
  });
});

describe('notifications of a post that is gone', () => {
  let scene: Scene;
  let author: string;
  let fans: string[];
  const NOTHING = { told: [], unread: 0 };

  beforeAll(async () => {
    scene = await Scene.open();
  });
  afterAll(() => scene.close());
  const begin = async (): Promise<string> => {
    [author = '', ...fans] = await scene.people(3);
    return newId();
  };
  const facts = (post: string) => scene.database.query('SELECT FROM notification_facts WHERE post_id = $1', [post]);

  it('do not stay when it was liked, not liked, liked and deleted in one batch', async () => {
    const post = await begin();
    const [fan = ''] = fans;
    await scene.hear(
      scene.liked(post, author, fan),
      scene.unliked(post, fan),
      scene.liked(post, author, fan),
      scene.deleted(post, author),
    );
    expect(await scene.shown(author)).toEqual(NOTHING);
  });

  it('are not shown nor counted when a like that was given beside its deletion is heard after it', async () => {
    const post = await begin();
    const [fan = '', late = ''] = fans;
    await scene.hear(scene.liked(post, author, fan), scene.deleted(post, author));
    await scene.hear(scene.liked(post, author, late));
    expect(await scene.shown(author)).toEqual(NOTHING);
  });

  it('are there again when it is restored, less what was taken back meanwhile', async () => {
    const post = await begin();
    const [fan = '', other = ''] = fans;
    await scene.hear(scene.liked(post, author, fan), scene.liked(post, author, other), scene.deleted(post, author));
    await scene.hear(scene.unliked(post, other), scene.restored(post, author));
    expect(await scene.shown(author)).toEqual({ told: [`like ${post}`], unread: 1 });
  });

  it('are forgotten when it is gone for good', async () => {
    const post = await begin();
    const [fan = ''] = fans;
    await scene.hear(scene.liked(post, author, fan), scene.deleted(post, author));
    await scene.database.transaction((tx) => forgetGone(tx));
    expect(await facts(post)).toHaveLength(1);
    await scene.database.transaction((tx) => forgetGone(tx, 0));
    expect(await facts(post)).toEqual([]);
    expect(await scene.database.query('SELECT FROM notifications WHERE post_id = $1', [post])).toEqual([]);
    expect(await scene.database.query('SELECT FROM gone_posts')).toEqual([]);
  });
});

describe('the notifications built anew, embedded', () => rebuilding(() => Scene.open()));

withServer('postgres', 'the notifications built anew, on PostgreSQL', (adminUrl) =>
  rebuilding(() => Scene.open(adminUrl)),
);
