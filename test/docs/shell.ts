import { expect } from '@jest/globals';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { lockDataDir, openDatabase } from '#libs/database';
import { silent } from '#libs/telemetry';
import { ROOT } from '../../commands/root.js';
import { postsTables } from '../../subgraphs/posts/posts.tables.js';
import { startChild } from '../deploy/child.js';
import { readCompose, variablesOf, type ComposeFile } from '../deploy/compose-file.js';
import { provision } from '../deploy/databases.js';
import { plainEnvironment } from '../deploy/environment.js';
import { restoreDrill } from '../deploy/restore-drill.js';
import { secretsFor } from '../deploy/secrets.js';
import { mistakesIn, programOf } from '../deploy/wiring.js';
import { startRedis } from '../servers/redis.js';
import type { Need } from '../servers/table.js';
import { layOutStores } from '../stores.js';
import { blocksOf, readPage } from './markdown.js';

/** Command lines that another test carries out: the file, and the words by which it does. */
export const ELSEWHERE: Readonly<Record<string, { readonly by: string; readonly saying: string }>> = {
  'npm ci && npm start': { by: 'test/deploy/start.test.ts', saying: "['npm', 'start']" },
  'npm start': { by: 'test/deploy/start.test.ts', saying: "['npm', 'start']" },
  'npm ci': { by: '.ci/run', saying: 'npm ci' },
  'npm ci && npm test': { by: '.ci/run', saying: 'npm test' },
  'npm test': { by: '.ci/run', saying: 'npm test' },
  'npm run check': { by: 'test/beside.mjs', saying: "name: 'check'" },
  'docker compose up': { by: 'test/deploy/image.test.ts', saying: 'docker-compose.yml' },
};

const BACKUP = 'mkdir -p backup';
const RESTORE = '(set -e # Back to the backup.';
const NEW_VOLUMES = '(set -e # New volumes, with nothing in them.';
const SERVICES = ['users', 'posts', 'followers'];

export interface Trial {
  readonly needs?: readonly Need[];
  /** Runs the block in `folder`, an empty one, and looks at what it did. `urls` are of what it needs. */
  run(script: string, folder: string, ...urls: string[]): Promise<void>;
}

