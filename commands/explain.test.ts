import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { openRecordCache } from '#libs/cache';
import { EntityCache } from '../gateway/cache/entity-cache.js';
import { EXPLAIN_HEADER } from '../gateway/explain/permission.js';
import { federate } from '../test/federation/harness.js';
import { HINTS } from '../test/federation/hints.js';
import { ROOT } from './root.js';

// As a person starts it: in a process of its own, which ends only when everything has been said.
it.each(['native', 'apollo'])('prints operation, plan and fetches, planned by %s, and ends', (planner) => {
  const args = ['commands/run.mjs', 'explain', 'examples/profile-page.graphql', '--planner', planner];
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [...args, '--variables', '{"handle":"alice"}', '--supergraph', join(ROOT, 'schema/supergraph.graphql')],
    { cwd: ROOT, encoding: 'utf8' },
  );
  expect({ status, stderr: stderr.replace(/^Building.*$/m, '').trim() }).toEqual({ status: 0, stderr: '' });
  expect(stdout).toMatch(
    /── Operation [^]*userByHandle[^]*── Plan \((native|apollo): [^]*── Fetches [^]*#0 query users, at once/,
  );
});

it('control: an operation that is not valid is a sentence and a failure', () => {
  const args = ['commands/run.mjs', 'explain', 'README.md'];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' });
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
  expect(stderr).toMatch(/Syntax Error/);
});

it.each([
  ['nope.graphql', 'npm run explain takes a file with an operation; came "nope.graphql", which is not there.\n'],
  ['examples', 'npm run explain takes a file with an operation; came "examples", which is a folder.\n'],
])('a file that cannot be read, %s, is a sentence and a failure', (file, says) => {
  const args = ['dist/commands/explain.js', file];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' });
  expect({ status, stdout, stderr }).toEqual({ status: 1, stdout: '', stderr: says });
});

describe('with --url', () => {
  const graph = federate({
    users: {
      sdl: `${HINTS} type Query { user(id: ID!): User @cacheControl(maxAge: 60) } type User @key(fields: "id") @cacheControl(maxAge: 60) { id: ID! name: String now: Int @cacheControl(maxAge: 0) }`,
      resolvers: {
        Query: { user: () => ({ id: '1', name: 'Ann' }) },
        User: { now: () => 7, __resolveReference: (row: unknown) => row },
      },
    },
  });
  const entities = new EntityCache({ records: openRecordCache({}), random: () => 0.5 });
  let folder: string;
  let server: Server;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'explain-'));
    writeFileSync(join(folder, 'supergraph.graphql'), graph.supergraph.sdl);
    writeFileSync(join(folder, 'query.graphql'), '{ user(id: "1") { name now } }');
    // The engine, and nothing of what a gateway has around it.
    server = createServer((request, response) => {
      void (async () => {
        const { query } = (await json(request)) as { query: string };
        const explain = request.headers[EXPLAIN_HEADER] === 'secret';
        const { body } = await graph.ask(query, { entities, explain });
        await entities.settled();
        response.end(body);
      })();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  afterAll(async () => {
    server.close();
    rmSync(folder, { recursive: true });
    await graph.close();
  });

  const explain = (token: string) =>
    new Promise<{ code: number | null; out: string; err: string }>((resolve) => {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`;
      const args = ['query.graphql', '--supergraph', 'supergraph.graphql', '--url', url, '--explain-token', token];
      const child = spawn(process.execPath, [join(ROOT, 'dist/commands/explain.js'), ...args], { cwd: folder });
      let [out, err] = ['', ''];
      child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
      child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
      child.once('close', (code) => resolve({ code, out, err }));
    });

  it('prints how it was answered, fetch by fetch, and what the entity cache knew of it', async () => {
    await graph.ask('{ user(id: "1") { name } }', { entities });
    await entities.settled();
    const { code, out, err } = await explain('secret');
    expect([code, err]).toEqual([0, '']);
    expect(out).toMatch(/── As http:[^]*1 fetches in 1 calls, of which 1 decide the time[^]*\* #0 users query /);
    expect(out).toMatch(
      /── Entity cache [^]*User\.name +1 found\n[^]*User\.now +0 found; loaded: 1 nothing says that it may be kept\n/,
    );
  });

  it('control: a gateway that does not explain is a sentence and a failure', async () => {
    const { code, err } = await explain('wrong');
    expect([code, err]).toEqual([1, expect.stringContaining('answered 200, but did not explain')]);
  });
});
