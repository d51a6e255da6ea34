import type { Database } from '#libs/database';

/** Somebody whose account is deleted, and whom a block keeps from seeing their posts (whichever of the two blocks). */
export interface Kept {
  readonly author: string;
  readonly from: string;
}

/**
 * From now on posts' own database writes down every moment at which one of these might read a post: it comes back while the block is
 * not there, or the block ends while it is there. So no moment is missed, as it would be by asking now and then.
 */
export async function watchBlocks(posts: Database, pairs: readonly Kept[]): Promise<void> {
  for (const statement of UP) await posts.query(statement);
  await posts.query('INSERT INTO kept_from SELECT * FROM unnest($1::uuid[], $2::uuid[])', [
    pairs.map(({ author }) => author),
    pairs.map(({ from }) => from),
  ]);
}

/** How often a post was to be seen across a block. */
export async function seenAcrossBlocks(posts: Database): Promise<number> {
  const [row] = await posts.query<{ count: number }>('SELECT count(*)::int AS count FROM seen_across_blocks');
  return row?.count ?? Number.NaN;
}

export async function endWatch(posts: Database): Promise<void> {
  for (const statement of DOWN) await posts.query(statement);
}

const UP = [
  'CREATE TABLE kept_from (author uuid NOT NULL, viewer uuid NOT NULL, PRIMARY KEY (author, viewer))',
  'CREATE TABLE seen_across_blocks (author uuid NOT NULL, viewer uuid NOT NULL)',
  `CREATE FUNCTION post_comes_back() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     INSERT INTO seen_across_blocks SELECT author, viewer FROM kept_from WHERE author = NEW.author_id AND NOT EXISTS (
       SELECT FROM block_edges WHERE (blocker_id, blocked_id) IN ((author, viewer), (viewer, author)));
     RETURN NULL; END $$`,
  `CREATE TRIGGER post_comes_back AFTER UPDATE OF state ON posts FOR EACH ROW
     WHEN (NEW.state = 'published' AND OLD.state <> 'published') EXECUTE FUNCTION post_comes_back()`,
  `CREATE FUNCTION block_ends() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     INSERT INTO seen_across_blocks SELECT author, viewer FROM kept_from
       WHERE (author, viewer) IN ((OLD.blocker_id, OLD.blocked_id), (OLD.blocked_id, OLD.blocker_id))
         AND EXISTS (SELECT FROM posts WHERE author_id = author AND state = 'published');
     RETURN NULL; END $$`,
  'CREATE TRIGGER block_ends AFTER DELETE ON block_edges FOR EACH ROW EXECUTE FUNCTION block_ends()',
];
const DOWN = [
  'DROP TRIGGER block_ends ON block_edges',
  'DROP TRIGGER post_comes_back ON posts',
  'DROP FUNCTION block_ends()',
  'DROP FUNCTION post_comes_back()',
  'DROP TABLE seen_across_blocks',
  'DROP TABLE kept_from',
];