/** Blocks that are carried out here, whole and as they stand, by their first line. */
export const TRIALS: Readonly<Record<string, Trial>> = {
  'export ASSERTION_SECRET=$(openssl rand -hex 32)': {
    needs: ['postgres', 'redis'],
    async run(script, folder, adminUrl = '') {
      const redis = await startRedis();
      const databases = await provision(adminUrl, (service) => `password-of-${service}`);
      const filled = Object.entries(databases.urls)
        .reduce(
          (text, [service, url]) =>
            text.replace(
              `${service.toUpperCase()}_DATABASE_URL=postgres://…`,
              `${service.toUpperCase()}_DATABASE_URL=${url}`,
            ),
          script,
        )
        .replace('redis://…', redis.url);
      expect(filled).not.toContain('…');
      try {
        await serves(filled, { PORT: '0', DATA_DIR: folder }, /playground {2}(\S+)/, async (url) => {
          const query = readFileSync(join(ROOT, 'examples/sign-up.graphql'), 'utf8');
          const input = { handle: 'somebody', email: 'a@example.org', password: 'tributary', displayName: 'Somebody' };
          const response = await fetch(url, {
            method: 'POST',
            headers: { 'content-type': 'application/json' },
            body: JSON.stringify({ query, variables: { input } }),
          });
          expect(await response.json()).toMatchObject({ data: { signUp: { user: { handle: 'somebody' } } } });
        });
      } finally {
        await databases.drop();
        await redis.stop();
      }
    },
  },
  'SUPERGRAPH=schema/supergraph.graphql PORT=4000 npm run gateway': {
    run: (script) =>
      serves(script.replace('PORT=4000', 'PORT=0'), {}, /"url":"([^"]+)"/, async (url) => {
        expect((await fetch(new URL('/health/live', url))).status).toBe(200);
        // It is up before it has read the supergraph, and before anybody in it is.
        let said = '';
        for (const deadline = Date.now() + 30_000; !said.includes('subgraph users') && Date.now() < deadline;) {
          // It needs the processor that asking takes.
          await sleep(50);
          const ready = await fetch(new URL('/health/ready', url));
          said = `${ready.status} ${await ready.text()}`;
        }
        expect(said).toMatch(/^503 .*"waiting".*subgraph users/);
      }),
  },
  'docker compose build &&': {
    async run(script, folder) {
      const { programs } = composed();
      const { asked, list } = docker(folder);
      sh(script, folder, { PATH: list });
      const gateways = programs.filter((name) => name.startsWith('gateway-'));
      const services = programs.filter((name) => !name.startsWith('gateway-'));
      // Gateways first: one of the release before does not know what a new service may tell it.
      expect(asked()).toEqual([
        'compose build',
        ...gateways.map((name) => `compose up --detach --no-deps --wait ${name}`),
        ...services.flatMap((name) => [
          `compose ps --quiet ${name}`,
          // There are two of each here: as many again, and those of before end when the new ones are ready.
          `compose up --detach --no-deps --no-recreate --scale ${name}=4 --wait ${name}`,
          `stop ${name}-a ${name}-b`,
          `rm ${name}-a ${name}-b`,
        ]),
      ]);
      // One that does not get ready: what was before it goes on, and what comes after it is not begun.
      for (const [failing, never] of [
        ['wait posts', /stop posts|followers/],
        ['wait gateway-1', /gateway-2|users/],
      ] as const) {
        const failed = docker(folder, failing);
        sh(`${script.trimEnd()} || true`, folder, { PATH: failed.list });
        expect(failed.asked().at(-1)).toMatch(new RegExp(`${failing}$`));
        expect(failed.asked().join()).not.toMatch(never);
      }
    },
  },
  'docker compose run --rm --no-deps commands node dist/commands/reconcile.js --mend': {
    async run(script, folder) {
      const { file } = composed();
      const { asked, list } = docker(folder);
      sh(script, folder, { PATH: list });
      for (const line of asked()) {
        const [, one, program] = /^compose (?:run --rm --no-deps|exec(?: --no-TTY)?) (\S+) (?:node (\S+))?/.exec(line)!;
        const { environment } = file.services[one!]!;
        if (program === undefined) expect(line).toContain(`--username=${environment['POSTGRES_DB']}`);
        else expect(existsSync(join(ROOT, program.replace(/^dist\/(.*)\.js$/, '$1.ts')))).toBe(true);
      }
      expect(asked()).toHaveLength(4);
      expect(existsSync(join(folder, 'users.dump'))).toBe(true);
    },
  },
  'npm run seed -- --users 100': {
    async run(script, folder) {
      const env = { ...plainEnvironment(), DATA_DIR: folder };
      const child = await startChild(script, ['/bin/sh', '-c', script], { cwd: ROOT, env });
      try {
        expect([await child.ended(), child.output()]).toEqual([0, expect.stringContaining('Seeded 100 people')]);
      } finally {
        await child.destroy();
      }
    },
  },
  'npm run events -- quarantined': {
    async run(script, folder) {
      await layOutStores(folder);
      const open = () => openDatabase({ service: 'posts', dataDir: folder, ...postsTables, logger: silent });
      const posts = await open();
      await posts.query(
        `INSERT INTO quarantine (consumer, aggregate, aggregate_version, event, tries, reason, due_at)
         VALUES ('posts', 'user:1', 3, '{"type":"profile-edited","aggregate":"user:1","aggregateVersion":3}', 5, 'it broke', now())`,
      );
      await posts.close();
      const run = async (): Promise<[number, string]> => {
        const env = { ...plainEnvironment(), DATA_DIR: folder };
        const child = await startChild('events', ['/bin/sh', '-ec', script], { cwd: ROOT, env });
        try {
          return [await child.ended(100_000), child.output()];
        } finally {
          await child.destroy();
        }
      };
      const [code, said] = await run();
      expect([code, said]).toEqual([
        0,
        expect.stringMatching(/posts {2}user:1 {2}profile-edited 3 .*\n.*5 tries, 0 behind it: it broke/),
      ]);
      expect(said).toMatch(
        /posts {2}1 events are tried again[^]*users {2}0 events are told again[^]*followers {2}0 events are forgotten/,
      );
      const again = await open();
      expect(await again.query('SELECT tries FROM quarantine')).toEqual([{ tries: 0 }]);
      await again.close();
      // As while npm start runs.
      const lock = await lockDataDir(folder);
      expect(await run()).toEqual([
        1,
        expect.stringContaining(`The data folder ${folder} is in use by another process (pid ${process.pid})`),
      ]);
      await lock.release();
    },
  },
  'npm run reconcile': {
    async run(script, folder) {
      await layOutStores(folder);
      const posts = await openDatabase({ service: 'posts', dataDir: folder, ...postsTables, logger: silent });
      await posts.query(`INSERT INTO people (id, state, post_count) VALUES (gen_random_uuid(), 'registered', 3)`);
      await posts.close();
      expect(await carriedOut(script, folder)).toEqual([
        1,
        expect.stringMatching(/posts postCount +1 +1 +3\n[^]*says 3, counted 0[^]*tributary_count_drift +1 /),
      ]);
      expect(await carriedOut(`${script.trim()} -- --mend`, folder)).toEqual([0, expect.stringContaining('; mended')]);
      const [code, table] = await carriedOut(script, folder);
      expect([code, table]).toEqual([0, expect.stringMatching(/tributary_count_drift +0 /)]);
      for (const service of ['users', 'posts', 'followers'])
        expect(table).toMatch(new RegExp(`tributary_rebuild_age_seconds +${service} +0 `));
    },
  },
  'npm run rebuild -- home-timeline': {
    async run(script, folder) {
      await layOutStores(folder);
      const posts = await openDatabase({ service: 'posts', dataDir: folder, ...postsTables, logger: silent });
      await posts.query(
        `INSERT INTO people (id, state) SELECT gen_random_uuid(), 'registered' FROM generate_series(1, 30)`,
      );
      await posts.close();
      expect(await carriedOut(script, folder)).toEqual([
        0,
        expect.stringMatching(
          /home-timeline: 30 people, 0 rows [^]*; switched[^]*notifications: [^]*; switched[^]*post-counts: 0 [^]*; switched[^]*author-counts: 30 [^]*; switched[^]*follow-counts: [^]*; switched[^]*trending: 8 days, 0 rows [^]*; switched/,
        ),
      ]);
    },
  },
  'for name in ASSERTION_SECRET_USERS ASSERTION_SECRET_POSTS ASSERTION_SECRET_FOLLOWERS \\': {
    async run(script, folder) {
      sh(script, folder);
      const env = Object.fromEntries(
        readFileSync(join(folder, '.env'), 'utf8')
          .trim()
          .split('\n')
          .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
      );
      const compose = readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8');
      expect(Object.keys(env).toSorted()).toEqual([...variablesOf(compose)].toSorted());
      expect(mistakesIn(readCompose(compose, env))).toEqual([]);
      expect((statSync(join(folder, '.env')).mode & 0o777).toString(8)).toBe('600');
    },
  },
  [BACKUP]: {
    needs: ['postgres', 'redis'],
    run: async (script, folder) => restored(folder, script, blockOf(RESTORE)),
  },
  [RESTORE]: {
    needs: ['postgres', 'redis'],
    // What it does when all goes well is seen where it restores what BACKUP has left.
    run: async (script, folder) => {
      dumps(folder);
      // In a volume of before there is no such role: nothing has been touched then. What fails later brings nobody up on half of it.
      const failing = failures(script, folder);
      expect(failing('SELECT 1 postgres')).toEqual([
        'compose exec --no-TTY users-db psql --username=postgres --command=SELECT 1 postgres',
      ]);
      for (const later of ['createdb --username=postgres --owner=followers followers', 'FLUSHALL']) {
        const asked = failing(later);
        expect(asked.at(-1)).toMatch(new RegExp(`${later}$`));
        expect(asked.join()).not.toContain('compose up');
      }
      await refusedByRedis(script, folder);
      rmSync(join(folder, 'backup/followers.dump'));
      expect(failing('nothing').join()).not.toMatch(/dropdb|compose stop/);
      // (control) Not looked at before, the dump is missed when its database is gone.
      const unchecked = failures(script.replace(/.* --file=\/dev\/null .*\n/, ''), folder);
      expect(unchecked('nothing').join()).toContain('dropdb --username=postgres --if-exists --force followers');
    },
  },
  [NEW_VOLUMES]: {
    run: async (script, folder) => {
      const { programs } = composed();
      const failing = failures(script, folder);
      // Without dumps nothing is lost.
      expect(failing('nothing')).toEqual([]);
      dumps(folder);
      const checks = SERVICES.map((name) => `compose exec --no-TTY ${name}-db pg_restore --file=/dev/null`);
      expect(failing('followers-db pg_restore --file=/dev/null')).toEqual(checks);
      const [stopped, ...then] = failing('nothing').slice(checks.length);
      expect(stopped!.split(' ').slice(2).toSorted()).toEqual(['door', ...programs].toSorted());
      expect(then).toEqual([
        ...SERVICES.flatMap((name) => [
          `compose ps --all --quiet ${name}-db`,
          expect.stringMatching(/^inspect --format .* of-/),
          `compose rm --stop --force ${name}-db`,
          `volume rm volume-of-${name}-db`,
        ]),
        'compose up --detach --wait users-db posts-db followers-db',
      ]);
      // One that cannot be found, and none is removed.
      expect(failing('compose ps --all --quiet users-db').join()).not.toMatch(/ rm /);
    },
  },
  'npm run documents -- examples --out documents.json': {
    async run(script, folder) {
      const own = script.replaceAll('documents.json', join(folder, 'documents.json'));
      await serves(own, { PORT: '0' }, /"url":"(http:[^"]+)"/, async (url) => {
        const file = readFileSync(join(folder, 'documents.json'), 'utf8');
        const { operations } = JSON.parse(file) as { operations: { id: string; name: string }[] };
        const ask = async (body: object): Promise<number> => {
          const headers = { 'content-type': 'application/json' };
          return (await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })).status;
        };
        // Its services are not up: what may run is answered with holes, what may not is refused.
        while (!(await (await fetch(new URL('/health/ready', url))).text()).includes('subgraph users')) await sleep(50);
        expect(await ask({ documentId: operations.find(({ name }) => name === 'Me')!.id })).toBe(200);
        expect(await ask({ query: '{ me { id } }' })).toBe(403);
      });
    },
  },
  'tar -czf tributary-data.tar.gz data': {
    async run(script, folder) {
      mkdirSync(join(folder, 'data'));
      writeFileSync(join(folder, 'data/kept'), 'kept');
      sh(script, folder);
      sh('rm -r data && tar -xzf tributary-data.tar.gz', folder);
      expect(existsSync(join(folder, 'data/kept'))).toBe(true);
    },
  },
};

