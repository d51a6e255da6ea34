import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CrashPoint } from '#libs/crash-point';
import type { RebuildOrder } from '../../commands/prove/rebuild.worker.js';
import { Load } from '../load.js';
import { SEED } from '../seed.js';
import { withServer } from '../servers/needs.js';
import { startRebuild, type Meanwhile, type Slices } from './rebuild-process.js';
import { layOutEmbedded, openFollowersStore, openPostsStore, openUsersStore, type Store } from './rebuilt-stores.js';

const OPEN = { posts: openPostsStore, users: openUsersStore, followers: openFollowersStore };
type Service = keyof typeof OPEN;
const SERVICES = Object.keys(OPEN) as Service[];

/** Everything that `npm run rebuild` builds in slices, and how many of its keys are one. */
const MODELS = [
  { model: 'home-timeline', service: 'posts', perSlice: 25 },
  { model: 'notifications', service: 'users', perSlice: 200 },
  { model: 'post-counts', service: 'posts', perSlice: 25 },
  { model: 'author-counts', service: 'posts', perSlice: 25 },
  { model: 'trending', service: 'posts', perSlice: 1 },
  { model: 'follow-counts', service: 'followers', perSlice: 25 },
] as const satisfies readonly { model: string; service: Service; perSlice: number }[];
type Model = (typeof MODELS)[number]['model'];

/** Its third slice is filled, and is lost, or is kept; two transactions come before the first. By the day, one model this way and the next that. */
const WHILE_FILLING = [
  { until: { point: 'project:filled', nth: 3 }, kept: 2 },
  { until: { point: 'commit:after', nth: 5 }, kept: 3 },
] as const;
const fillingOf = (model: Model) => WHILE_FILLING[(SEED + MODELS.findIndex((one) => one.model === model)) % 2]!;

const started: ReturnType<typeof startRebuild>[] = [];
afterEach(() => {
  for (const one of started.splice(0)) one.kill();
});

