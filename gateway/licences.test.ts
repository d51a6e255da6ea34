import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { startChild, type Child } from '../test/deploy/child.js';
import { startTinyGraph, type TinyGraph } from '../test/tiny/tiny-graph.js';

/** Packages under the Elastic License 2.0. */
const ELASTIC = ['gateway', 'composition', 'query-planner', 'query-graphs', 'federation-internals', 'subgraph'].map(
  (name) => `/node_modules/@apollo/${name}/`,
);

let tiny: TinyGraph;
let folder: string;
let child: Child | undefined;
beforeAll(async () => {
  tiny = await startTinyGraph();
  folder = mkdtempSync(join(tmpdir(), 'licences-'));
  writeFileSync(join(folder, 'supergraph.graphql'), tiny.sdl);
});
afterEach(() => child?.destroy());
afterAll(async () => {
  await tiny.close();
  rmSync(folder, { recursive: true });
});

/** Starts the program, lets it answer from two services, ends it. */
async function loadedBy(
  env: Record<string, string>,
  body = '{"query":"{ me { name posts { body } } }"}',
): Promise<string[]> {
  const file = join(folder, `loaded-${Object.values(env).join('-').replaceAll(/\W+/g, '-')}.txt`);
  writeFileSync(file, '');
  child = await startChild('gateway', [process.execPath, 'dist/gateway/main.js'], {
    cwd: process.cwd(),
    env: {
      PATH: process.env['PATH'],
      PORT: '0',
      LOADED_FILE: file,
      NODE_OPTIONS: `--import=${pathToFileURL('gateway/loaded-modules.fixture.mjs').href}`,
      ...env,
    },
  });
  await child.said('Serving the supergraph');
  await child.said('"Listening"');
  const url = /http:\/\/127\.0\.0\.1:\d+\/graphql/.exec(child.output().slice(child.output().lastIndexOf('"url"')))![0];
  const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  expect(await response.json()).toEqual({ data: { me: { name: 'name of 1', posts: [{ body: 'by 1' }] } } });
  expect(await child.end()).toBe(0);
  return readFileSync(file, 'utf8').split('\n');
}

const elasticIn = (loaded: readonly string[]) => ELASTIC.filter((name) => loaded.some((url) => url.includes(name)));

describe('a gateway with a supergraph file, our engine and the native planner', () => {
  it('loads no package under the Elastic License, and nothing of what only explains or measures', async () => {
    const env = { SUPERGRAPH: join(folder, 'supergraph.graphql'), ENGINE: 'tributary', PLANNER: 'native' };
    const loaded = await loadedBy(env);
    expect(loaded.length).toBeGreaterThan(300);
    expect(loaded.some((url) => url.includes('@graphql-hive/router-query-planner'))).toBe(true);
    expect(elasticIn(loaded)).toEqual([]);
    expect(loaded.filter((url) => /\/explain\/recording|\/prom-client\/|@opentelemetry/.test(url))).toEqual([]);
    expect(tiny.people.calls.at(-1)!.headers).not.toHaveProperty('traceparent');
  }, 180_000);

  it('and composes from running services without one as well, with COMPOSER=guild', async () => {
    const SUBGRAPHS = `people=${tiny.people.url},posts=${tiny.posts.url}`;
    const env = { SUBGRAPHS, COMPOSER: 'guild', ENGINE: 'tributary', PLANNER: 'native' };
    // Nobody listens there, which is nobody else's trouble.
    const watched = { METRICS_PORT: '0', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' };
    const loaded = await loadedBy({ ...env, ...watched });
    expect(elasticIn(loaded)).toEqual([]);
    // (control: what measures is found where it is asked for)
    for (const name of ['/prom-client/', '/@opentelemetry/sdk-trace-base/'])
      expect(loaded.some((url) => url.includes(name))).toBe(true);
    expect(tiny.people.calls.at(-1)!.headers['traceparent']).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$/);
  }, 180_000);

  it('control: with Apollo’s planner, composer or engine the same look finds them', async () => {
    const SUPERGRAPH = join(folder, 'supergraph.graphql');
    const planner = await loadedBy({ SUPERGRAPH, ENGINE: 'tributary', PLANNER: 'apollo' });
    expect(elasticIn(planner)).toContain('/node_modules/@apollo/query-planner/');
    expect(elasticIn(await loadedBy({ SUPERGRAPH, ENGINE: 'apollo' }))).toContain('/node_modules/@apollo/gateway/');
  }, 180_000);
});
