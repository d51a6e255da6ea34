import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { serverAudits } from 'graphql-http';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silent } from '#libs/telemetry';
import { startTinyGraph, type TinyGraph } from '../test/tiny/tiny-graph.js';
import { readGatewayConfig } from './config.js';
import { startGateway, type RunningGateway } from './start.js';

/** The whole program, Nest and all, before two real subgraphs. The rules of HTTP have their own tests in http/. */
let tiny: TinyGraph;
let gateway: RunningGateway;
let folder: string;

beforeAll(async () => {
  tiny = await startTinyGraph();
  folder = mkdtempSync(join(tmpdir(), 'gateway-'));
  writeFileSync(join(folder, 'supergraph.graphql'), tiny.sdl);
  gateway = await startGateway(readGatewayConfig({ SUPERGRAPH: join(folder, 'supergraph.graphql'), PORT: '0', SUPERGRAPH_POLL_MS: '100' }), { logger: silent });
  await gateway.ready();
}, 60_000);

afterAll(async () => {
  await gateway.close();
  await tiny.close();
  rmSync(folder, { recursive: true });
});

async function ask(query: string, variables?: object): Promise<{ status: number; body: { data?: unknown; errors?: { message: string; path?: unknown[]; extensions: { code: string } }[] } }> {
  const response = await fetch(gateway.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query, variables }),
  });
  return { status: response.status, body: (await response.json()) as never };
}

describe('GraphQL over HTTP', () => {
  it('passes the 61 audits of graphql-http: none fails, and the three that want 200 for a refusal get 400', async () => {
    const audits = serverAudits({
      url: gateway.url,
      fetchFn: (url: string, init: RequestInit = {}) =>
        fetch(url, { ...init, headers: { ...(init.headers as Record<string, string>), 'apollo-require-preflight': '1' } }),
    });
    const results = [];
    for (const audit of audits) results.push(await audit.fn());
    const of = (status: string) => results.filter((result) => result.status === status).map(({ id }) => id);
    expect(audits).toHaveLength(61);
    expect(of('error')).toEqual([]);
    expect(of('notice')).toEqual([]);
    expect(of('warn').sort((a, b) => a.localeCompare(b))).toEqual(['572B', '7B9B', 'FDE2']);
    expect(of('ok')).toHaveLength(58);
  }, 60_000);

  it('answers one operation from two services', async () => {
    const { status, body } = await ask('{ me { name posts { body author { name } } } }');
    expect(status).toBe(200);
    expect(body).toEqual({ data: { me: { name: 'name of 1', posts: [{ body: 'by 1', author: { name: 'name of 1' } }] } } });
  });
});