withServer('postgres', `processes that rebuild read models, ended by kill -9, with the seed ${SEED}`, (admin = '') => {
  const stores = {} as Record<Service, Store>;
  const besides = {} as Record<Service, WritesAndReads>;
  const urls = {} as Record<Service, string>;
  let before: Each<State>;
  let [first, second, third, fourth]: Each<Slices>[] = [];
  beforeAll(async () => {
    for (const service of SERVICES) {
      stores[service] = await OPEN[service](admin);
      urls[service] = stores[service].url as string;
      besides[service] = new WritesAndReads(stores[service]);
    }
    before = await states();
    // They go on whatever is killed.
    for (const beside of Object.values(besides)) beside.goOn();
  });
  afterAll(async () => {
    await Promise.all(Object.values(besides).map((beside) => beside.end()));
    await Promise.all(Object.values(stores).map((store) => store.close()));
  });

  const states = (): Promise<Each<State>> => each(async ({ model, service }) => stateOf(stores[service], model));
  /** All models by one process; killed when each of them stands where it is to. */
  const rebuildAll = (
    until: (model: Model) => Until | undefined,
    meanwhile: Meanwhile = {
      between: (model) => besides[MODELS.find((one) => one.model === model)!.service].some(),
    },
  ): Promise<Each<Slices>> =>
    run({ urls, models: MODELS.map(({ model }) => ({ model, until: until(model) })) }, meanwhile);
  const other = (model: Model): number => 3 - before[model].serving;

  it('in the middle of filling: the old version answers on, and what is filled is known', async () => {
    first = await rebuildAll((model) => fillingOf(model).until);
    expect(await states()).toEqual(
      await each(({ model, perSlice }) => ({
        serving: before[model].serving,
        building: other(model),
        phase: 'filling',
        // Where the third slice begins, or behind it.
        cursor: fillingOf(model).kept === 2 ? first![model].fills[2] : expect.any(String),
        done: fillingOf(model).kept * perSlice,
      })),
    );
    expect(await each(({ model }) => first![model].fills.length)).toEqual(await each(() => 3));
  });

  it('in the middle of comparing: the second process had filled the rest, and no slice that the first had', async () => {
    const cursors = await states();
    second = await rebuildAll(() => ({ point: 'project:compared', nth: 2 }));
    expect(await each(({ model }) => second![model].fills[0])).toEqual(
      await each(({ model }) => cursors[model].cursor),
    );
    const kept = (model: Model): readonly string[] => first![model].fills.slice(0, fillingOf(model).kept);
    expect(await each(({ model }) => second![model].fills.filter((at) => kept(model).includes(at)))).toEqual(
      await each(() => []),
    );
    expect(await states()).toMatchObject(
      await each(({ model }) => ({
        serving: before[model].serving,
        phase: 'comparing',
        cursor: second![model].compares[1],
      })),
    );
  });

  it('when all is compared and it is about to switch: the third had only compared the rest, and nothing is switched', async () => {
    third = await rebuildAll(() => ({ point: 'project:switching', nth: 1 }));
    expect(await each(({ model }) => [third![model].fills, third![model].compares[0]])).toEqual(
      await each(({ model }) => [[], second![model].compares[1]]),
    );
    expect(await each(({ model }) => third![model].compares.includes(second![model].compares[0]!))).toEqual(
      await each(() => false),
    );
    expect(await states()).toMatchObject(
      await each(({ model }) => ({ serving: before[model].serving, building: other(model), phase: 'comparing' })),
    );
  });

  it('when it has switched: the fourth did nothing else, all is what plain SQL says, and no read was wrong', async () => {
    const cursors = await states();
    fourth = await rebuildAll(() => ({ point: 'project:switched', nth: 1 }));
    // It looks whether something has come behind the last, and at what has.
    expect(await each(({ model }) => [fourth![model].fills, fourth![model].ended, fourth![model].compares[0]])).toEqual(
      await each(({ model }) => [[], undefined, cursors[model].cursor]),
    );
    expect(await each(({ model }) => fourth![model].compares.filter((at) => at < cursors[model].cursor))).toEqual(
      await each(() => []),
    );
    expect(await states()).toMatchObject(
      await each(({ model }) => ({ serving: other(model), building: null, phase: 'idle' })),
    );
    await Promise.all(Object.values(besides).map((beside) => beside.end()));
    expect(Object.values(besides).map(({ wrong, rounds }) => [wrong, rounds > 20])).toEqual(
      SERVICES.map(() => [[], true]),
    );
    for (const { model, service } of MODELS) await stores[service].isTrue(model);
  });

  it('what it has left of the old version is in nobody’s way when all is built once more', async () => {
    const fifth = await rebuildAll(() => undefined, {});
    expect(await each(({ model }) => fifth[model].ended)).toEqual(
      await each(() => ({ switched: true, differing: 0, resumed: false })),
    );
    expect(await states()).toMatchObject(
      await each(({ model }) => ({ serving: before[model].serving, phase: 'idle' })),
    );
    for (const { model, service } of MODELS) await stores[service].isTrue(model);
  });

  it('control: emptied and filled in place, by who knows only from memory how far, reads lack what is not filled, and all of it is done again', async () => {
    const models = (['notifications', 'follow-counts'] as const).map((model) => ({ model }));
    const until = { point: 'commit:after', nth: 3 } as const;
    const stopped = await run({ urls, models: models.map((one) => ({ ...one, until })), naively: true });
    expect(await stores.users.read()).not.toEqual([]);
    expect(await stores.followers.read()).not.toEqual([]);
    const again = await run({ urls, models, naively: true });
    for (const { model } of models) {
      expect(stopped[model].fills).toHaveLength(2);
      expect(again[model].fills.slice(0, 2)).toEqual(stopped[model].fills);
    }
    expect([await stores.users.read(), await stores.followers.read()]).toEqual([[], []]);
  });
});

/**
 * One process at a time has a store: first the rebuild, then, when that was killed, the service, which writes and reads. Home
 * timelines and the counts of posts are built anew so by `npm run prove -- timelines`; while the service runs, all of them are by
 * rebuilt-beside.test.ts.
 */
