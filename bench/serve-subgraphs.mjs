/** All subgraphs in one process, on one port: POST /<name>. Answers known bodies from memory. GET /calls counts. */
import { createRequire } from 'node:module';
import { createServer } from 'node:http';
import { parse } from 'graphql';
import { schemas } from './shop.mjs';

// One graphql for everything: @apollo/subgraph is CommonJS.
const { execute } = createRequire(import.meta.url)('graphql');
const known = new Map();
const all = schemas();
const delayMs = Number(process.env.DELAY_MS ?? 0);
let calls = 0;

const server = createServer((request, response) => {
  if (request.method !== 'POST' && request.url !== '/calls') return void response.writeHead(405).end();
  if (request.url === '/calls') return void response.end(String(calls));
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', async () => {
    calls += 1;
    const text = Buffer.concat(chunks).toString();
    const key = request.url + text;
    let answer = known.get(key);
    if (!answer) {
      const { query, variables } = JSON.parse(text);
      const result = await execute({ schema: all.get(request.url.slice(1)), document: parse(query), variableValues: variables });
      answer = Buffer.from(JSON.stringify(result));
      if (known.size < 10_000) known.set(key, answer);
    }
    const send = () => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': answer.length });
      response.end(answer);
    };
    if (delayMs > 0) setTimeout(send, delayMs);
    else send();
  });
});
server.keepAliveTimeout = 60_000;
server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => process.send?.({ port: server.address().port }));
