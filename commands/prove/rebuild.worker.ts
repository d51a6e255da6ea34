import { AsyncLocalStorage } from 'node:async_hooks';
import { setTrap, type CrashPoint } from '#libs/crash-point';
import { openDatabase, type Database, type Tx } from '#libs/database';
import { countersModel, inBoth, rebuild, type Counted, type ReadModel } from '#libs/read-model';
import { followersCounted } from '../../subgraphs/followers/counters.js';
import { followersTables } from '../../subgraphs/followers/followers.tables.js';
import { postsCounted } from '../../subgraphs/posts/counters.js';
import { postsTables } from '../../subgraphs/posts/posts.tables.js';
import { homeTimelineModel } from '../../subgraphs/posts/timeline/read-model.js';
import { trendingModel } from '../../subgraphs/posts/trending/read-model.js';
import { notificationsModel } from '../../subgraphs/users/notifications/read-model.js';
import { usersTables } from '../../subgraphs/users/users.tables.js';
import type { Boss } from './worker.js';

/**
 * Read models, by their names in `read_models`, that are built anew side by side; or, naively, emptied and filled where they are read, by
 * who knows only from memory how far.
 */
export interface RebuildOrder {
  /** Of the services whose stores are on servers; the others' are embedded in `dataDir`. */
  readonly urls: Readonly<Record<string, string>>;
  readonly dataDir?: string | undefined;
  readonly models: readonly {
    readonly model: string;
    /** Past this point, for the nth time, it does nothing more: it waits for its end, as do the others, so one kill hits each where it is to. */
    readonly until?: { readonly point: CrashPoint; readonly nth: number } | undefined;
  }[];
  readonly naively?: boolean;
}

/** What it tells: where a slice begins that is filled or compared; a slice is done, and it waits to be told to go on; it stands; it has ended. */
export interface RebuildTold {
  readonly model: string;
  readonly fills?: string;
  readonly compares?: string;
  readonly stepped?: true;
  readonly stands?: true;
  readonly ended?: unknown;
}

export async function work({ urls, dataDir, models, naively = false }: RebuildOrder, boss: Boss): Promise<void> {
  const goingOn = new Map<string, () => void>();
  boss.heard(({ goOn }: { goOn: string }) => goingOn.get(goOn)?.());
  setTrap((name) => standing.getStore()?.passes(name));
  const databases = new Map<string, Promise<Database>>();
  const open = (service: Service): Promise<Database> => {
    const opening =
      databases.get(service) ??
      openDatabase({
        service,
        url: urls[service],
        dataDir,
        bulk: true,
        poolMax: 2 * models.length,
        ...TABLES[service],
      });
    databases.set(service, opening);
    return opening;
  };
  await Promise.all(
    models.map(async ({ model: name, until }) => {
      const { service, model, empty } = REBUILDS[name] as Rebuild;
      const tell = (told: Omit<RebuildTold, 'model'>): void => boss.tell({ model: name, ...told });
      const database = await open(service);
      const onStep = (): Promise<void> =>
        new Promise((resolve) => {
          goingOn.set(name, resolve);
          tell({ stepped: true });
        });
      const slices: ReadModel = {
        ...model,
        fill: (tx, slot, after, keysMax) => {
          tell({ fills: after });
          return model.fill(tx, slot, after, keysMax);
        },
        compare: (tx, slots, after, keysMax) => {
          tell({ compares: after });
          return model.compare(tx, slots, after, keysMax);
        },
      };
      const store = new Standing(database, until, () => tell({ stands: true }));
      const ended = await standing.run(store, () =>
        naively ? inPlace(store, slices, empty, onStep) : rebuild(store, slices, { mend: false, onStep }),
      );
      tell({ ended: ended ?? true });
    }),
  );
  for (const database of databases.values()) await (await database).close();
}

const standing = new AsyncLocalStorage<Standing>();

/** The store of one of several rebuilds: once that one has passed its point, whatever it asks of the store next is never done. */
class Standing implements Pick<Database, 'query' | 'transaction'> {
  #left: number;
  #isPast = false;

  constructor(
    private readonly database: Database,
    private readonly until: RebuildOrder['models'][number]['until'],
    private readonly onStand: () => void,
  ) {
    this.#left = until?.nth ?? 0;
  }

  passes(name: CrashPoint): void {
    if (name === this.until?.point && --this.#left === 0) this.#isPast = true;
  }

  async query<Row>(text: string, values?: readonly unknown[]): Promise<Row[]> {
    await this.#orStand();
    return this.database.query<Row>(text, values);
  }

  async transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    await this.#orStand();
    return this.database.transaction(async (tx) => {
      const query: Tx['query'] = async (...statement) => {
        await this.#orStand();
        return tx.query(...statement);
      };
      const done = await work({ ...tx, query });
      await this.#orStand();
      return done;
    });
  }

  #orStand(): Promise<void> {
    if (!this.#isPast) return Promise.resolve();
    this.onStand();
    return new Promise(() => {});
  }
}

type Service = keyof typeof TABLES;
const TABLES = { users: usersTables, posts: postsTables, followers: followersTables };

interface Rebuild {
  readonly service: Service;
  readonly model: ReadModel;
  readonly empty: (tx: Tx, slot: number) => Promise<unknown>;
}

const LIMITS = { pushMax: 1_000, length: 200, trimEvery: 4, sliceMax: 10 };

const REBUILDS: Readonly<Record<string, Rebuild>> = {
  'home-timeline': listsOf('posts', homeTimelineModel(LIMITS)),
  notifications: listsOf('users', notificationsModel),
  trending: listsOf('posts', trendingModel),
  ...countsOf('posts', postsCounted),
  ...countsOf('followers', followersCounted),
};

function listsOf(service: Service, model: ReadModel): Rebuild {
  return { service, model, empty: (tx, slot) => model.clear(tx, slot) };
}

function countsOf(service: Service, all: readonly Counted[]): Record<string, Rebuild> {
  const each = all.map((counted): [string, Rebuild] => {
    const zeros = Object.values(counted.counts).map(({ column }) => inBoth(column, () => '0'));
    const empty = (tx: Tx): Promise<unknown> => tx.query(`UPDATE ${counted.table} SET ${zeros.join(', ')}`);
    return [counted.model, { service, model: countersModel(counted, 25), empty }];
  });
  return Object.fromEntries(each);
}

async function inPlace(
  store: Standing,
  model: ReadModel,
  empty: Rebuild['empty'],
  onStep: () => Promise<void>,
): Promise<void> {
  const slot = await store.transaction(async (tx) => {
    const [row] = await tx.query<{ serving: number }>('SELECT serving FROM read_models WHERE name = $1', [model.name]);
    await empty(tx, row?.serving ?? 1);
    return row?.serving ?? 1;
  });
  for (let after: string | undefined = '00000000-0000-0000-0000-000000000000'; after !== undefined;) {
    const from: string = after;
    const step = await store.transaction((tx) => model.fill(tx, slot, from, model.keysPerStep));
    after = step?.end ? undefined : step?.last;
    await onStep();
  }
}
