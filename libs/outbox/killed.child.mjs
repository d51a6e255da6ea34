// A small service pair that `killed.test.ts` starts and that kills itself where it is told to: `users` writes facts, `posts`
// enters their effects in a ledger. Plain JavaScript on the built libraries, because a killed process must be a real one.
import { openDatabase } from '#libs/database';
import { consume, openStream, outboxMigrations, recordEvent, Relay } from '#libs/outbox';
import { silent } from '#libs/telemetry';

const PERSONS = 10;
const { urls, redisUrl, dataDir, facts, outbox, inbox, killAt } = JSON.parse(process.argv[2]);
setTimeout(() => process.exit(3), 60_000).unref();

const point = (name) => {
  if (name === killAt) process.kill(process.pid, 'SIGKILL');
};

const open = (service) =>
  openDatabase({
    service,
    url: urls?.[service],
    dataDir,
    entities: [],
    migrations: [...outboxMigrations],
    logger: silent,
  });
const users = await open('users');
const posts = await open('posts');
const stream = openStream({ redisUrl, logger: silent, listeners: { users: ['posts'] } });

const enter = async (tx, { aggregate, aggregateVersion }) => {
  await tx.query('INSERT INTO ledger (aggregate, version) VALUES ($1, $2)', [aggregate, aggregateVersion]);
  point('before the effect is committed');
};
posts.afterCommit(async () => point('after the effect, before it is acknowledged'));
const consumer = inbox
  ? consume({ database: posts, stream, group: 'posts', hear: { 'profile-edited': enter }, logger: silent })
  : stream.subscribe('posts', ['users'], async (events) => {
      for (const event of events) {
        await posts.transaction((tx) => enter(tx, event));
        point('after the effect, before it is acknowledged');
      }
    });

const observed = {
  publish: async (events) => {
    point('after the fact is committed, before it is published');
    await stream.publish(events);
    point('after it is published, before it is marked');
  },
};
const relay = new Relay({ database: users, stream: observed, pollMs: 60_000, logger: silent });
if (outbox) relay.start();

const [{ done }] = await users.query('SELECT count(*)::int AS done FROM facts');
for (let nth = done; nth < facts; nth++) {
  const id = `00000000-0000-7000-8000-${String(nth % PERSONS).padStart(12, '0')}`;
  const fact = {
    type: 'profile-edited',
    aggregate: `user:${id}`,
    aggregateVersion: 1 + Math.floor(nth / PERSONS),
    actor: null,
    payload: { userId: id, handle: 'new', previousHandle: 'old' },
  };
  let told = [];
  await users.transaction(async (tx) => {
    await tx.query('INSERT INTO facts (aggregate, version) VALUES ($1, $2)', [fact.aggregate, fact.aggregateVersion]);
    await recordEvent(tx, fact);
    told = [...tx.events];
  });
  if (!outbox) await observed.publish(told);
}
if (outbox) await relay.settled();
await consumer.settled();
process.exit(0);
