import { parseArgs } from 'node:util';
import { lockDataDir, openDatabase, type Database } from '#libs/database';
import { makeDataDir, readSettings, type Environment } from '#libs/settings';
import { createLogger } from '#libs/telemetry';
import { figure } from './figure.js';
import { followersTables } from '../subgraphs/followers/followers.tables.js';
import { postsTables } from '../subgraphs/posts/posts.tables.js';
import { makeSealingKey, openSealerOver, refuseLostKeys } from '../subgraphs/users/lost-keys.js';
import { missingSealingKeys, sealingSettings } from '../subgraphs/users/sealing.js';
import { usersTables } from '../subgraphs/users/users.tables.js';
import { databasesOf, naming, onServers, readCommandSettings, secretsFrom, type Service } from './databases.js';
import { loadWorld, rowsOf } from './seed/load.js';
import { showProgress } from './seed/progress.js';
import { generateWorld, type GeneratedWorld, type WorldOptions } from './seed/world.js';

const USAGE = `npm run seed -- --users 1000 [--follows N] [--posts N] [--seed N] [--again]

  --users    how many people, 10 to 1,000,000
  --follows  how many follows in all; without it what the percentiles of a real network give
  --posts    how many posts in all, about; without it 20 for each person
  --seed     which world, 1 to 65535 (1): the same number is the same people, follows and posts
  --again    also where these people are and somebody has acted since: a load that broke off goes on, and what
             they have undone of it is done once more

Everybody's password is tributary. It goes to the databases that npm start would use: embedded under DATA_DIR, or
USERS_DATABASE_URL, POSTS_DATABASE_URL and FOLLOWERS_DATABASE_URL, or DATABASE_URL; these with the SEALING_KEYS of users.
`;
const PASSWORD = 'tributary';
/** So many of a world's people are looked for: they come in the same order each time. */
const LOOKED_FOR = 1_000;

const options = read(process.argv.slice(2));
if (options === undefined) {
  process.stderr.write(USAGE);
  process.exitCode = 2;
} else {
  try {
    await seed(options, process.env);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}

async function seed({ again, ...world }: Asked, env: Environment): Promise<void> {
  const dataDir = env['DATA_DIR'] || './data';
  const logger = createLogger('seed', 'warn');
  const started = performance.now();
  const settings = readCommandSettings(env);
  const { SEALING_KEYS } = readSettings(sealingSettings, env, (values) =>
    onServers(settings) ? missingSealingKeys({ ...values, DATABASE_URL: 'of a server' }) : [],
  );
  if (!onServers(settings)) await makeDataDir(dataDir);
  const urls = await databasesOf(settings, secretsFrom(settings.ASSERTION_SECRET ?? ''));
  const lock = onServers(settings) ? undefined : await lockDataDir(dataDir);
  const closers: (() => Promise<void>)[] = [];
  try {
    const open = async (service: Service, tables: { entities: Function[]; migrations: Function[] }) => {
      const opening = openDatabase({ service, url: urls[service], dataDir, poolMax: 2, logger, ...tables });
      const database = await naming(settings, service, opening);
      closers.push(() => database.close());
      return database;
    };
    const keys = { SEALING_KEYS, DATABASE_URL: urls.users, DATA_DIR: dataDir };
    refuseLostKeys(keys);
    await makeSealingKey(keys);
    const users = await open('users', usersTables);
    const databases = {
      sealer: await openSealerOver(users, keys),
      users,
      posts: await open('posts', postsTables),
      followers: await open('followers', followersTables),
    };
    process.stderr.write(`Seed ${world.seed}: ${figure(world.users)} people …\n`);
    const generated = generateWorld(world);
    const { graph, writings } = generated;
    process.stderr.write(`  ${figure(graph.followers.length)} follows, ${figure(writings.authors.length)} posts\n`);
    if (!again) await refuseWhereLived(databases, generated);
    const progress = showProgress(rowsOf(generated));
    try {
      await loadWorld(databases, generated, PASSWORD, progress);
    } finally {
      progress.stop();
    }
    const seconds = ((performance.now() - started) / 1_000).toFixed(1);
    process.stdout.write(
      `Seeded ${figure(world.users)} people, ${figure(graph.followers.length)} follows and ${figure(writings.authors.length)} posts ` +
        `in ${seconds} s (seed ${world.seed}). The first is ${generated.people[0]?.handle}, password ${PASSWORD}.\n`,
    );
  } finally {
    for (const close of closers) await close();
    await lock?.release();
  }
}

interface Asked extends WorldOptions {
  readonly again: boolean;
}

function read(args: string[]): Asked | undefined {
  try {
    const number = { type: 'string' } as const;
    const { values } = parseArgs({
      args,
      options: {
        users: number,
        follows: number,
        posts: number,
        seed: number,
        again: { type: 'boolean', default: false },
      },
    });
    const users = whole('users', values.users, 10, 1_000_000) ?? 1_000;
    return {
      users,
      follows: whole('follows', values.follows, 0, 100_000_000),
      posts: whole('posts', values.posts, 0, 100_000_000) ?? 20 * users,
      seed: whole('seed', values.seed, 1, 65_535) ?? 1,
      again: values.again,
    };
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n`);
    return undefined;
  }
}

function whole(name: string, text: string | undefined, min: number, max: number): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < min || value > max) {
    throw new RangeError(
      `--${name} takes a whole number from ${figure(min)} to ${figure(max)}; came ${JSON.stringify(text)}`,
    );
  }
  return value;
}

/**
 * A world that is loaded twice is there once, so a load that broke off may be begun again. Where its people have acted since, it would
 * undo what they did: who has unfollowed would follow again, and who is gone would have posts. Whether it was they who acted nothing tells.
 */
async function refuseWhereLived(
  databases: { readonly users: Database; readonly posts: Database; readonly followers: Database },
  { people }: GeneratedWorld,
): Promise<void> {
  const ids = people.slice(0, LOOKED_FOR).map(({ id }) => id);
  const known = await databases.users.query('SELECT FROM users WHERE id = ANY ($1::uuid[]) LIMIT 1', [ids]);
  if (known.length === 0) return;
  for (const database of [databases.users, databases.posts, databases.followers]) {
    const told = await database.query(
      `SELECT FROM pg_sequences WHERE sequencename = 'outbox_position_seq' AND last_value IS NOT NULL`,
    );
    if (told.length > 0)
      throw new Error(
        'These people are here already, and something was done since: to seed them again could undo it. Take another --seed, or empty databases; or say --again, where a load broke off.',
      );
  }
}
