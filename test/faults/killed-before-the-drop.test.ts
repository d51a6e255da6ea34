import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import pg from 'pg';
import { ROOT } from '../../commands/root.js';
import { provisionServices } from '#libs/database';
import { UP_TO_HEADER, writesText, type Tell } from '#libs/consistency';
import type { DomainEvent } from '#libs/events';
import { ASSERTION_HEADER, AssertionSigner, globalId, IDEMPOTENCY_HEADER, parseGlobalId } from '#libs/identity';
import { startChild, type Child } from '../deploy/child.js';
import { plainEnvironment } from '../deploy/environment.js';
import { PASSWORD } from '../people.js';
import { sealingKeys } from '../sealer.js';
import { withServer } from '../servers/needs.js';

/** Redis' own number for a place apart. */
const REDIS_DATABASE = 10;
/** Longer than any of these tests may take, ms. */
const KEPT_MS = 600_000;

withServer(
  ['postgres', 'redis'],
  'users, killed between COMMIT and the drop of what it made stale',
  (adminUrl = '', redisUrl = '') => {
    const prefix = `drop_${randomBytes(5).toString('hex')}_`;
    const secret = randomBytes(32).toString('hex');
    const signer = new AssertionSigner({ secrets: () => secret });
    const children: Child[] = [];
    let env: Record<string, string>;
    let database: pg.Client;
    let redis: Redis;

    beforeAll(async () => {
      const ownRedis = Object.assign(new URL(redisUrl), { pathname: `/${REDIS_DATABASE}` }).href;
      redis = new Redis(ownRedis);
      await redis.flushdb();
      const urls = await provisionServices(adminUrl, ['users'], { users: randomBytes(16).toString('hex') }, { prefix });
      database = new pg.Client({ connectionString: urls['users'] });
      await database.connect();
      const { privateKey } = generateKeyPairSync('ed25519');
      env = {
        ...plainEnvironment(),
        PORT: '0',
        DATABASE_URL: urls['users'] ?? '',
        REDIS_URL: ownRedis,
        // The relay is woken by what is written; what is counted here it does not look for by itself.
        RELAY_POLL_MS: '60000',
        ASSERTION_SECRET: secret,
        SIGNING_KEY: privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64'),
        SEALING_KEYS: sealingKeys(),
      };
    }, 180_000);
    afterAll(async () => {
      await Promise.all(children.map((child) => child.destroy()));
      await database?.end();
      redis?.disconnect();
      const admin = new pg.Client({ connectionString: adminUrl });
      await admin.connect();
      await admin.query(`DROP DATABASE IF EXISTS ${prefix}users WITH (FORCE)`);
      await admin.query(`DROP ROLE IF EXISTS ${prefix}users`);
      await admin.end();
    }, 180_000);

    async function start(atTheDrop: 'drop' | 'forget'): Promise<{ child: Child; url: string }> {
      const child = await startChild(
        'users',
        [process.execPath, '--import', './test/faults/at-the-drop.fixture.mjs', 'dist/subgraphs/users/main.js'],
        { cwd: ROOT, env: { ...env, AT_THE_DROP: atTheDrop } },
      );
      children.push(child);
      await child.said('users listens');
      const url = /"url":"([^"]+)"/.exec(child.output())?.[1] ?? '';
      return { child, url };
    }

    async function ask<T>(url: string, query: string, subject: string | null = null): Promise<T> {
      const body = JSON.stringify({ query });
      const assertion = signer.sign('users', subject, { body });
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', [ASSERTION_HEADER]: assertion },
        body,
      });
      const { data, errors } = (await response.json()) as { data: T; errors?: unknown };
      expect(errors).toBeUndefined();
      return data;
    }

    const nameOf = async (url: string, handle: string): Promise<string> =>
      (
        await ask<{ userByHandle: { displayName: string } }>(
          url,
          `{ userByHandle(handle: "${handle}") { displayName } }`,
        )
      ).userByHandle.displayName;

    /** What goes on from the test before, which nobody has armed; a new start takes a second and a half of a processor. */
    let running: { child: Child; url: string } | undefined;
    const unarmed = async (): Promise<{ child: Child; url: string }> => {
      const now = running ?? (await start('drop'));
      running = undefined;
      return now;
    };

    /**
     * Signs somebody up as "Old", has that name kept, and kills the program when "New" is committed and nothing is dropped yet. It is kept for
     * longer than a test takes: what leaves by its lifetime says nothing of drops.
     */
    async function killWhileRenaming({ child, url }: { child: Child; url: string }, handle: string): Promise<string> {
      const input = `{ handle: "${handle}", email: "a@example.org", password: "${PASSWORD}", displayName: "Old" }`;
      const { signUp } = await ask<{ signUp: { user: { id: string } } }>(
        url,
        `mutation { signUp(input: ${input}) { user { id } } }`,
      );
      await heard('user-registered', handle);
      const id = parseGlobalId('user', signUp.user.id) ?? '';
      // The first read keeps whose handle it is, a later one the person.
      do expect(await nameOf(url, handle)).toBe('Old');
      while (!(await kept(id))?.includes(' V'));
      expect(await redis.pexpire((await keyOf(id)) ?? '', KEPT_MS)).toBe(1);
      await settled();
      await arm({ child });
      await expect(
        ask(url, 'mutation { editProfile(input: { displayName: "New" }) { id } }', signUp.user.id),
      ).rejects.toThrow();
      expect(await child.ended()).toBe(137);
      expect(await waiting()).toBe(1);
      return id;
    }

    const keyOf = async (id: string): Promise<string | undefined> => (await redis.keys(`*users.by-id*:${id}`))[0];

    const kept = async (id: string): Promise<string | null> => {
      const key = await keyOf(id);
      return key === undefined ? null : redis.get(key);
    };

    /** A program shows what is in the database also because it has not reached Redis yet. */
    const dropped = (id: string): Promise<void> =>
      until(async () => !(await kept(id))?.includes('"Old"'), 'the drop of what was kept');

    /** Published, come back by the stream and taken note of; at most 20 s later. */
    async function heard(type: string, handle: string): Promise<void> {
      const query = `SELECT FROM inbox i JOIN outbox o ON o.id = i.event_id WHERE o.type = $1 AND o.payload->>'handle' = $2 AND o.published_at IS NOT NULL`;
      const deadline = Date.now() + 20_000;
      while ((await database.query(query, [type, handle])).rowCount !== 1) {
        if (Date.now() > deadline) throw new Error(`users has not heard its own ${type} of ${handle} within 20 s`);
        await sleep(20);
      }
    }

    /** Whatever is on the stream has been heard, and all that it made stale is dropped: what is dropped next is of what is done next. */
    async function settled(): Promise<void> {
      const figure = (of: unknown[], name: string): unknown => of[of.indexOf(name) + 1];
      await until(async () => {
        const stream = (await redis.xinfo('STREAM', 'tributary:{events}:users')) as unknown[];
        const groups = (await redis.xinfo('GROUPS', 'tributary:{events}:users')) as unknown[][];
        const group = groups.find((one) => figure(one, 'name') === 'users')!;
        const { rows } = await database.query('SELECT FROM drops_due');
        const isRead = figure(group, 'last-delivered-id') === figure(stream, 'last-generated-id');
        return isRead && (await pending()) === 0 && (await waiting()) === 0 && rows.length === 0;
      }, 'the stream, and what is due');
    }

    async function arm({ child }: { child: Child }): Promise<void> {
      process.kill(child.pid, 'SIGUSR2');
      await child.said('armed');
    }

    async function until(holds: () => Promise<boolean>, what: string): Promise<void> {
      const deadline = Date.now() + 30_000;
      while (!(await holds())) {
        if (Date.now() > deadline) throw new Error(`waited 30 s for ${what}`);
        await sleep(20);
      }
    }

    const versionHeard = async (id: string): Promise<number> =>
      Number(
        (await database.query('SELECT max(aggregate_version) AS n FROM inbox WHERE aggregate = $1', [`user:${id}`]))
          .rows[0].n,
      );

    /** Nobody is to read what users tells itself. Until the function that is answered is called. */
    async function holdStream(): Promise<() => Promise<void>> {
      const lease = 'tributary:{events}:users:reader:users';
      await redis.set(lease, 'nobody');
      return async () => void (await redis.del(lease));
    }

    /** The renaming fails at first when the stream brings it, and takes effect out of the quarantine, where the program is killed again. */
    async function killAtTheQuarantine(id: string): Promise<void> {
      await database.query(
        `CREATE FUNCTION not_yet() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not yet'; END $$`,
      );
      await database.query(
        `CREATE TRIGGER not_yet BEFORE INSERT ON inbox FOR EACH ROW
         WHEN (NEW.aggregate = 'user:${id}' AND NEW.aggregate_version = 2) EXECUTE FUNCTION not_yet()`,
      );
      const hearing = await start('drop');
      await until(async () => (await database.query('SELECT FROM quarantine')).rowCount === 1, 'the quarantine');
      // The stream was told that it was heard, so it does not bring it again.
      await until(async () => (await pending()) === 0 && (await waiting()) === 0, 'the stream');
      await arm(hearing);
      await database.query('DROP TRIGGER not_yet ON inbox');
      await database.query('DROP FUNCTION not_yet()');
      expect(await hearing.child.ended()).toBe(137);
    }

    /** As a gateway brings it, past a stream that stands still; where it takes effect the program is killed again. */
    async function killAtWhatIsBrought(id: string): Promise<void> {
      const hearing = await start('drop');
      const asks = async (extensions: object, upTo?: string): Promise<unknown> => {
        const body = JSON.stringify({ query: '{ __typename }', extensions: { tributary: extensions } });
        const response = await fetch(hearing.url, {
          method: 'POST',
          headers: {
            'content-type': 'application/json',
            [ASSERTION_HEADER]: signer.sign('users', null, { body }),
            ...(upTo === undefined ? {} : { [UP_TO_HEADER]: upTo }),
          },
          body,
        });
        return response.json();
      };
      const tell: Tell[] = [{ aggregate: `user:${id}`, from: 2, to: 2 }];
      const { extensions } = (await asks({ tell })) as { extensions: { tributary: { events: DomainEvent[] } } };
      const { events } = extensions.tributary;
      expect(events).toMatchObject([{ type: 'profile-edited', aggregateVersion: 2 }]);
      await arm(hearing);
      const upTo = writesText([
        { source: 'users', aggregate: `user:${id}`, version: 2, at: Math.floor(Date.now() / 1_000) },
      ]);
      await expect(asks({ events }, upTo)).rejects.toThrow();
      expect(await hearing.child.ended()).toBe(137);
    }

    /** Given to users and not acknowledged. */
    const pending = async (): Promise<number> => {
      const [count] = (await redis.xpending('tributary:{events}:users', 'users')) as [number];
      return count;
    };

    const waiting = async (): Promise<number> =>
      Number((await database.query('SELECT count(*) AS n FROM outbox WHERE published_at IS NULL')).rows[0].n);

    it('shows the new row as soon as the event is heard again', async () => {
      const id = await killWhileRenaming(await unarmed(), 'alice');
      const again = await start('drop');
      const deadline = Date.now() + 20_000;
      while ((await nameOf(again.url, 'alice')) !== 'New') {
        if (Date.now() > deadline) throw new Error('alice is still shown by her old name, 20 s after the restart');
        await sleep(50);
      }
      await dropped(id);
      running = again;
    }, 180_000);

    it.each([
      ['out of the quarantine', 'dora', killAtTheQuarantine, false],
      ['brought by a gateway', 'emil', killAtWhatIsBrought, false],
      ['brought by a gateway, without the mark (control)', 'finn', killAtWhatIsBrought, true],
    ])(
      'killed there again where the event takes effect, %s, is the new row shown though the stream brings it no more',
      async (_, handle, killAgain, isControl) => {
        const id = await killWhileRenaming(await unarmed(), handle);
        const goOn = killAgain === killAtWhatIsBrought ? await holdStream() : undefined;
        try {
          await killAgain(id);
          expect(await versionHeard(id)).toBe(2);
          if (isControl) await database.query('DELETE FROM drops_due');
          const again = await start('drop');
          const shows = isControl ? 'Old' : 'New';
          // The control reads from the database until it has reached Redis.
          await until(async () => (await nameOf(again.url, handle)) === shows, `${handle} by the name of ${shows}`);
          if (isControl) {
            // Long after the mark would have been due.
            await sleep(4_000);
            expect(await nameOf(again.url, handle)).toBe('Old');
          } else await dropped(id);
          running = again;
        } finally {
          await goOn?.();
        }
      },
      180_000,
    );

    it('does once, and answers, what is repeated with its key; control: without one it is refused by what it has done itself', async () => {
      const { child, url } = await unarmed();
      const input = `{ handle: "carol", email: "c@example.org", password: "${PASSWORD}", displayName: "Carol" }`;
      const signUp = async (to: string, key: Record<string, string>): Promise<string> => {
        const body = JSON.stringify({ query: `mutation { signUp(input: ${input}) { user { id } } }` });
        const assertion = signer.sign('users', null, { headers: key, body });
        const response = await fetch(to, {
          method: 'POST',
          headers: { 'content-type': 'application/json', [ASSERTION_HEADER]: assertion, ...key },
          body,
        });
        return response.text();
      };
      const key = { [IDEMPOTENCY_HEADER]: `${'k'.repeat(43)}.${'p'.repeat(43)}` };
      await settled();
      await arm({ child });
      await expect(signUp(url, key)).rejects.toThrow();
      expect(await child.ended()).toBe(137);

      const again = await start('drop');
      const { rows } = await database.query(`SELECT id FROM users WHERE handle = 'carol'`);
      expect(rows).toHaveLength(1);
      for (let time = 0; time < 2; time += 1)
        expect(JSON.parse(await signUp(again.url, key))).toEqual({
          data: { signUp: { user: { id: globalId('user', (rows[0] as { id: string }).id) } } },
        });
      expect(await signUp(again.url, {})).toContain('CONFLICT');
      running = again;
    }, 180_000);

    it('control: a program that does not drop at the event goes on showing the old row', async () => {
      await killWhileRenaming(await unarmed(), 'bob');
      const { child, url } = await start('forget');
      await heard('profile-edited', 'bob');
      // It reads from the database until it has reached Redis.
      const deadline = Date.now() + 20_000;
      while ((await nameOf(url, 'bob')) !== 'Old') {
        if (Date.now() > deadline) throw new Error('bob is shown by his new name, though nothing was dropped');
        await sleep(50);
      }
      expect(await child.end()).toBe(0);
    }, 180_000);
  },
);
