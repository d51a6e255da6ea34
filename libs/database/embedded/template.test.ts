import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { closePglite, CONFIGURATION, openPglite } from './pglite.js';
import { copyTemplate, makeTemplate, templateFile } from './template.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tributary-template-'));
  await copyTemplate(join(folder, 'committed'));
  await makeTemplate(join(folder, 'made'));
}, 180_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Everything in a cluster that differs between versions of PostgreSQL, its configuration and its roles. */
async function described(cluster: string) {
  const files = Object.fromEntries(
    await Promise.all(
      ['PG_VERSION', 'postgresql.conf', 'postgresql.auto.conf', 'pg_hba.conf', 'pg_ident.conf'].map(
        async (name) => [name, await readFile(join(cluster, name), 'utf8')] as const,
      ),
    ),
  );
  const pglite = await openPglite(cluster);
  const ask = async (text: string) => (await pglite.query(text)).rows;
  const answer = {
    files,
    control: await ask('SELECT pg_control_version, catalog_version_no FROM pg_control_system()'),
    init: await ask(
      'SELECT max_data_alignment, database_block_size, bytes_per_wal_segment, data_page_checksum_version FROM pg_control_init()',
    ),
    settings: await ask('SELECT name, setting FROM pg_settings ORDER BY name'),
    roles: await ask('SELECT oid, rolname, rolsuper, rolcanlogin FROM pg_roles ORDER BY oid'),
    databases: await ask(
      'SELECT datname, datcollate, datctype, encoding, datallowconn FROM pg_database ORDER BY datname',
    ),
    functions: await ask('SELECT count(*), md5(string_agg(p::text, $$\n$$ ORDER BY oid)) FROM pg_proc p'),
    types: await ask('SELECT count(*), md5(string_agg(t::text, $$\n$$ ORDER BY oid)) FROM pg_type t'),
    tables: await ask('SELECT oid, relname, relkind, relnatts FROM pg_class ORDER BY oid'),
    rights: await ask('SELECT nspname, nspacl::text FROM pg_namespace ORDER BY 1'),
  };
  await closePglite(pglite);
  return answer;
}

it('the committed template is what initdb of this PGlite makes now (if not: npm run template)', async () => {
  const committed = await described(join(folder, 'committed'));
  expect(committed).toEqual(await described(join(folder, 'made')));
  expect(committed.files['postgresql.conf']).toBe(CONFIGURATION.join('\n'));
}, 180_000);

it('it is small enough to be committed, and readable by its owner only when it is copied', async () => {
  expect((await stat(templateFile)).size).toBeLessThan(1_000_000);
  expect((await stat(join(folder, 'committed'))).mode & 0o777).toBe(0o700);
  expect((await stat(join(folder, 'committed', 'PG_VERSION'))).mode & 0o077).toBe(0);
});

it('is not put where something else is, which stays; control: an empty folder is filled', async () => {
  const [foreign, file, empty] = ['foreign', 'file', 'empty'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  await mkdir(foreign);
  await writeFile(join(foreign, 'notes.txt'), 'mine');
  await writeFile(file, 'mine');
  for (const taken of [foreign, file])
    await expect(copyTemplate(taken)).rejects.toThrow(
      `${taken} has something else in it and no database: move that away`,
    );
  expect([await readdir(foreign), await readFile(file, 'utf8')]).toEqual([['notes.txt'], 'mine']);
  expect((await readdir(folder)).filter((name) => name.endsWith('.unfinished'))).toEqual([]);
  await mkdir(empty);
  await copyTemplate(empty);
  expect(await readdir(empty)).toContain('PG_VERSION');
});
