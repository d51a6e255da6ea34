import { openDatabase, type Database } from '#libs/database';
import { recordEvents } from '#libs/outbox';
import { Member } from './crew.js';
import { compare, type Entry } from './ledger.js';
import { eventOf, type LoadOrder, type Moment } from './load.worker.js';
import { OUTBOX, type Place, type Site } from './places.js';
import { zeros, type Figure, type Proof, type Row, type Setup } from './proof.js';

const BACKLOG = 100_000;
const WRITERS = 32;
const SUSTAINED_MS = 15_000;
const PER_SECOND = 200;
const VISIBLE_MS_MAX = { embedded: 50, servers: 100 };

/** What the event path carries, relay and consumer in processes of their own; and that it lost and doubled nothing at that speed. */
export const speed: Proof = {
  name: 'speed',
  says: `a backlog of ${BACKLOG.toLocaleString('en')} drained, writes carried as they come, commit to visible`,
  always: false,
  alone: true,
  wantsDurableServers: true,
  run: async (setup) => {
    const rows: Row[] = [];
    for (const place of setup.places) {
      if (place.name === 'servers') {
        rows.push(await drained(setup, place), await sustained(setup, place));
      }
      rows.push(await visible(setup, place));
    }
    return rows;
  },
};

function drained(setup: Setup, place: Place): Promise<Row> {
  const count = setup.quick ? BACKLOG / 10 : BACKLOG;
  return onSite(setup, place, count, async ({ site, hire, progress }) => {
    await withStore(site, 'users', async (users) => {
      for (let written = 0; written < count; written += 1_000) {
        const version = 1 + written / 1_000;
        const facts = Array.from({ length: 1_000 }, (_, person) => eventOf(person, version));
        await users.transaction(async (tx) => {
          await tx.query(
            'INSERT INTO facts (aggregate, version) SELECT aggregate, $2 FROM unnest($1::text[]) AS aggregate',
            [facts.map(({ aggregate }) => aggregate), version],
          );
          await recordEvents(tx, facts);
        });
      }
      await users.query('ANALYZE outbox');
    });
    const [relay, hear] = [hire({ roles: ['relay'] }), hire({ roles: ['hear'] })];
    await Promise.all([relay.ready(), hear.ready()]);
    const started = performance.now();
    for (const member of [relay, hear]) member.tell({ go: true });
    await withStore(site, 'posts', (posts) => untilHeard(posts, count, progress));
    const seconds = (performance.now() - started) / 1_000;
    return {
      claim: 'backlog drained: relay, stream, effect',
      over: `${count.toLocaleString('en')} events, ${seconds.toFixed(1)} s`,
      figures: [{ name: 'rate', value: count / seconds, unit: 'events/s', must: { atLeast: 5_000 } }],
    };
  });
}

function sustained(setup: Setup, place: Place): Promise<Row> {
  const durationMs = setup.quick ? SUSTAINED_MS / 5 : SUSTAINED_MS;
  return onSite(setup, place, 1, async ({ site, hire, progress }) => {
    const members = [hire({ roles: ['write', 'relay'], writers: WRITERS }), hire({ roles: ['hear'] })];
    await Promise.all(members.map((member) => member.ready()));
    const [writer] = members;
    const stopped = new Promise<number>((resolve) => {
      writer?.heard((message) => message['stopped'] === true && resolve(Number(message['wrote'])));
    });
    const started = performance.now();
    for (const member of members) member.tell({ go: true });
    await new Promise((resolve) => setTimeout(resolve, durationMs));
    writer?.tell({ stop: true });
    const count = await stopped;
    const wroteFor = performance.now() - started;
    await withStore(site, 'posts', (posts) => untilHeard(posts, count));
    const seconds = (performance.now() - started) / 1_000;
    progress(1, 'sustained');
    return {
      claim: `${WRITERS} writers, each write its own transaction`,
      over: `${count.toLocaleString('en')} events, written in ${(wroteFor / 1_000).toFixed(1)} s, all heard after ${seconds.toFixed(1)} s`,
      figures: [{ name: 'rate', value: count / seconds, unit: 'events/s', must: { atLeast: 1_500 } }],
    };
  });
}

