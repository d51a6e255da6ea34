/**
 * All subgraphs in one process, on one port: POST /<name>. An answer to a body that was seen before is bytes from memory.
 * GET /calls counts. DELAY_MS holds every answer back, or, with SLOW, those of that subgraph; then each has a port of its own as well, for one port is one
 * machine to a gateway: what waits for one would keep the others waiting.
 */
import { createRequire } from 'node:module';
import { createServer } from 'node:http';
import { parse } from 'graphql';
import { federation1, schemas } from './shop.mjs';

// One graphql for everything: @apollo/subgraph is CommonJS.
const { execute } = createRequire(import.meta.url)('graphql');
const KNOWN_MAX = 10_000;
const known = new Map();
const all = schemas();
const delayMs = Number(process.env.DELAY_MS ?? 0);
const slow = process.env.SLOW;
let calls = 0;

const serve = (request, response) => {
  if (request.url === '/calls') return void response.end(String(calls));
  if (request.method !== 'POST') return void response.writeHead(405).end();
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', async () => {
    calls += 1;
    const path = request.url.slice(1);
    const answer = await answerTo(path, Buffer.concat(chunks).toString());
    const send = () => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': answer.length });
      response.end(answer);
    };
    if (delayMs > 0 && (slow === undefined || slow === path)) setTimeout(send, delayMs);
    else send();
  });
};

async function answerTo(path, text) {
  const key = path + text;
  const before = known.get(key);
  if (before) return before;
  const { query, variables } = JSON.parse(text);
  const [name, federation] = path.split('/').reverse();
  const result =
    federation === 'federation1' && query.includes('_service')
      ? { data: { _service: { sdl: federation1[name] } } }
      : await execute({ schema: all.get(name), document: parse(query), variableValues: variables });
  const answer = Buffer.from(JSON.stringify(result));
  if (known.size < KNOWN_MAX) known.set(key, answer);
  return answer;
}

function listen(port) {
  return new Promise((resolve) => {
    const server = createServer(serve);
    server.keepAliveTimeout = 60_000;
    server.listen(port, '127.0.0.1', () => resolve(server.address().port));
  });
}

const port = await listen(Number(process.env.PORT ?? 0));
const ports = {};
if (delayMs > 0) for (const name of all.keys()) ports[name] = await listen(0);
process.send?.({ port, ports });
