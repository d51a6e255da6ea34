import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { chown, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { alice, bob, PASSWORD, type Card } from '../people.js';
import { withServer } from '../servers/needs.js';
import { startRedis, type RedisServer } from '../servers/redis.js';
import { selfSigned } from '../servers/self-signed.js';
import { startCollector, type Collector } from '../watch/collector.js';
import { watchedByPrometheus } from '../watch/prometheus.contract.js';
import { startChild, type Account } from './child.js';
import { readCompose, variablesOf } from './compose-file.js';
import { provision } from './databases.js';
import { deploy, type Deployment } from './deployment.js';
import { plainEnvironment } from './environment.js';
import { buildImage, INSTALL, type Image } from './image.js';
import { areSame, installedIn, lockedIn } from './installed.js';
import { secretsFor } from './secrets.js';

const repository = fileURLToPath(new URL('../..', import.meta.url));

withServer(
  ['postgres', 'redis', 'haproxy'],
  'the image, deployed as docker-compose.yml says',
  (adminUrl = '', _redis = '', haproxy = '') => {
    const composeText = readFileSync(join(repository, 'docker-compose.yml'), 'utf8');
    const secrets = secretsFor(variablesOf(composeText));
    const account = ordinaryAccount();
    const file = readCompose(composeText, secrets);
    let folder: string;
    let image: Image;
    let redis: RedisServer;
    let collector: Collector;
    let databases: Awaited<ReturnType<typeof provision>>;
    let deployment: Deployment;

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'tributary-image-'));
      // Root's home, with npm's cache in it, is closed to the other account.
      if (account) await chown(folder, account.uid, account.gid);
      const quiet = { npm_config_audit: 'false', npm_config_fund: 'false' };
      const env = { ...plainEnvironment(), ...quiet, ...(account ? { HOME: folder } : {}) };
      image = await buildImage(repository, folder, { env, account });
      const { command = [] } = file.services['redis']!;
      const password = command[command.indexOf('--requirepass') + 1]!;
      redis = await startRedis({ settings: { requirepass: password } });
      collector = await startCollector();
      databases = await provision(adminUrl, (service) => secrets[`${service.toUpperCase()}_DB_PASSWORD`]!);
      const urls = Object.entries(databases.urls).map(([service, url]) => [`${service}-db`, url]);
      const servers = {
        redis: redis.url.replace('//', `//:${password}@`),
        jaeger: collector.url,
        ...Object.fromEntries(urls),
      };
      // Certificates nobody needs here: so that there are figures of them, for the alert that asks.
      const ca = join(folder, 'ca.pem');
      await writeFile(ca, selfSigned().cert, { mode: 0o644 });
      const services = Object.entries(file.services).map(([name, service]) => {
        const tls = name.startsWith('gateway-') ? { SUBGRAPH_TLS_CA: ca } : {};
        return [name, { ...service, environment: { ...service.environment, ...tls } }] as const;
      });
      const certified = { ...file, services: Object.fromEntries(services) };
      deployment = await deploy(repository, certified, image, { servers, haproxy, folder, account });
    }, 240_000);

    afterAll(async () => {
      await deployment?.destroy();
      await redis?.stop();
      await collector?.close();
      await databases?.drop();
      if (!account) execFileSync('chmod', ['-R', 'u+w', folder]);
      await rm(folder, { recursive: true, force: true });
    }, 180_000);

    const ask = async (name: string, variables: object, token?: string, wrote?: string): Promise<Answer> => {
      const response = await fetch(deployment.door, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(token ? { authorization: `Bearer ${token}` } : {}),
          ...(wrote ? { 'consistency-token': wrote } : {}),
        },
        body: JSON.stringify({ query: readFileSync(join(repository, `examples/${name}.graphql`), 'utf8'), variables }),
      });
      const answer = (await response.json()) as object;
      return { status: response.status, wrote: response.headers.get('consistency-token') ?? undefined, ...answer };
    };
    const signUp = async ({ handle, displayName, email }: Card): Promise<Session> => {
      const answer = await ask('sign-up', { input: { handle, displayName, email, password: PASSWORD } });
      expect(answer).toMatchObject({ status: 200, data: { signUp: { user: { handle } } } });
      return answer.data!['signUp'] as Session;
    };
    const profile = (token: string): Promise<Answer> => ask('profile-page', { handle: 'alice' }, token);

    it('has no builder, no sources and no tests in it', async () => {
      expect((await readdir(image.folder)).sort()).toEqual(['dist', 'node_modules', 'package.json', 'schema']);
      const packages = await readdir(join(image.folder, 'node_modules'));
      expect(packages).toContain('fastify');
      for (const builder of ['jest', 'graphiql', 'prettier', 'playwright-core'])
        expect(packages).not.toContain(builder);
      // All that the lockfile has, but for what only builds and tests.
      const locked = Object.entries(await lockedIn(repository));
      const kept = locked.filter(([, { dev = false }]) => !dev);
      expect(kept.length).toBeLessThan(locked.length);
      expect(areSame(Object.fromEntries(kept), await installedIn(image.folder))).toBe(true);
    });

    it('runs all in one on the embedded default too, as somebody who may write nowhere but in DATA_DIR', async () => {
      const env = { PATH: process.env['PATH'], ...image.env, DATA_DIR: join(folder, 'data'), PORT: '0' };
      const command = ['node', 'dist/commands/start.js'] as const;
      const child = await startChild('start', [...command], { cwd: image.folder, env, account });
      try {
        // Who may log in is said in its log before, as a warning.
        await child.said('Ready in');
        expect(await child.end('SIGTERM')).toBe(0);
      } finally {
        await child.destroy();
      }
    }, 180_000);

    it('signs two people up through the door, who follow, publish, and see the profile page on either gateway', async () => {
      const [one, two] = [await signUp(alice), await signUp(bob)];
      const published = await heard(() => ask('publish', { input: { body: 'through the door' } }, one.token));
      expect(published).toMatchObject({ data: { publishPost: { author: { handle: 'alice', postCount: 1 } } } });
      const followed = await heard(() => ask('follow', { userId: one.user.id }, two.token));
      expect(followed).toMatchObject({ data: { follow: { followerCount: 1, viewerFollows: true } } });

      const pages = [
        await profile(two.token),
        await profile(two.token),
        await profile(two.token),
        await profile(two.token),
      ];
      expect(pages[0]).toMatchObject({
        status: 200,
        data: {
          userByHandle: {
            handle: 'alice',
            displayName: 'Alice',
            followerCount: 1,
            postCount: 1,
            viewerFollows: true,
            posts: { edges: [{ node: { body: 'through the door', author: { handle: 'alice' } } }] },
            followers: { edges: [{ node: { handle: 'bob' } }] },
          },
        },
      });
      for (const page of pages) expect(page).toEqual(pages[0]);
    }, 180_000);

    it('shows who has written the writing at once, on either gateway: their tokens are signed with one secret', async () => {
      const { token } = (await ask('log-in', { input: { handle: 'bob', password: PASSWORD } })).data![
        'logIn'
      ] as Session;
      const { id } = ((await profile(token)).data!['userByHandle'] ?? {}) as { id: string };
      const home = async (wrote?: string): Promise<unknown[]> => {
        const { data, errors } = await ask('home-timeline', { first: 5 }, token, wrote);
        expect(errors).toBeUndefined();
        return (data!['homeTimeline'] as { edges: unknown[] }).edges;
      };
      for (const [verb, length] of [
        ['unfollow', 0],
        ['follow', 1],
        ['unfollow', 0],
        ['follow', 1],
      ] as const) {
        const { wrote } = await ask(verb, { userId: id }, token);
        expect(wrote).toMatch(/\w/);
        for (const edges of [await home(wrote), await home(wrote)]) expect(edges).toHaveLength(length);
      }
    }, 180_000);

    it('does what somebody types on the databases of the services, which needs no folder and no secret', async () => {
      expect(await deployment.run('commands')).toEqual([0, expect.stringMatching(/posts postCount +2 +0 +0\n/)]);
      const quarantined = await deployment.run('commands', 'node', 'dist/commands/events.js', 'quarantined');
      expect(quarantined).toEqual([0, 'Nothing is in quarantine.\n']);
      const seeded = await deployment.run('commands', 'node', 'dist/commands/seed.js', '--users', '10');
      expect(seeded).toEqual([0, expect.stringContaining('Seeded 10 people')]);
    }, 180_000);

    watchedByPrometheus({
      metrics: () => deployment.metrics,
      ask: async () => {
        for (let page = 0; page < 4; page++)
          expect(await ask('profile-page', { handle: 'alice' })).toMatchObject({ status: 200 });
      },
    });

    it('answers on while one of the two gateways is killed', async () => {
      const { token } = (await ask('log-in', { input: { handle: 'bob', password: PASSWORD } })).data![
        'logIn'
      ] as Session;
      const before = await profile(token);
      await deployment.children['gateway-1']!.end('SIGKILL');
      for (let request = 0; request < 20; request++) expect(await profile(token)).toEqual(before);
    }, 180_000);

    it('stops clean when it is told to, and has told no secret', async () => {
      const { 'gateway-1': killed, door, ...rest } = deployment.children;
      const codes = await Promise.all(
        Object.values(rest).map(async (child) => [child.name, await child.end('SIGTERM')]),
      );
      expect(Object.fromEntries(codes)).toEqual({ users: 0, posts: 0, followers: 0, 'gateway-2': 0 });
      for (const child of [killed, door, ...Object.values(rest)]) {
        for (const secret of Object.values(secrets)) expect(child?.output()).not.toContain(secret);
      }
    }, 180_000);
  },
);

