import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as conventions from '@opentelemetry/semantic-conventions/incubating';
import { randomBytes } from 'node:crypto';
import { silent, type Logger } from '#libs/telemetry';
import { alice, bob } from '../people.js';
import { withServer } from '../servers/needs.js';
import { startRedis } from '../servers/redis.js';
import { startWorld, type Answer, type Person, type World } from '../world.js';
import { startCollector, type Collector, type Received } from './collector.js';

const FOLLOW = 'mutation Follow($id: ID!) { follow(userId: $id) { id followerCount } }';

const UNFOLLOW = 'mutation Unfollow($id: ID!) { unfollow(userId: $id) { id } }';

interface Watched {
  readonly world: World;
  readonly collector: Collector;
  readonly alice: Person;
  readonly bob: Person;
  /** Sends it as part of a trace that whoever asks us keeps, or does not keep; resolves when all that follows from it is done. */
  ask(query: string, variables: object, as?: Person, kept?: boolean): Promise<{ traceId: string; answer: Answer }>;
  /** What of this trace has arrived at the collector, when nothing more will. */
  spansOf(traceId: string): readonly Received[];
  close(): Promise<void>;
}

/** By itself nothing is kept: what is, is because whoever asked said so. */
async function watch(env: Record<string, string> = {}, logger: Logger = silent): Promise<Watched> {
  const collector = await startCollector();
  const world = await startWorld(
    { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_TRACES_SAMPLER_ARG: '0', ...env },
    logger,
  );
  const people = [await world.signUp(alice), await world.signUp(bob)] as const;
  await world.settle();
  return {
    world,
    collector,
    alice: people[0],
    bob: people[1],
    async ask(query, variables, as, kept = true) {
      const traceId = randomBytes(16).toString('hex');
      const answer = await world.ask(
        query,
        { ...variables },
        {
          traceparent: `00-${traceId}-${CALLER}-${kept ? '01' : '00'}`,
          ...(as ? { authorization: `Bearer ${as.token}` } : {}),
        },
      );
      await world.settle();
      return { traceId, answer };
    },
    spansOf: (traceId) => collector.spans.filter((span) => span.traceId === traceId),
    async close() {
      await world.close();
      await collector.close();
    },
  };
}

const CALLER = '00f067aa0ba902b7';

/** From a span up to the root, as `kind service name`. */
function wayUp(span: Received, spans: readonly Received[]): string[] {
  const parent = spans.find(({ spanId }) => spanId === span.parentSpanId);
  return [`${span.kind} ${span.service} ${span.name}`, ...(parent ? wayUp(parent, spans) : [span.parentSpanId ?? ''])];
}

const ROOT = ['server gateway POST /graphql', CALLER];
const WRITE = ['server followers POST /graphql', 'client gateway POST followers', ...ROOT];
/** What a follow brings about in the other two services, up to the click. */
const EFFECTS = ['posts', 'users'].map((service) => [
  `consumer ${service} process followers`,
  'producer followers publish followers',
]);

function effectsIn(spans: readonly Received[]): string[][] {
  return spans
    .filter(({ kind, service }) => kind === 'consumer' && service !== 'followers')
    .map((span) => wayUp(span, spans))
    .toSorted((one, other) => one.join().localeCompare(other.join()));
}

const logged: object[] = [];
const note = (fields: object): void => void logged.push(fields);
let watched: Watched;
const seen = {} as Record<
  'followed' | 'posted' | 'notKept' | 'stumbled' | 'read' | 'untold' | 'secret' | 'failed',
  string
>;
const BODY = 'Nobody but my readers is to see this sentence';
const EMAIL = 'zora.secret@example.org';

