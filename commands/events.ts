import { parseArgs } from 'node:util';
import { lockDataDir, openDatabase, type Database } from '#libs/database';
import { cleanOutbox, KEEP_DAYS, publishAgain, quarantined, replay } from '#libs/outbox';
import type { Environment } from '#libs/settings';
import { createLogger } from '#libs/telemetry';
import { followersTables } from '../subgraphs/followers/followers.tables.js';
import { postsTables } from '../subgraphs/posts/posts.tables.js';
import { usersTables } from '../subgraphs/users/users.tables.js';
import { onServers, SERVICES, type Service } from './databases.js';
import { findStores } from './stores.js';

const USAGE = `npm run events -- quarantined|replay|publish-again|clean [--service users|posts|followers] [options]

  quarantined    events that could not take effect, each the first of its aggregate's line
  replay         has them tried again from the start; --aggregate takes one aggregate's only
  publish-again  has all events that are still in the outbox told again; what was heard has no second effect
  clean          forgets what was published longer than --keep-days ago (${KEEP_DAYS})

Without --service it goes through all three, on the databases that npm start would use: embedded under DATA_DIR while it is
stopped, or USERS_DATABASE_URL, POSTS_DATABASE_URL and FOLLOWERS_DATABASE_URL, or DATABASE_URL.
`;

const TABLES = { users: usersTables, posts: postsTables, followers: followersTables };

type Action = (service: Service, database: Database, options: Options) => Promise<string[]>;

const ACTIONS: Readonly<Record<string, Action>> = {
  quarantined: async (service, database) =>
    (await quarantined(database)).map(({ event, tries, reason, behind, since }) =>
      [
        `${service}  ${event.aggregate}  ${event.type} ${event.aggregateVersion}  since ${since.toISOString()}`,
        `  ${tries} tries, ${behind} behind it: ${reason}`,
      ].join('\n'),
    ),
  // A service hears as the group of its own name.
  replay: async (service, database, { aggregate }) => [
    `${service}  ${await replay(database, service, aggregate)} events are tried again`,
  ],
  'publish-again': async (service, database) => [`${service}  ${await publishAgain(database)} events are told again`],
  clean: async (service, database, { keepDays }) => [
    `${service}  ${await cleanOutbox(database, keepDays * 86_400_000)} events are forgotten`,
  ],
};

interface Options {
  readonly services: readonly Service[];
  readonly aggregate: string | undefined;
  readonly keepDays: number;
}

const asked = read(process.argv.slice(2));
if (asked === undefined) {
  process.stderr.write(USAGE);
  process.exitCode = 2;
} else {
  try {
    await carryOut(asked.action, asked.options, process.env);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}

async function carryOut(action: Action, options: Options, env: Environment): Promise<void> {
  const logger = createLogger('events', 'warn');
  const { settings, dataDir, urls } = await findStores(env);
  // One process at a time has the embedded databases; the message names who.
  const lock = onServers(settings) ? undefined : await lockDataDir(dataDir);
  try {
    let said = 0;
    for (const service of options.services) {
      const database = await openDatabase({
        service,
        url: urls[service],
        dataDir,
        poolMax: 2,
        logger,
        ...TABLES[service],
      });
      try {
        for (const line of await action(service, database, options)) {
          process.stdout.write(`${line}\n`);
          said += 1;
        }
      } finally {
        await database.close();
      }
    }
    if (said === 0) process.stdout.write('Nothing is in quarantine.\n');
  } finally {
    await lock?.release();
  }
}

function read(args: string[]): { action: Action; options: Options } | undefined {
  try {
    const text = { type: 'string' } as const;
    const { positionals, values } = parseArgs({
      args,
      allowPositionals: true,
      options: { service: text, aggregate: text, 'keep-days': text },
    });
    const [name = '', ...more] = positionals;
    const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined;
    if (action === undefined || more.length > 0) throw new RangeError(`one of ${Object.keys(ACTIONS).join(', ')}`);
    const services = SERVICES.filter((service) => values.service === undefined || values.service === service);
    if (services.length === 0) throw new RangeError(`--service takes one of ${SERVICES.join(', ')}`);
    const keepDays = Number(values['keep-days'] ?? KEEP_DAYS);
    if (!Number.isInteger(keepDays) || keepDays < 0) throw new RangeError('--keep-days takes a whole number');
    return { action, options: { services, aggregate: values.aggregate, keepDays } };
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n`);
    return undefined;
  }
}
