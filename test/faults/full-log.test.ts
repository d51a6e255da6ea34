import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { freePort } from '../servers/free-port.js';
import { startTinyGraph, type TinyGraph } from '../tiny/tiny-graph.js';

let tiny: TinyGraph;
let folder: string;
let child: ChildProcess | undefined;
beforeAll(async () => {
  tiny = await startTinyGraph();
  folder = await mkdtemp(join(tmpdir(), 'full-log-'));
});
afterEach(() => {
  child?.kill('SIGKILL');
});
afterAll(async () => {
  await tiny.close();
  await rm(folder, { recursive: true });
});

/** Whatever it writes to its log is answered with "No space left on device". */
function startOnAFullDisk(args: readonly string[], env: Record<string, string> = {}): ChildProcess {
  child = spawn('/bin/sh', ['-c', 'exec "$0" "$@" 2>/dev/full', process.execPath, ...args], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return child;
}

// Linux has the device.
(existsSync('/dev/full') ? describe : describe.skip)('a program whose log is on a full disk', () => {
  it('starts, and answers also what it has to log as an error', async () => {
    const supergraph = join(folder, 'supergraph.graphql');
    await writeFile(supergraph, tiny.sdl);
    const port = await freePort();
    const gateway = startOnAFullDisk(['dist/gateway/main.js'], {
      PORT: String(port),
      SUPERGRAPH: supergraph,
      SUBGRAPH_URL_PEOPLE: 'http://127.0.0.1:1/graphql',
    });
    const ask = async () => {
      const response = await fetch(`http://127.0.0.1:${port}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"query":"{ me { name } }"}',
      });
      return (await response.json()) as { errors: { extensions: { code: string } }[] };
    };
    const code = () =>
      ask().then(
        ({ errors }) => errors[0]?.extensions.code,
        () => 'nobody answers',
      );
    for (
      let turn = 0;
      turn < 1_200 && gateway.exitCode === null && (await code()) !== 'SUBGRAPH_UNAVAILABLE';
      turn += 1
    )
      await sleep(50);
    expect([await code(), await code(), gateway.exitCode]).toEqual([
      'SUBGRAPH_UNAVAILABLE',
      'SUBGRAPH_UNAVAILABLE',
      null,
    ]);
  });

  it('ends with the first line when that is written as pino does it (control)', async () => {
    const plain = startOnAFullDisk([
      '--input-type=module',
      '--eval',
      `import { destination, pino } from 'pino';
       Promise.reject(new Error('a request failed')).catch((err) => pino({}, destination({ fd: 2, sync: true })).error({ err }, 'so it did'));
       setTimeout(() => console.log('still here'), 200);`,
    ]);
    let output = '';
    plain.stdout!.on('data', (chunk: Buffer) => (output += chunk.toString()));
    expect(await new Promise((resolve) => plain.once('close', resolve))).toBe(1);
    expect(output).toBe('');
  });
});
