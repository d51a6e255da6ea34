import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Ask, FieldFill, RecordStore, Remembered } from './records.js';

const ask = (entity: string, fields = ['name'], more: Partial<Ask> = {}): Ask => ({
  entity,
  variant: '',
  epochs: [],
  fields,
  lease: false,
  ...more,
});
const field = (name: string, value: unknown, more: Partial<FieldFill> = {}): FieldFill => ({
  name,
  value,
  tags: [],
  freshMs: 30_000,
  revalidateMs: 0,
  errorMs: 0,
  ...more,
});

/** What every store of records does. */
export function recordStoreContract(open: () => Promise<RecordStore>): void {
  let store: RecordStore;
  beforeEach(async () => {
    store = await open();
    await store.ready();
  });
  afterEach(() => store.close());

  const values = async (one: Ask): Promise<unknown[]> =>
    (await store.look([one], 'me')).found[0]!.fields.map((kept) => kept?.value);
  const stamp = async (): Promise<Awaited<ReturnType<RecordStore['look']>>['stamp']> =>
    store.cover((await store.look([ask('any')], 'me')).stamp);
  const fill = async (
    entity: string,
    fields: FieldFill[],
    more: Pick<Partial<Ask>, 'variant' | 'epochs'> = {},
  ): Promise<void> => store.fill([{ entity, variant: '', epochs: [], fields, ...more }], await stamp());

  it('gives back the fields that it was given, whenever each came', async () => {
    await fill('a', [field('name', 'Ann')]);
    await fill('a', [field('posts({"first":2})', [{ $ref: 1 }, null])]);
    expect(await values(ask('a', ['posts({"first":2})', 'name', 'bio']))).toEqual([
      [{ $ref: 1 }, null],
      'Ann',
      undefined,
    ]);
  });

  it('keeps null, which is not the same as nothing', async () => {
    await fill('a', [field('name', null)]);
    expect(await values(ask('a'))).toEqual([null]);
  });

  it('a drop takes the record away', async () => {
    await fill('a', [field('name', 'old')]);
    await fill('b', [field('name', 'other')]);
    await store.drop({ entities: ['a'] });
    expect(await values(ask('a'))).toEqual([undefined]);
    expect(await values(ask('b'))).toEqual(['other']);
  });

  it('a load that began before a drop fills nothing, also where there was no record yet', async () => {
    const before = await stamp();
    await store.drop({ entities: ['a'] });
    await store.fill([{ entity: 'a', variant: '', epochs: [], fields: [field('name', 'old')] }], before);
    expect(await values(ask('a'))).toEqual([undefined]);
    await fill('a', [field('name', 'new')]);
    expect(await values(ask('a'))).toEqual(['new']);
  });

  it('a slow load never puts its older value over a newer one', async () => {
    const early = await stamp();
    await store.drop({ epochs: ['something else'] });
    await fill('a', [field('name', 'newer')]);
    await store.fill([{ entity: 'a', variant: '', epochs: [], fields: [field('name', 'older')] }], early);
    expect(await values(ask('a'))).toEqual(['newer']);
  });

  it('what is kept for one viewer is not another’s, and goes with the entity', async () => {
    await fill('a', [field('name', 'for alice')], { variant: 'alice' });
    expect(await values(ask('a'))).toEqual([undefined]);
    expect(await values(ask('a', ['name'], { variant: 'bob' }))).toEqual([undefined]);
    expect(await values(ask('a', ['name'], { variant: 'alice' }))).toEqual(['for alice']);
    await store.drop({ entities: ['a'] });
    expect(await values(ask('a', ['name'], { variant: 'alice' }))).toEqual([undefined]);
  });

  it('an epoch ends every record that lives in it, and every load that began before', async () => {
    const before = await stamp();
    await fill('a', [field('name', 'Ann')], { epochs: ['type User'] });
    await fill('b', [field('name', 'Bob')]);
    await store.drop({ epochs: ['type User'] });
    await store.fill([{ entity: 'c', variant: '', epochs: ['type User'], fields: [field('name', 'Cat')] }], before);
    expect(await values(ask('a', ['name'], { epochs: ['type User'] }))).toEqual([undefined]);
    expect(await values(ask('c', ['name'], { epochs: ['type User'] }))).toEqual([undefined]);
    expect(await values(ask('b'))).toEqual(['Bob']);
  });

  it('a tag ends the fields that carry it', async () => {
    await fill('a', [field('name', 'Ann', { tags: ['front page; 1,2'] }), field('bio', 'hello')]);
    expect(await values(ask('a', ['name', 'bio']))).toEqual(['Ann', 'hello']);
    await store.drop({ epochs: ['front page; 1,2'] });
    expect(await values(ask('a', ['name', 'bio']))).toEqual([undefined, 'hello']);
  });

  it('leases what is missing to one holder at a time, until it is filled', async () => {
    const wanting = ask('a', ['name'], { lease: true });
    expect((await store.look([wanting], 'me')).found[0]!.lease).toBe('yours');
    expect((await store.look([wanting], 'you')).found[0]!.lease).toBe('another');
    expect((await store.look([wanting], 'me')).found[0]!.lease).toBe('yours');
    await fill('a', [field('name', 'Ann')]);
    expect((await store.look([wanting], 'you')).found[0]!.lease).toBe('none');
    // What need not be there is no reason for a lease.
    expect((await store.look([ask('a', ['name', '!gone'], { lease: true })], 'you')).found[0]!.lease).toBe('none');
    expect((await store.look([ask('a', ['bio'], { lease: true })], 'you')).found[0]!.lease).toBe('yours');
  });

  it('tells of a stale field while it may be shown, and leases its renewal', async () => {
    await fill('a', [field('name', 'Ann', { freshMs: 0, revalidateMs: 20_000, errorMs: 10_000 })]);
    await new Promise((resolve) => setTimeout(resolve, 3));
    const { found, stamp: at } = await store.look([ask('a', ['name'], { lease: true })], 'me');
    const [kept] = found[0]!.fields;
    expect(found[0]!.lease).toBe('yours');
    expect(kept!.freshUntil).toBeLessThanOrEqual(at.now);
    expect(kept!.revalidateUntil - kept!.freshUntil).toBe(20_000);
    expect(kept!.errorUntil - kept!.freshUntil).toBe(10_000);
  });

  it('does not show what has run out', async () => {
    await fill('a', [field('name', 'Ann', { freshMs: 1 })]);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(await values(ask('a'))).toEqual([undefined]);
  });

  it('two stamps are equal exactly when nothing was dropped between them', async () => {
    const one = await stamp();
    await fill('a', [field('name', 'Ann')]);
    expect((await stamp()).text).toBe(one.text);
    await store.drop({ entities: ['a'] });
    expect((await stamp()).text).not.toBe(one.text);
  });

  it('forgets the oldest of very many drops, and then refuses what is older than they', async () => {
    const before = await stamp();
    await store.drop({ entities: ['first'] });
    for (let from = 0; from < 21_000; from += 1_000)
      await store.drop({ entities: Array.from({ length: 1_000 }, (_, nth) => `many ${from + nth}`) });
    await store.fill([{ entity: 'first', variant: '', epochs: [], fields: [field('name', 'old')] }], before);
    expect(await values(ask('first'))).toEqual([undefined]);
    await fill('first', [field('name', 'new')]);
    expect(await values(ask('first'))).toEqual(['new']);
  });

  it('drops ten thousand at once, and says so only when all are gone', async () => {
    const entities = Array.from({ length: 10_000 }, (_, nth) => `one of many ${nth}`);
    const some = [0, 999, 1_000, 7_999, 8_000, 9_999].map((nth) => entities[nth]!);
    for (const entity of some) await fill(entity, [field('name', 'old')], { epochs: ['type User'] });
    await fill('in the epoch', [field('name', 'old')], { epochs: ['type User'] });
    await fill('another', [field('name', 'kept')]);
    const before = await stamp();
    const told = [{ name: 'users user:many', version: 1 }];
    await store.drop({ entities, epochs: ['type User'], told });
    expect(await store.told(['users user:many'])).toEqual([1]);
    for (const entity of some) expect(await values(ask(entity))).toEqual([undefined]);
    expect(await values(ask('in the epoch', ['name'], { epochs: ['type User'] }))).toEqual([undefined]);
    expect(await values(ask('another'))).toEqual(['kept']);
    const late = some.map((entity) => ({ entity, variant: '', epochs: [], fields: [field('name', 'late')] }));
    await store.fill(late, before);
    for (const entity of some) expect(await values(ask(entity))).toEqual([undefined]);
  });

  it('knows because of which writes something was dropped', async () => {
    await store.drop({ entities: ['a'], told: [{ name: 'users user:1', version: 7 }] });
    expect(await store.told(['users user:1', 'users user:2'])).toEqual([7, undefined]);
    await store.drop({ told: [{ name: 'users user:1', version: 8 }] });
    expect(await store.told(['users user:1'])).toEqual([8]);
    // Of two processes one may be later.
    await store.drop({ told: [{ name: 'users user:1', version: 7 }] });
    expect(await store.told(['users user:1', 'users user:1'])).toEqual([8, 8]);
  });

  it('a record does not grow with every page that somebody asks for', async () => {
    for (let page = 0; page < 500; page += 100)
      await fill(
        'a',
        Array.from({ length: 100 }, (_, nth) => field(`posts(${page + nth})`, nth)),
      );
    const names = Array.from({ length: 500 }, (_, nth) => `posts(${nth})`);
    const kept = (await values(ask('a', names))).filter((value) => value !== undefined);
    expect(kept.length).toBeLessThanOrEqual(300);
    expect(kept.length).toBeGreaterThan(0);
  });

  describe('what is remembered of looks', () => {
    const remembered = async (asks: Ask[], tags: string[] = []): Promise<Remembered> => {
      const { stamp: at } = await store.look(asks, 'me');
      const epochs = [...asks.flatMap((one) => one.epochs), ...tags];
      return store.remember([{ stamp: at, entities: asks.map(({ entity }) => entity), epochs }]);
    };
    const same = async (...all: Remembered[]): Promise<readonly boolean[]> => (await store.unchanged(all)).same;

    it('is unchanged while nothing is dropped, and while other things are', async () => {
      await fill('a', [field('name', 'Ann')]);
      const one = await remembered([ask('a', ['name'], { epochs: ['type User'] }), ask('b')]);
      expect(await same(one)).toEqual([true]);
      await store.drop({ entities: ['c', 'name'], epochs: ['type Post', 'a'] });
      expect(await same(one)).toEqual([true]);
      await fill('a', [field('name', 'newer')]);
      expect(await same(one)).toEqual([true]);
      expect((await store.unchanged([one])).now).toBeGreaterThan(0);
    });

    it.each([
      ['an entity', { entities: ['a'] }],
      ['an epoch', { epochs: ['type User'] }],
      ['a tag of any spelling', { epochs: ['front "page"\n\u0001 é %41 \u{1f600}'] }],
    ])('is changed by the drop of %s, and stays so', async (_, stale) => {
      const one = await remembered(
        [ask('a', ['name'], { epochs: ['type User'] }), ask('b')],
        ['front "page"\n\u0001 é %41 \u{1f600}'],
      );
      const other = await remembered([ask('b')]);
      await store.drop(stale);
      expect(await same(one, other)).toEqual([false, true]);
      await store.drop({ entities: ['z'] });
      expect(await same(other, one)).toEqual([true, false]);
    });

    it('is changed by a drop between two of the looks', async () => {
      const first = (await store.look([ask('a')], 'me')).stamp;
      await store.drop({ entities: ['a'] });
      const second = (await store.look([ask('b')], 'me')).stamp;
      const sights = [
        { stamp: second, entities: ['b'], epochs: [] },
        { stamp: first, entities: ['a'], epochs: [] },
      ];
      expect(await same(store.remember(sights), store.remember(sights.slice(0, 1)))).toEqual([false, true]);
    });

    it('is told of each of many, also of one that is asked about twice', async () => {
      const pages = await Promise.all(
        Array.from({ length: 30 }, (_, page) =>
          remembered(Array.from({ length: page === 7 ? 1_500 : 100 }, (_, nth) => ask(`${page} ${nth}`))),
        ),
      );
      await store.drop({ entities: ['3 99', '7 1499', '29 0'] });
      const asked = [...pages, ...pages.slice(0, 10)];
      const changed = (await same(...asked)).flatMap((is, nth) => (is ? [] : [nth]));
      expect(changed).toEqual([3, 7, 29, 33, 37]);
      expect(await same(pages[0]!, pages[0]!)).toEqual([true, true]);
      expect((await store.unchanged([])).same).toEqual([]);
    });

    it('is changed when so much was dropped that nobody knows any more', async () => {
      const one = await remembered([ask('never dropped', ['name'], { epochs: ['never dropped'] })]);
      for (let from = 0; from < 21_000; from += 1_000)
        await store.drop({ epochs: Array.from({ length: 1_000 }, (_, nth) => `many ${from + nth}`) });
      expect(await same(one)).toEqual([false]);
    });
  });
}
