import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Redis } from 'ioredis';
import { openRecordCache } from '#libs/cache';
import { silent } from '#libs/telemetry';
import { parse, type OperationDefinitionNode } from 'graphql';
import { EntityCache } from '../../gateway/cache/entity-cache.js';
import type { Operation, RequestContext, Variables } from '../../gateway/engine.js';
import { openSubgraphClient } from '../../gateway/fetch/subgraph-client.js';
import { RequestConsistency } from '../../gateway/http/consistency.js';
import { createEngine } from '../../gateway/run/engine.js';
import { readSupergraph } from '../../gateway/supergraph/supergraph.js';

/** One gateway of the proof: its engine and its entity cache, or the cache-aside of the tutorials. Asked over HTTP by the clients. */
export interface GatewayOrder {
  readonly sdl: string;
  readonly redisUrl: string;
  /** `trusting` remembers pages and believes them. */
  readonly way: 'ours' | 'trusting' | 'naive';
}

/** What a client asks: registers to read, or one to write. */
export interface Asked {
  readonly read?: readonly string[];
  readonly write?: string;
  readonly writes: readonly { source: string; aggregate: string; version: number; at: number }[];
}

type Answering = (asked: Asked) => Promise<Record<string, number | null>>;

let entities: EntityCache | undefined;

process.once('message', (order: GatewayOrder) => {
  void start(order).then((port) => process.send!({ port }));
});
process.once('disconnect', () => process.exit(0));

async function start(order: GatewayOrder): Promise<number> {
  const answer = order.way === 'naive' ? naive(order) : await gateway(order);
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      answer(JSON.parse(Buffer.concat(chunks).toString()) as Asked).then(
        (values) => {
          response.setHeader('x-shown', entities?.answers.shown ?? 0);
          response.end(JSON.stringify(values));
        },
        (error: unknown) => response.writeHead(500).end(String(error)),
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

async function gateway({ sdl, redisUrl, way }: GatewayOrder): Promise<Answering> {
  const supergraph = readSupergraph(sdl);
  const subgraphs = openSubgraphClient({
    timeoutMs: 5_000,
    bodyBytesMax: 1_000_000,
    connections: 64,
    assertion: () => undefined,
    forwardResponse: [],
    cacheHeaders: true,
    clock: Date.now,
  });
  const records = openRecordCache({ redisUrl, logger: silent });
  await records.ready();
  if (way === 'trusting') records.unchanged = async () => ({ now: Date.now(), same: true });
  entities = new EntityCache({ records });
  const engine = await createEngine(supergraph, {
    subgraphs,
    logger: silent,
    clock: Date.now,
    planner: 'auto',
    merge: 'flow',
    join: true,
    entities,
  });
  const operations = new Map<string, Operation>();
  const operation = (query: string, type: Operation['type']): Operation => {
    let known = operations.get(query);
    if (!known) {
      const document = parse(query);
      const definition = document.definitions[0] as OperationDefinitionNode;
      known = { query, document, definition, operationName: undefined, type, hash: query };
      operations.set(query, known);
    }
    return known;
  };
  return async ({ read = [], write, writes }) => {
    const query =
      write === undefined
        ? `query(${read.map((_, nth) => `$i${nth}:ID!`).join()}){${read.map((_, nth) => `r${nth}:register(id:$i${nth}){value}`).join(' ')}}`
        : 'mutation($i0:ID!){r0:write(id:$i0){id value}}';
    const variables: Variables = Object.fromEntries(
      (write === undefined ? read : [write]).map((id, nth) => [`i${nth}`, id]),
    );
    const context: RequestContext = {
      requestId: 'proof',
      subject: null,
      headers: new Map(),
      signal: AbortSignal.timeout(10_000),
      deadline: Date.now() + 10_000,
      responseHeaders: [],
      consistency:
        writes.length === 0 ? undefined : new RequestConsistency(writes, () => Math.floor(Date.now() / 1_000)),
    };
    const { body } = await engine.execute(
      operation(query, write === undefined ? 'query' : 'mutation'),
      variables,
      context,
    );
    const { data, errors } = JSON.parse(body.toString()) as {
      data: Record<string, { value: number } | null> | null;
      errors?: { message: string }[];
    };
    if (!data || errors) throw new Error(errors?.[0]?.message ?? 'no data');
    return Object.fromEntries(
      (write === undefined ? read : [write]).map((id, nth) => [id, data[`r${nth}`]?.value ?? null]),
    );
  };
}

/** Look, load what is missing, keep it for as long as the schema says; write, then delete. */
function naive({ sdl, redisUrl }: GatewayOrder): Answering {
  const redis = new Redis(redisUrl, { maxRetriesPerRequest: 0, commandTimeout: 100, enableOfflineQueue: false });
  redis.on('error', () => {});
  const [subgraph] = readSupergraph(sdl).subgraphs.values();
  const ask = async (query: string, variables: object): Promise<Record<string, { value: number }>> => {
    const response = await fetch(subgraph!.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query, variables }),
    });
    const { data } = (await response.json()) as { data: Record<string, { value: number }> };
    return data;
  };
  return async ({ read = [], write }) => {
    if (write !== undefined) {
      const { r } = await ask('mutation($i:ID!){r:write(id:$i){id value}}', { i: write });
      await redis.del(`naive:${write}`).catch(() => 0);
      return { [write]: r!.value };
    }
    const kept = read.length === 0 ? [] : await redis.mget(read.map((id) => `naive:${id}`)).catch(() => []);
    const values: Record<string, number> = {};
    const missing = read.filter((id, nth) => {
      if (typeof kept[nth] !== 'string') return true;
      values[id] = Number(kept[nth]);
      return false;
    });
    if (missing.length === 0) return values;
    const query = `query(${missing.map((_, nth) => `$i${nth}:ID!`).join()}){${missing.map((_, nth) => `r${nth}:register(id:$i${nth}){value}`).join(' ')}}`;
    const loaded = await ask(query, Object.fromEntries(missing.map((id, nth) => [`i${nth}`, id])));
    await Promise.all(
      missing.map((id, nth) => {
        values[id] = loaded[`r${nth}`]!.value;
        return redis.set(`naive:${id}`, values[id], 'EX', 2).catch(() => null);
      }),
    );
    return values;
  };
}
