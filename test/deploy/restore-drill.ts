import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { provisionServices } from '#libs/database';
import { ROOT } from '../../commands/root.js';
import { PASSWORD } from '../people.js';
import { findPostgres, startPostgres } from '../servers/postgres.js';
import { startRedis } from '../servers/redis.js';
import { startChild, type Child } from './child.js';
import { plainEnvironment } from './environment.js';
import { secretsFor } from './secrets.js';

const SERVICES = ['users', 'posts', 'followers'] as const;
const TIMELINE = '{ homeTimeline(first: 20) { edges { node { body } } } }';

/** What there is after a restore, and once people have written what they wrote in the hour that was lost. */
export interface Restored {
  /** Is somebody there who had signed up before the backup, and after it? */
  readonly before: boolean;
  readonly after: boolean;
  /** Bodies that bob's home timeline has, who has ended his follow of alice since, and then followed carol. */
  readonly timeline: readonly string[];
}

export interface Drill extends Restored {
  /** After a restore by `naive`, before that by `restore`. */
  readonly naive: Restored;
  /** What `docker compose` was asked by `restore` that is none of the servers' business, in order. */
  readonly asked: readonly string[];
  /** Was `restore` refused, and nothing asked of anybody, without one of the dumps, and with the first half of it? */
  readonly untouched: readonly boolean[];
  /** `npm run reconcile`, at the end. */
  readonly reconciled: [number, string];
  /** `npm run events -- quarantined`, at the end. */
  readonly quarantined: string;
}

/**
 * The two blocks of docs/running.md on real servers: people write, `backup` is run, they write on, everything ends, the control `naive` is
 * run, everything starts, and they write once more what they wrote in the hour that was lost; then, from all that, the same by `restore`.
 * What the blocks have a container do, `docker` does here on one PostgreSQL with a database of each name, and on one Redis.
 */