beforeAll(async () => {
  watched = await watch({}, { ...silent, error: note });
  const { world, alice, bob, ask } = watched;
  seen.followed = (await ask(FOLLOW, { id: bob.id }, alice)).traceId;
  seen.notKept = (await ask(FOLLOW, { id: alice.id }, bob, false)).traceId;
  seen.read = (await ask('{ userByHandle(handle: "bob") { displayName followerCount } }', {})).traceId;
  const input = { handle: 'zora', displayName: 'Zora Secret', email: EMAIL, password: 'a-long-password-of-zora' };
  const signedUp = await ask(
    'mutation SignUp($input: SignUpInput!) { signUp(input: $input) { token user { id handle } } }',
    { input },
  );
  seen.secret = signedUp.traceId;
  const posted = await ask(
    'mutation Post($input: PublishPostInput!) { publishPost(input: $input) { id body } }',
    { input: { body: BODY } },
    alice,
  );
  seen.posted = posted.traceId;
  expect([signedUp.answer.errors, posted.answer.errors]).toEqual([[], []]);

  // It takes effect at the third try, which the quarantine makes.
  await world.posts.database.query('CREATE SEQUENCE tries');
  await world.posts.database.query(
    `CREATE FUNCTION stumble() RETURNS trigger LANGUAGE plpgsql AS
     'BEGIN IF nextval(''tries'') < 3 THEN RAISE EXCEPTION ''stumbled''; END IF; RETURN NULL; END'`,
  );
  await world.posts.database.query(
    'CREATE TRIGGER stumble BEFORE INSERT OR UPDATE OR DELETE ON follow_edges FOR EACH STATEMENT EXECUTE FUNCTION stumble()',
  );
  seen.stumbled = (await ask(UNFOLLOW, { id: alice.id }, bob)).traceId;

  // As a service before this column would have written it.
  await world.followers.database.query(
    `CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.trace = NULL; RETURN NEW; END'`,
  );
  await world.followers.database.query(
    `CREATE TRIGGER forget BEFORE INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION forget()`,
  );
  seen.untold = (await ask(UNFOLLOW, { id: bob.id }, alice)).traceId;

  await world.users.database.query('DROP TABLE handles, users CASCADE');
  seen.failed = (await ask('{ userByHandle(handle: "nobody_knew") { displayName } }', {})).traceId;
  await watched.close();
}, 180_000);
afterAll(() => watched?.close());

describe('one trace from click to read model', () => {
  it('a follow: gateway, call, service, SQL, outbox, stream, and its effects in the other services', () => {
    const spans = watched.spansOf(seen.followed);
    expect(effectsIn(spans)).toEqual(EFFECTS.map((effect) => [...effect, ...WRITE]));
    const statements = spans.filter(({ attributes }) => attributes['db.system.name'] === 'postgresql');
    const ways = statements.map((span) => wayUp(span, spans).join(' < '));
    expect(ways).toContain(['client followers INSERT outbox', ...WRITE].join(' < '));
    expect(ways).toContain(['client followers COMMIT', ...WRITE].join(' < '));
    expect(ways).toContain(['client posts WITH inbox', ...EFFECTS[0]!, ...WRITE].join(' < '));
    expect(ways).toContain(['client users WITH inbox', ...EFFECTS[1]!, ...WRITE].join(' < '));
    expect(spans.filter(({ failed }) => failed)).toEqual([]);
  });

  it('control: an event without it is told and heard all the same, and nothing of that is in the trace', () => {
    const spans = watched.spansOf(seen.untold);
    expect(spans.map(({ name }) => name)).toContain('INSERT outbox');
    expect(effectsIn(spans)).toEqual([]);
    expect(spans.filter(({ kind }) => kind === 'producer')).toEqual([]);
  });

  it('an event that took effect only after it was held back: each try, up to the one that did it', () => {
    const tries = watched
      .spansOf(seen.stumbled)
      .filter(({ kind, service }) => kind === 'consumer' && service === 'posts');
    expect(tries.map(({ failed }) => failed)).toContain(true);
    expect(tries.filter(({ failed }) => !failed)).toHaveLength(1);
    expect(wayUp(tries.at(-1)!, watched.spansOf(seen.stumbled))).toEqual([...EFFECTS[0]!, ...WRITE]);
  });

  it('a read: planned once, and each statement under the call that asked for it', () => {
    const spans = watched.spansOf(seen.read);
    const ways = spans.map((span) => wayUp(span, spans).join(' < '));
    expect(ways).toContain(['internal gateway plan', ...ROOT].join(' < '));
    for (const service of ['users', 'followers'])
      expect(ways).toContainEqual(
        expect.stringMatching(
          new RegExp(
            `^client ${service} SELECT \\w+ < server ${service} POST /graphql < client gateway POST ${service} < `,
          ),
        ),
      );
  });

  it('who asks us decides: what they do not keep, nobody keeps', () => {
    expect(watched.spansOf(seen.notKept)).toEqual([]);
    // And what nobody has decided is for our own sampler, which keeps nothing here: the sign-ups before.
    const kept = new Set(Object.values(seen));
    expect(watched.collector.spans.filter(({ traceId }) => !kept.has(traceId))).toEqual([]);
  });
});

