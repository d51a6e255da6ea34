import { expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { ROOT } from '../commands/root.js';
import { connectionsWithin } from './open-files.js';

const WANTED = { clients: 10_000, calls: 64 };

it.each([
  ['all that is wanted, where there is room for it', 16_384, WANTED],
  ['all that is wanted, where nobody knows', undefined, WANTED],
  ['fewer clients, before calls', 4_096, { clients: 3_456, calls: 64 }],
  ['half of what there is to clients, and its part to each address', 256, { clients: 90, calls: 12 }],
  ['one, in a shell that allows next to nothing', 32, { clients: 1, calls: 1 }],
])('of open files there is %s', (_, files, connections) => {
  expect(connectionsWithin(files, WANTED)).toEqual(connections);
});

it('a call for which no file is left is OVERLOADED and tells nothing of its address: it is asked again as soon as there is one', async () => {
  const code = `
    import { closeSync, openSync } from 'node:fs';
    import { createServer } from 'node:http';
    import { openSubgraphClient } from './dist/gateway/fetch/subgraph-client.js';
    const server = createServer((_, response) =>
      response.setHeader('content-type', 'application/json').end('{"data":{}}'));
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    const client = openSubgraphClient({
      timeoutMs: 30_000, bodyBytesMax: 1_000, connections: 8, breakerFailures: 3, assertion() {}, forwardResponse: [], clock: Date.now,
    });
    const ask = () => client.post(
      { subgraph: 'posts', url: 'http://127.0.0.1:' + server.address().port + '/graphql', type: 'query', body: '{}' },
      { requestId: 'r1', subject: null, headers: new Map(), signal: new AbortController().signal, deadline: Date.now() + 60_000, responseHeaders: [] },
    ).then(() => 'an answer', ({ code }) => code);
    const taken = [];
    try {
      for (;;) taken.push(openSync('/dev/null'));
    } catch {}
    const said = [];
    for (let nth = 0; nth < 6; nth += 1) said.push(await ask());
    for (const file of taken) closeSync(file);
    said.push(await ask());
    console.log(JSON.stringify(said));
    process.exit();`;
  const node = [process.execPath, '--input-type=module', '--eval', code];
  const { stdout } = await promisify(execFile)('/bin/sh', ['-c', 'ulimit -n 200; exec "$@"', 'few', ...node], {
    cwd: ROOT,
  });
  expect(JSON.parse(stdout)).toEqual([...Array.from({ length: 6 }, () => 'OVERLOADED'), 'an answer']);
});