export async function restoreDrill(
  folder: string,
  { backup, restore, naive }: { backup: string; restore: string; naive: string },
): Promise<Drill> {
  const [server, redis] = await Promise.all([startPostgres(), startRedis()]);
  let child: Child | undefined;
  try {
    const passwords = Object.fromEntries(SERVICES.map((service) => [service, `password-of-${service}`]));
    const urls = await provisionServices(server.url, SERVICES, passwords, { prefix: '' });
    const databases = Object.fromEntries(
      SERVICES.map((service) => [`${service.toUpperCase()}_DATABASE_URL`, urls[service]]),
    );
    const docker = dockerHere(folder, { postgres: server.port, redis: redis.port });
    const env = {
      ...plainEnvironment(),
      ...databases,
      ...secretsFor(['ASSERTION_SECRET', 'SIGNING_KEY', 'SEALING_KEYS', 'CONSISTENCY_SECRET']),
      REDIS_URL: redis.url,
      DATA_DIR: folder,
      PORT: '0',
      PATH: `${docker.bin}${delimiter}${findPostgres()}${delimiter}${process.env['PATH']}`,
    };
    const sh = (script: string): void =>
      // As somebody types it: what fails in it has to end it by itself.
      void execFileSync('/bin/sh', ['-c', script], { cwd: folder, env, stdio: 'pipe', timeout: 120_000 });
    const command = (name: string, ...args: string[]): Promise<Child> =>
      startChild(name, ['node', join(ROOT, 'dist/commands', `${name}.js`), ...args], { cwd: ROOT, env });
    const carriedOut = async (name: string, ...args: string[]): Promise<[number, string]> => {
      const one = await command(name, ...args);
      try {
        return [await one.ended(), one.output()];
      } finally {
        await one.destroy();
      }
    };
    let url = '';
    const start = async (): Promise<void> => {
      child = await command('start');
      const where = /playground {2}(\S+)/;
      await child.said(where);
      url = where.exec(child.output())![1]!;
    };
    const ask = async (query: string, token?: string): Promise<Record<string, Answered>> => {
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) },
        body: JSON.stringify({ query }),
      });
      const { data, errors } = (await response.json()) as { data: Record<string, Answered>; errors?: object[] };
      if (errors) throw new Error(`${query}: ${JSON.stringify(errors)}`);
      return data;
    };
    const signUp = async (handle: string): Promise<[string, string]> => {
      const input = `handle: "${handle}", email: "${handle}@example.org", password: "${PASSWORD}", displayName: "${handle}"`;
      const { signUp } = await ask(`mutation { signUp(input: { ${input} }) { token user { id } } }`);
      return [signUp!.token, signUp!.user.id];
    };
    const logIn = async (handle: string): Promise<string> =>
      (await ask(`mutation { logIn(input: { handle: "${handle}", password: "${PASSWORD}" }) { token } }`))['logIn']!
        .token;
    /** Until those who hear of it have. */
    const heard = async <T>(act: () => Promise<T>, holds: (result: T) => boolean = () => true): Promise<T> => {
      let last: unknown;
      for (const end = Date.now() + 30_000; Date.now() < end; await sleep(100))
        try {
          const result = await act();
          if (holds(result)) return result;
          last = JSON.stringify(result);
        } catch (error) {
          last = error;
        }
      throw new Error(`it does not come: ${String(last)}`);
    };
    const timeline = async (token: string): Promise<string[]> =>
      (await ask(TIMELINE, token))['homeTimeline']!.edges.map(({ node }) => node.body);
    const shows = (token: string, bodies: string[]) =>
      heard(
        () => timeline(token),
        (shown) => JSON.stringify(shown.toSorted()) === JSON.stringify(bodies.toSorted()),
      );
    const isThere = async (handle: string): Promise<boolean> =>
      (await ask(`{ userByHandle(handle: "${handle}") { id } }`))['userByHandle'] !== null;
    const follows = (verb: 'follow' | 'unfollow', userId: string, token: string) =>
      heard(() => ask(`mutation { ${verb}(userId: "${userId}") { id } }`, token));
    const publishes = (body: string, token: string) =>
      heard(() => ask(`mutation { publishPost(input: { body: "${body}" }) { id } }`, token));

    await start();
    const [[alice, aliceId], [bob], [carol, carolId]] = [
      await signUp('alice'),
      await signUp('bob'),
      await signUp('carol'),
    ];
    await publishes('of alice', alice);
    await publishes('of carol', carol);
    await follows('follow', aliceId, bob);
    await shows(bob, ['of alice']);
    sh(backup);

    await signUp('dan');
    await publishes('lost', alice);
    await follows('unfollow', aliceId, bob);
    await shows(bob, []);
    await follows('follow', aliceId, bob);
    await shows(bob, ['of alice', 'lost']);
    const dump = join(folder, 'backup/followers.dump');
    const whole = readFileSync(dump);
    const untouched = [undefined, whole.subarray(0, whole.length / 2)].map((part) => {
      rmSync(dump);
      if (part) writeFileSync(dump, part);
      try {
        sh(restore);
        return false;
      } catch {
        return docker.asked().length === 0;
      } finally {
        writeFileSync(dump, whole);
      }
    });
    await shows(bob, ['of alice', 'lost']);
    const restoredBy = async (script: string): Promise<Restored> => {
      await child!.end();
      sh(script);
      await start();
      const again = await logIn('bob');
      await shows(again, (await timeline(again)).includes('lost') ? ['of alice', 'lost'] : ['of alice']);
      await follows('unfollow', aliceId, again);
      await follows('follow', carolId, again);
      // What followers tells it tells in its order to each, and this is about others: when it is there, so is what came before.
      const shown = await heard(
        () => timeline(again),
        (bodies) => bodies.includes('of carol'),
      );
      await sleep(500);
      return {
        before: await isThere('alice'),
        after: await isThere('dan'),
        timeline: shown.length > 1 ? await timeline(again) : shown,
      };
    };
    const naively = await restoredBy(naive);
    const before = docker.asked().length;
    return {
      naive: naively,
      ...(await restoredBy(restore)),
      untouched,
      asked: docker.asked().slice(before),
      reconciled: await carriedOut('reconcile'),
      quarantined: (await carriedOut('events', 'quarantined'))[1],
    };
  } finally {
    await child?.destroy();
    await Promise.all([server.stop(), redis.stop()]);
  }
}

interface Answered {
  readonly token: string;
  readonly user: { readonly id: string };
  readonly edges: readonly { readonly node: { readonly body: string } }[];
}

/** A `docker` that has one PostgreSQL and one Redis for all containers, and writes down what else it is asked. */
function dockerHere(folder: string, ports: { postgres: number; redis: number }): { bin: string; asked(): string[] } {
  const bin = mkdtempSync(join(folder, 'bin-'));
  const script = `#!/bin/sh
export PGHOST=127.0.0.1 PGPORT=${ports.postgres}
case "$*" in
  "compose exec --no-TTY "*-db\\ *) shift 4; exec "$@" ;;
  "compose exec --no-TTY redis redis-cli "*) shift 5; exec redis-cli -p ${ports.redis} "$@" ;;
  "compose run --rm --no-deps commands node "*) shift 6; exec node "${ROOT}/$@" ;;
  *) echo "$*" >> ${bin}/asked ;;
esac`;
  writeFileSync(join(bin, 'docker'), script, { mode: 0o755 });
  return {
    bin,
    asked: () => (existsSync(join(bin, 'asked')) ? readFileSync(join(bin, 'asked'), 'utf8').trim().split('\n') : []),
  };
}