function blockOf(firstLine: string): string {
  const [block] = blocksOf('docs/running.md', readPage('docs/running.md')).filter(({ text }) =>
    text.startsWith(firstLine),
  );
  return block!.text;
}

/** As a backup leaves them. */
function dumps(folder: string): void {
  mkdirSync(join(folder, 'backup'), { recursive: true });
  for (const name of SERVICES) writeFileSync(join(folder, `backup/${name}.dump`), 'of a test');
}

/** What is asked of Docker, in order, by a block that somebody types, when what ends in `fails` fails. */
function failures(script: string, folder: string): (fails: string) => string[] {
  return (fails) => {
    const { asked, list } = docker(folder, fails);
    spawnSync('/bin/sh', ['-c', script], { cwd: folder, env: { ...plainEnvironment(), PATH: list }, timeout: 30_000 });
    return asked();
  };
}

/** A Redis that will not be emptied ends it, with its reason; (control) `redis-cli` by itself ends well, and all would come up on what it has. */
async function refusedByRedis(script: string, folder: string): Promise<void> {
  const redis = await startRedis({ settings: { requirepass: 'another' } });
  try {
    const run = (text: string): [ok: boolean, said: string, up: boolean] => {
      const { asked, list } = docker(folder, 'nothing', redis.port);
      const env = { ...plainEnvironment(), PATH: list };
      const { status, stdout, stderr } = spawnSync('/bin/sh', ['-c', text], { cwd: folder, env, encoding: 'utf8' });
      return [status === 0, `${stdout}${stderr}`, asked().join().includes('compose up')];
    };
    expect(run(script)).toEqual([false, expect.stringContaining('NOAUTH'), false]);
    expect(run(script.replace('redis-cli -e FLUSHALL', 'redis-cli FLUSHALL'))).toEqual([
      true,
      expect.stringContaining('NOAUTH'),
      true,
    ]);
  } finally {
    await redis.stop();
  }
}