describe(`embedded stores whose rebuild is ended by kill -9, with the seed ${SEED}`, () => {
  const embedded = [
    { model: 'notifications', service: 'users' },
    { model: 'trending', service: 'posts' },
    { model: 'follow-counts', service: 'followers' },
  ] as const satisfies readonly { model: Model; service: Service }[];
  let dataDir: string;
  let open: Awaited<ReturnType<typeof layOutEmbedded>>;
  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'rebuilt-'));
    open = await layOutEmbedded(dataDir);
  });
  afterAll(() => rm(dataDir, { recursive: true, force: true }));

  it('goes on where it was killed, at four points, and what the services were told between is in both versions', async () => {
    type Step = { until: (model: Model) => Until; says: Partial<State> };
    const steps: readonly Step[] = [
      { until: (model) => fillingOf(model).until, says: { serving: 1, building: 2, phase: 'filling' } },
      { until: () => ({ point: 'project:compared', nth: 2 }), says: { serving: 1, building: 2, phase: 'comparing' } },
      { until: () => ({ point: 'project:switching', nth: 1 }), says: { serving: 1, building: 2, phase: 'comparing' } },
      { until: () => ({ point: 'project:switched', nth: 1 }), says: { serving: 2, building: null, phase: 'idle' } },
    ];
    const did: Each<Slices>[] = [];
    for (const { until, says } of steps) {
      const models = embedded.map(({ model }) => ({ model, until: until(model) }));
      did.push(await run({ urls: {}, dataDir, models }));
      for (const { model, service } of embedded) {
        const store = await open[service]();
        try {
          expect([model, await stateOf(store, model)]).toEqual([model, expect.objectContaining(says)]);
          for (let times = 0; times < 5; times++) await store.write();
          expect([model, await store.read()]).toEqual([model, []]);
          await store.isTrue(model);
        } finally {
          await store.close();
        }
      }
    }
    for (const { model } of embedded) {
      const [first, second, third, fourth] = did.map((slices) => slices[model]) as [Slices, Slices, Slices, Slices];
      const { kept } = fillingOf(model);
      // Filled once, compared once, but for the slice that was lost, or not noted.
      expect([first.fills.length, second.fills.filter((at) => first.fills.slice(0, kept).includes(at))]).toEqual([
        3,
        [],
      ]);
      expect([third.fills, third.compares[0], third.compares.includes(second.compares[0] as string)]).toEqual([
        [],
        second.compares[1],
        false,
      ]);
      expect([fourth.fills, fourth.compares.filter((at) => third.compares.slice(0, -1).includes(at))]).toEqual([
        [],
        [],
      ]);
    }
  }, 300_000);
});

function start(order: RebuildOrder, meanwhile?: Meanwhile): ReturnType<typeof startRebuild> {
  const rebuilding = startRebuild(order, meanwhile);
  started.push(rebuilding);
  return rebuilding;
}

const run = async (order: RebuildOrder, meanwhile?: Meanwhile) => (await start(order, meanwhile).ended) as Each<Slices>;

type Until = { readonly point: CrashPoint; readonly nth: number };
type Each<T> = Record<Model, T>;

async function each<T>(of: (one: (typeof MODELS)[number]) => T | Promise<T>): Promise<Each<T>> {
  const entries = MODELS.map(async (one) => [one.model, await of(one)] as const);
  return Object.fromEntries(await Promise.all(entries)) as Each<T>;
}

interface State {
  readonly serving: number;
  readonly building: number | null;
  readonly phase: string;
  readonly cursor: string;
  readonly done: number;
}

async function stateOf({ database }: Store, model: string): Promise<State> {
  const [row] = await database.query<State>(
    'SELECT serving, building, phase, cursor, done::int FROM read_models WHERE name = $1',
    [model],
  );
  return row as State;
}

class WritesAndReads extends Load {
  rounds = 0;
  readonly wrong: unknown[] = [];

  constructor(private readonly store: Store) {
    super();
  }

  override async some(): Promise<void> {
    await this.store.write();
    this.wrong.push(...(await this.store.read()));
    this.rounds += 1;
  }
}
