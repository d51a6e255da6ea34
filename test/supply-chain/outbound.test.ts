import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { startChild, type Child } from '../deploy/child.js';
import { startTinyGraph, type TinyGraph } from '../tiny/tiny-graph.js';

/** The programs as they are run, with every socket watched from before their first line. */
let tiny: TinyGraph;
let folder: string;
let child: Child | undefined;
beforeAll(async () => {
  tiny = await startTinyGraph();
  folder = mkdtempSync(join(tmpdir(), 'outbound-'));
  writeFileSync(join(folder, 'supergraph.graphql'), tiny.sdl);
});
afterEach(() => child?.destroy());
afterAll(async () => {
  await tiny.close();
  rmSync(folder, { recursive: true });
});

async function socketsOf(name: string, program: string, env: Record<string, string>, query: string): Promise<string[]> {
  const file = join(folder, `${name}.txt`);
  writeFileSync(file, '');
  child = await startChild(name, [process.execPath, program], {
    cwd: process.cwd(),
    env: {
      PATH: process.env['PATH'],
      HOME: folder,
      PORT: '0',
      SOCKETS_FILE: file,
      NODE_OPTIONS: `--import=${pathToFileURL('test/supply-chain/sockets.fixture.mjs').href}`,
      ...env,
    },
  });
  await child.said(/http:\/\/(127\.0\.0\.1|localhost):\d+\/graphql/, 120_000);
  const url = /http:\/\/(?:127\.0\.0\.1|localhost):\d+\/graphql/.exec(child.output())![0];
  while (!(await fetch(url.replace('/graphql', '/health/ready'))).ok) await new Promise((go) => setTimeout(go, 50));
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query }),
  });
  expect(await response.json()).toEqual({ data: expect.any(Object) as unknown });
  expect(await child.end()).toBe(0);
  return readFileSync(file, 'utf8').split('\n').filter(Boolean);
}

const away = (sockets: readonly string[]) => sockets.filter((line) => line.startsWith('away'));

describe('no program opens a socket to another machine', () => {
  it.each(['tributary', 'apollo'])(
    'the gateway with ENGINE=%s',
    async (ENGINE) => {
      const SUPERGRAPH = join(folder, 'supergraph.graphql');
      const sockets = await socketsOf(
        ENGINE,
        'dist/gateway/main.js',
        { SUPERGRAPH, ENGINE },
        '{ me { name posts { body } } }',
      );
      expect(sockets.some((line) => line.startsWith('here connect'))).toBe(true);
      expect(away(sockets)).toEqual([]);
    },
    180_000,
  );

  it('everything in one process, as npm start', async () => {
    const sockets = await socketsOf(
      'start',
      'dist/commands/start.js',
      { DATA_DIR: join(folder, 'data') },
      '{ userByHandle(handle: "alice") { handle postCount } }',
    );
    expect(sockets.some((line) => line.startsWith('here connect'))).toBe(true);
    expect(away(sockets)).toEqual([]);
  }, 180_000);

  it('control: @apollo/gateway as it comes reports to Apollo, and is seen to', async () => {
    const file = join(folder, 'control.txt');
    writeFileSync(file, '');
    const script = join(process.cwd(), 'test/supply-chain/stock.fixture.mjs');
    child = await startChild('control', [process.execPath, script, join(folder, 'supergraph.graphql')], {
      cwd: process.cwd(),
      env: {
        PATH: process.env['PATH'],
        HOME: folder,
        SOCKETS_FILE: file,
        NODE_OPTIONS: `--import=${pathToFileURL('test/supply-chain/sockets.fixture.mjs').href}`,
      },
    });
    while (away(readFileSync(file, 'utf8').split('\n')).length === 0) {
      if (child.exitCode() !== undefined) throw new Error(`It ended: ${child.output()}`);
      await new Promise((go) => setTimeout(go, 50));
    }
  }, 180_000);
});