/**
 * What was written before the backup is there, what was after it is not, and what is written now everybody hears. Control: of followers
 * alone. What it tells anew others have heard, as they think, and pass over: alice is still followed there.
 */
async function restored(folder: string, backup: string, restore: string): Promise<void> {
  const alone = restore
    .replaceAll('for service in users posts followers', 'for service in followers')
    .replace(/.*FLUSHALL\n/, '');
  const drill = await restoreDrill(folder, { backup, restore, naive: alone });
  const { before, after, timeline, naive } = drill;
  const all = ['lost', 'of alice', 'of carol'];
  expect({ ...naive, timeline: naive.timeline.toSorted() }).toEqual({ before: true, after: true, timeline: all });
  const [stopped, ...then] = drill.asked;
  // Without a dump, and with the first half of one.
  expect(drill.untouched).toEqual([true, true]);
  // All that writes, first of all.
  expect(stopped!.split(' ').slice(2).toSorted()).toEqual(['door', ...composed().programs].toSorted());
  expect(then).toEqual(['compose up --detach --wait']);
  expect({ before, after, timeline }).toEqual({ before: true, after: false, timeline: ['of carol'] });
  expect(drill.reconciled).toEqual([0, expect.stringMatching(/tributary_count_drift +0 /)]);
  expect(drill.quarantined).toBe('Nothing is in quarantine.\n');
}

