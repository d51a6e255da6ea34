import { parseArgs } from 'node:util';
import type { Database } from '#libs/database';
import { countersModel, rebuild, type ReadModel } from '#libs/read-model';
import type { Environment } from '#libs/settings';
import { figure } from '../figure.js';
import { followersCounted } from '../../subgraphs/followers/counters.js';
import { readPostsConfig, timelineLimits } from '../../subgraphs/posts/config.js';
import { postsCounted } from '../../subgraphs/posts/counters.js';
import { homeTimelineModel } from '../../subgraphs/posts/timeline/read-model.js';
import { trendingModel } from '../../subgraphs/posts/trending/read-model.js';
import { notificationsModel } from '../../subgraphs/users/notifications/read-model.js';
import type { Service } from '../databases.js';
import type { Job, Order, Work } from './order.js';

const USAGE = `npm run rebuild -- home-timeline|notifications|counters|trending [--mend]

  home-timeline  everybody's list, from posts and follows, into a second version while the first answers; compared, then switched
  notifications  the same, from what was heard
  counters       the same, every count from its rows (npm run reconcile -- --mend corrects single ones in place); when all processes
                 are of this version: one of before changes only the first version of a count, which no comparison sees in time
  trending       the materialized views of eight days, one after the other, compared with what plain SQL says at the same moment

Stopped at any moment, also by kill -9, they go on where they were when they are called again within a day of their beginning. When
what was built would not answer as it must, the old version stays, and it ends with 1; --mend switches all the same, for an old one that
is wrong.

On the databases that npm start would use, also while it runs: USERS_DATABASE_URL, POSTS_DATABASE_URL and FOLLOWERS_DATABASE_URL, or
DATABASE_URL; or embedded under DATA_DIR, where npm start does it itself if it runs.
`;

type Models = Readonly<Partial<Record<Service, readonly ReadModel[]>>>;

const MODELS: Readonly<Record<string, (env: Environment) => Models>> = {
  // Of these settings it needs the length of a list; the others have defaults, or are the service's business.
  'home-timeline': (env) => ({ posts: [homeTimelineModel(timelineLimits(readPostsConfig(onlyTimeline(env))))] }),
  notifications: () => ({ users: [notificationsModel] }),
  counters: () => ({
    posts: postsCounted.map((counted) => countersModel(counted)),
    followers: followersCounted.map((counted) => countersModel(counted)),
  }),
  trending: () => ({ posts: [trendingModel] }),
};

export const rebuildOrder: Order = {
  name: 'rebuild',
  usage: USAGE,
  read(args): Job {
    const { positionals, values } = parseArgs({
      args,
      allowPositionals: true,
      options: { mend: { type: 'boolean', default: false } },
    });
    const [name = '', ...more] = positionals;
    const models = Object.hasOwn(MODELS, name) ? MODELS[name] : undefined;
    if (models === undefined || more.length > 0)
      throw new RangeError(`it takes one of ${Object.keys(MODELS).join(', ')}`);
    return {
      services: Object.keys(models({})) as Service[],
      run: (work) => rebuildAll(models(work.env), values.mend, work),
    };
  },
};

async function rebuildAll(models: Models, mend: boolean, work: Work): Promise<number> {
  let code = 0;
  for (const [service, some] of Object.entries(models) as [Service, readonly ReadModel[]][])
    for (const model of some) if (!(await rebuildOne(work.databases[service] as Database, model, mend, work))) code = 1;
  if (code > 0) work.screen.warn('The versions differ, so the old one goes on answering; --mend takes the new one.');
  return code;
}

/** False: not switched. */
async function rebuildOne(
  database: Database,
  model: ReadModel,
  mend: boolean,
  { screen, rest, sliceMs }: Work,
): Promise<boolean> {
  const total = await model.total(database);
  const started = performance.now();
  const filled = { keys: 0, rows: 0, seconds: 0 };
  // Every key is filled and compared.
  const progress = screen.progress(Math.max(1, 2 * total), `${model.keys}, twice`);
  try {
    const { switched, differing, resumed, notEmptied } = await rebuild(database, model, {
      mend,
      stepMs: sliceMs,
      pause: rest,
      onResume: (done) => progress.add(done, 'gone on with'),
      onStep: ({ phase, keys, rows }) => {
        if (phase === 'filling') {
          filled.keys += keys;
          filled.rows += rows;
          filled.seconds = (performance.now() - started) / 1_000;
        }
        const rate = Math.round(filled.rows / Math.max(0.001, filled.seconds));
        progress.add(keys, phase === 'filling' ? `filled, ${figure(rate)} rows/s` : 'compared');
        return rest();
      },
    });
    progress.stop();
    const rate = filled.seconds === 0 ? 0 : Math.round(filled.rows / filled.seconds);
    screen.say(
      `${model.name}: ${resumed ? 'gone on with, ' : ''}${figure(filled.keys)} ${model.keys}, ${figure(filled.rows)} rows filled at ` +
        `${figure(rate)} rows/s; ${figure(differing)} differ; ${switched ? 'switched' : 'not switched'}; ${seconds(started)} s`,
    );
    if (notEmptied)
      screen.say(
        `${model.name}: the version that does not answer was in use, and is not emptied; the next rebuild empties it`,
      );
    return switched;
  } finally {
    progress.stop();
  }
}

function onlyTimeline(env: Environment): Environment {
  return { TIMELINE_LENGTH: env['TIMELINE_LENGTH'], TIMELINE_PUSH_MAX: env['TIMELINE_PUSH_MAX'] };
}

function seconds(since: number): string {
  return ((performance.now() - since) / 1_000).toFixed(1);
}