function visible(setup: Setup, place: Place): Promise<Row> {
  const durationMs = setup.quick ? 3_000 : 10_000;
  return onSite(setup, place, 1, async ({ hire, progress }) => {
    const load = { writers: 4, perSecond: PER_SECOND };
    const members =
      place.name === 'embedded'
        ? [hire({ roles: ['write', 'relay', 'hear'], ...load })]
        : [hire({ roles: ['write', 'relay'], ...load }), hire({ roles: ['hear'], ...load })];
    const [committed, seen] = [new Map<string, number>(), new Map<string, number>()];
    for (const member of members) {
      member.heard((message) => {
        const { committed: some = [], visible: others = [] } = message as Record<string, Moment[]>;
        for (const [key, atMs] of some) committed.set(key, atMs);
        for (const [key, atMs] of others) seen.set(key, seen.get(key) ?? atMs);
      });
    }
    await Promise.all(members.map((member) => member.ready()));
    for (const member of members) member.tell({ go: true });
    await new Promise((resolve) => setTimeout(resolve, durationMs));
    for (const member of members) await member.dismiss();
    progress(1, 'visible');
    const waits = [...committed].map(([key, atMs]) => (seen.get(key) ?? Number.POSITIVE_INFINITY) - atMs);
    waits.sort((a, b) => a - b);
    const at = (share: number) => waits[Math.min(waits.length - 1, Math.floor(share * waits.length))] ?? Number.NaN;
    const figures: Figure[] = [
      { name: 'p50', value: at(0.5), unit: 'ms' },
      { name: 'p95', value: at(0.95), unit: 'ms' },
      { name: 'p99', value: at(0.99), unit: 'ms', must: { atMost: VISIBLE_MS_MAX[place.name] } },
    ];
    return { claim: 'from commit to visible', over: `${waits.length} events at ${PER_SECOND}/s`, figures };
  });
}

interface Running {
  readonly site: Site;
  hire(order: Omit<LoadOrder, 'site'>): Member;
  progress(count: number, doing: string): void;
}

/** Lays the tables out, measures, and afterwards compares facts with effects: speed that loses is none. */
async function onSite(
  setup: Setup,
  place: Place,
  total: number,
  measure: (running: Running) => Promise<Omit<Row, 'place'>>,
): Promise<Row> {
  const site = await place.prepare({ users: OUTBOX, posts: OUTBOX });
  const members: Member[] = [];
  const bar = setup.progress(total, total === 1 ? 'measurement' : 'events');
  try {
    await withStore(site, 'users', (users) => users.query('CREATE TABLE facts (aggregate text, version int)'));
    await withStore(site, 'posts', (posts) =>
      posts.query(
        'CREATE TABLE ledger (nth bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, aggregate text, version int)',
      ),
    );
    const hire = (order: Omit<LoadOrder, 'site'>): Member => {
      const member = new Member({ job: './load.worker.js', order: () => ({ site: { ...site }, ...order }) });
      members.push(member);
      return member;
    };
    const row = await measure({ site, hire, progress: (count, doing) => bar.add(count, doing) });
    for (const member of members) await member.dismiss();
    const facts = await withStore(site, 'users', (users) => users.query<Entry>('SELECT aggregate, version FROM facts'));
    const effects = await withStore(site, 'posts', (posts) =>
      posts.query<Entry>('SELECT aggregate, version FROM ledger ORDER BY nth'),
    );
    return { ...row, place: place.name, figures: [...row.figures, ...zeros(compare(facts, effects))] };
  } finally {
    bar.stop();
    await Promise.all(members.map((member) => member.destroy()));
    await site.clear();
  }
}

async function untilHeard(posts: Database, count: number, progress?: Running['progress']): Promise<void> {
  let before = 0;
  for (const until = performance.now() + 120_000; ;) {
    // The ledger's own numbering has no gaps where no handler failed.
    const [row] = await posts.query<{ heard: number }>('SELECT coalesce(max(nth), 0)::int AS heard FROM ledger');
    const heard = row?.heard ?? 0;
    progress?.(heard - before, 'heard');
    before = heard;
    if (heard >= count) return;
    if (performance.now() > until) throw new Error(`${heard} of ${count} events were heard within two minutes`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function withStore<T>(site: Site, service: string, work: (database: Database) => Promise<T>): Promise<T> {
  const database = await openDatabase({
    service,
    url: site.urls?.[service],
    dataDir: site.dataDir,
    bulk: true,
    ...OUTBOX,
  });
  try {
    return await work(database);
  } finally {
    await database.close();
  }
}