function composed(): { file: ComposeFile; programs: string[] } {
  const text = readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8');
  const file = readCompose(text, secretsFor(variablesOf(text)));
  const staying = Object.entries(file.services).filter(([, one]) => programOf(one) && !one.profiles);
  return { file, programs: staying.map(([name]) => name) };
}

/** Where there is no Docker: what it is asked is written down, and each service has two containers. What ends in `fails` fails. `redis`: the port of one. */
function docker(folder: string, fails = 'nothing', redis?: number): { list: string; asked(): string[] } {
  const bin = mkdtempSync(join(folder, 'bin-'));
  const script = `#!/bin/sh
echo "$*" >> ${bin}/asked
case "$*" in
  ${redis === undefined ? '' : `"compose exec --no-TTY redis redis-cli "*) shift 5; exec redis-cli -p ${redis} "$@" ;;`}
  "compose ps --quiet "*) printf '%s-a\\n%s-b\\n' "$4" "$4" ;;
  *"${fails}") exit 1 ;;
  "compose ps --all --quiet "*) echo "of-$5" ;;
  "inspect "*) echo "volume-$4" ;;
esac`;
  writeFileSync(join(bin, 'docker'), script, { mode: 0o755 });
  return {
    list: `${bin}${delimiter}${process.env['PATH']}`,
    asked: () => {
      const asked = join(bin, 'asked');
      return existsSync(asked) ? readFileSync(asked, 'utf8').trim().split('\n') : [];
    },
  };
}

/** A command that ends: its exit code, and what it said. */
async function carriedOut(script: string, folder: string): Promise<[number, string]> {
  const env = { ...plainEnvironment(), DATA_DIR: folder };
  const child = await startChild('command', ['/bin/sh', '-ec', script], { cwd: ROOT, env });
  try {
    return [await child.ended(100_000), child.output()];
  } finally {
    await child.destroy();
  }
}

/** A command that stays: until it has told where it listens, then `look`, then its end. */
async function serves(
  script: string,
  env: Record<string, string>,
  where: RegExp,
  look: (url: string) => Promise<void>,
): Promise<void> {
  const child = await startChild(script, ['/bin/sh', '-c', script], {
    cwd: ROOT,
    env: { ...plainEnvironment(), ...env },
  });
  try {
    await child.said(where);
    await look(where.exec(child.output())?.[1] ?? '');
  } finally {
    await child.destroy();
  }
}

function sh(script: string, cwd: string, env: Record<string, string | undefined> = {}): void {
  execFileSync('/bin/sh', ['-ec', script], {
    cwd,
    env: { ...plainEnvironment(), ...env },
    stdio: 'pipe',
    timeout: 30_000,
  });
}
