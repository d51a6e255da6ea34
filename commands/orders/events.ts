import { parseArgs } from 'node:util';
import type { Database } from '#libs/database';
import { cleanOutbox, KEEP_DAYS, publishAgain, quarantined, replay } from '#libs/outbox';
import { SERVICES, type Service } from '../databases.js';
import type { Order, Work } from './order.js';

const USAGE = `npm run events -- quarantined|replay|publish-again|clean [--service users|posts|followers] [options]

  quarantined    events that could not take effect, each the first of its aggregate's line
  replay         has them tried again from the start; --aggregate takes one aggregate's only
  publish-again  has all events that are still in the outbox told again; what was heard has no second effect
  clean          forgets what was published longer than --keep-days ago (${KEEP_DAYS})

Without --service it goes through all three, on the databases that npm start would use, also while it runs: USERS_DATABASE_URL,
POSTS_DATABASE_URL and FOLLOWERS_DATABASE_URL, or DATABASE_URL; or embedded under DATA_DIR, where npm start does it itself if it runs,
all but publish-again, which is one transaction: there it is to be stopped first.
`;

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
  readonly aggregate: string | undefined;
  readonly keepDays: number;
}

export const eventsOrder: Order = {
  name: 'events',
  usage: USAGE,
  read(args) {
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
    return {
      services,
      // 4.5 s for 100,000 events: half of an aggregate's must not be told without the others.
      isOneSlice: name === 'publish-again',
      run: (work) => carryOut(action, services, { aggregate: values.aggregate, keepDays }, work),
    };
  },
};

async function carryOut(
  action: Action,
  services: readonly Service[],
  options: Options,
  { databases, screen, rest }: Work,
): Promise<number> {
  let said = 0;
  for (const service of services) {
    for (const line of await action(service, databases[service] as Database, options)) {
      screen.say(line);
      said += 1;
    }
    await rest();
  }
  if (said === 0) screen.say('Nothing is in quarantine.');
  return 0;
}