describe('what a span says', () => {
  it('is named by the conventions, or is our own', () => {
    const known = new Set<unknown>(Object.values(conventions));
    const names = new Set(watched.collector.spans.flatMap(({ attributes }) => Object.keys(attributes)));
    expect(names.size).toBeGreaterThan(15);
    expect([...names].filter((name) => !name.startsWith('tributary.') && !known.has(name))).toEqual([]);
    const root = watched.spansOf(seen.followed).find(({ parentSpanId }) => parentSpanId === CALLER)!;
    expect(root.attributes).toMatchObject({
      'http.request.method': 'POST',
      'http.response.status_code': 200,
      'graphql.operation.type': 'mutation',
      'graphql.operation.name': 'Follow',
      'tributary.outcome': 'whole',
    });
  });

  it('is nothing of people: no variable, no literal, no password, token, address or id of theirs', () => {
    const { bytes } = watched.collector;
    expect(watched.spansOf(seen.secret).length).toBeGreaterThan(5);
    const secrets = [BODY, EMAIL, 'a-long-password-of-zora', 'Zora', 'nobody_knew', '"bob"', alice.email];
    const ids = [watched.alice, watched.bob].flatMap(({ id, token }) => [id, token, token.split('.')[2]!]);
    expect([...secrets, ...ids].filter((secret) => bytes.includes(secret))).toEqual([]);
    // (control) what is no secret is found by the same look.
    expect(bytes).toContain('INSERT INTO outbox');
  });

  it('that a field failed, and the lines of the log name the trace beside the request', () => {
    const spans = watched.spansOf(seen.failed);
    const failed = spans.filter((span) => span.failed);
    expect(failed.map(({ service, attributes }) => [service, attributes['error.type']])).toContainEqual([
      'users',
      '42P01',
    ]);
    const lines = logged.filter((fields) => 'traceId' in fields && fields.traceId === seen.failed);
    // Of the gateway and of the service.
    expect(lines.length).toBeGreaterThanOrEqual(2);
    expect(new Set(lines.map((fields) => (fields as { requestId?: string }).requestId)).size).toBe(1);
  });
});

withServer('redis', 'with Redis between the services', () => {
  it('the trace is the same, and what waits for Redis is in it; a collector that is gone costs no answer', async () => {
    // OpenTelemetry's own setting, which its exporter reads.
    process.env['OTEL_BSP_SCHEDULE_DELAY'] = '50';
    const redis = await startRedis();
    const far = await watch({ REDIS_URL: redis.url, ENTITY_CACHE: 'on' });
    try {
      const { traceId } = await far.ask(FOLLOW, { id: far.bob.id }, far.alice);
      // The effects may be over before the answer is.
      const isAnswered = () => far.spansOf(traceId).some(({ parentSpanId }) => parentSpanId === CALLER);
      await until(() => isAnswered() && effectsIn(far.spansOf(traceId)).length === 2);
      const spans = far.spansOf(traceId);
      expect(effectsIn(spans)).toEqual(EFFECTS.map((effect) => [...effect, ...WRITE]));
      const redisSpans = spans.filter(({ attributes }) => attributes['db.system.name'] === 'redis');
      const ways = redisSpans.map((span) => wayUp(span, spans).join(' < '));
      expect(ways).toContain(['client followers XADD', EFFECTS[0]![1], ...WRITE].join(' < '));
      expect(ways).toContain(['client followers redis', ...WRITE].join(' < '));

      const read = await far.ask('{ userByHandle(handle: "bob") { displayName } }', {});
      await until(() => far.spansOf(read.traceId).some(({ parentSpanId }) => parentSpanId === CALLER));
      const looks = far.spansOf(read.traceId).filter(({ attributes }) => attributes['db.operation.name'] === 'look');
      expect(looks.map((span) => wayUp(span, far.spansOf(read.traceId)))).toContainEqual([
        'client gateway redis',
        ...ROOT,
      ]);

      await far.collector.close();
      const after = await far.ask(FOLLOW, { id: far.alice.id }, far.bob);
      expect(after.answer).toMatchObject({ status: 200, errors: [] });
    } finally {
      delete process.env['OTEL_BSP_SCHEDULE_DELAY'];
      await far.close();
      await redis.stop();
    }
  });
});

async function until(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!holds() && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20));
}