describe('what is installed is not installed once more', () => {
  const locked = { '': {}, a: { version: '1', integrity: 'x' }, b: { version: '1', integrity: 'y', optional: true } };
  it('where it is what the lockfile says, but for what is for other systems', () => {
    const { a, b } = locked;
    expect([areSame(locked, { a, b }), areSame(locked, { a })]).toEqual([true, true]);
    for (const by of ['.ci/run', 'Dockerfile']) expect(readFileSync(join(repository, by), 'utf8')).toContain(INSTALL);
  });
  it('and is where something is missing, is another or is too many', () => {
    const { a, b } = locked;
    const others = [{ b }, { a: { ...a, integrity: 'z' } }, { a: { ...a, version: '2' } }, { a, c: a }];
    expect(others.map((other) => areSame(locked, other))).toEqual([false, false, false, false]);
  });
});

interface Session {
  readonly token: string;
  readonly user: { readonly id: string };
}

interface Answer {
  readonly status: number;
  /** The Consistency-Token of a mutation. */
  readonly wrote: string | undefined;
  readonly data?: Record<string, unknown> | null;
  readonly errors?: readonly { readonly extensions: { readonly code: string } }[];
}

/** Somebody who has just signed up is known to the other services when they have heard of it: until then, again. */
async function heard(act: () => Promise<Answer>): Promise<Answer> {
  for (let tries = 0; tries < 50; tries++) {
    const answer = await act();
    if (!answer.errors) return answer;
    await sleep(100);
  }
  return act();
}

/** Root hands the build to somebody who may do nothing; anybody else does it himself. */
function ordinaryAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const [uid, gid] = ['-u', '-g'].map((flag) => Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' })));
  return { uid: uid!, gid: gid! };
}
