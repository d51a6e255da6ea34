import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { allStale, entityNames, staleEntity } from '#libs/cache';
import type { EntityCache } from './entity-cache.js';
import type { CacheRules } from './rules.js';
import type { Count } from './shape.js';

/** What an operator may drop, each part of it optional. */
export interface Drop {
  /** `User:user_1`, in every subgraph that knows the type by one key. */
  readonly entities?: readonly string[];
  /** `User`, or `users.User` for what one subgraph told of it. */
  readonly types?: readonly string[];
  readonly tags?: readonly string[];
  readonly subgraphs?: readonly string[];
  /** Global ids: all that is kept for them alone. */
  readonly viewers?: readonly string[];
}

export interface Operator {
  /** For example http://127.0.0.1:4100 */
  readonly url: string;
  close(): Promise<void>;
}

const TAG = entityNames.tag('');
const BODY_BYTES_MAX = 1024 * 1024;

/**
 * An operator's door to the cache, on a port of its own: `POST /drop` ends records, `POST /inspect` shows them, `GET /counts` says how
 * often fields were found. Whoever does not know the secret is told nothing.
 */
export async function openOperator(options: {
  cache: EntityCache;
  /** Of the supergraph that is served now. */
  rules: () => CacheRules | undefined;
  host: string;
  port: number;
  secret: string;
  /** Others on the same port count too, each for itself: then nobody can say how often anything was found. */
  several?: boolean;
}): Promise<Operator> {
  const { cache, rules, secret, several = false } = options;
  const expected = digest(`Bearer ${secret}`);
  const server = createServer((request, response) => {
    void answer(request).then(
      ({ status, body }) => send(response, status, body),
      (error: unknown) => send(response, 400, { error: error instanceof Error ? error.message : String(error) }),
    );
  });

  async function answer(request: IncomingMessage): Promise<{ status: number; body: unknown }> {
    if (!timingSafeEqual(digest(request.headers.authorization ?? ''), expected))
      return { status: 401, body: { error: 'Say the secret of ENTITY_CACHE_SECRET: Authorization: Bearer …' } };
    const path = `${request.method} ${request.url}`;
    if (several && (path === 'GET /counts' || path === 'GET /metrics'))
      return {
        status: 409,
        body: { error: `${path} needs WORKERS=1: each process counts for itself; run several gateways instead.` },
      };
    if (path === 'GET /counts') return { status: 200, body: { counts: cache.counts } };
    if (path === 'GET /metrics') return { status: 200, body: metricsOf(cache.counts) };
    if (path === 'POST /drop') {
      const delivered = await cache.records.drop(staleOf((await read(request)) as Drop, rules()));
      return { status: delivered ? 200 : 202, body: { dropped: delivered } };
    }
    if (path === 'POST /inspect') {
      const { entity } = (await read(request)) as { entity?: unknown };
      const records = await Promise.all(
        named(String(entity), rules()).map(async ({ subgraph, type, key }) => ({
          subgraph,
          type,
          key,
          fields: (await cache.records.inspect(entityNames.entity(subgraph, type, JSON.stringify(key)))).map(
            (field) => ({
              ...field,
              // As they are dropped: without the mark that tells them from types and viewers.
              tags: field.tags.flatMap((tag) => (tag.startsWith(TAG) ? [tag.slice(TAG.length)] : [])),
            }),
          ),
        })),
      );
      return { status: 200, body: { records } };
    }
    return { status: 404, body: { error: 'There is POST /drop, POST /inspect, GET /counts and GET /metrics.' } };
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(options.port, options.host, resolve);
  });
  const { port } = server.address() as AddressInfo;
  const host = options.host.includes(':') ? `[${options.host}]` : options.host;
  return {
    url: `http://${host}:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Prometheus' text format, version 0.0.4. */
function metricsOf(counts: readonly Count[]): string {
  const name = 'tributary_entity_cache_fields_total';
  const quoted = (text: string): string => JSON.stringify(text);
  const lines = counts.flatMap(({ subgraph, field, hits, misses, stale }) =>
    Object.entries({ hit: hits, miss: misses, stale }).map(
      ([outcome, count]) =>
        `${name}{subgraph=${quoted(subgraph)},field=${quoted(field)},outcome=${quoted(outcome)}} ${count}`,
    ),
  );
  return `# HELP ${name} Fields of entities that were found, missing, or shown although stale.\n# TYPE ${name} counter\n${lines.map((line) => `${line}\n`).join('')}`;
}

function staleOf(drop: Drop, rules: CacheRules | undefined): { entities: string[]; epochs: string[] } {
  const { entities = [], types = [], tags = [], subgraphs = [], viewers = [] } = drop;
  for (const list of [entities, types, tags, subgraphs, viewers]) {
    if (!Array.isArray(list) || list.some((one) => typeof one !== 'string'))
      throw new Error('entities, types, tags, subgraphs and viewers are lists of texts');
  }
  const ofTypes = types.flatMap((type) => {
    const dot = type.indexOf('.');
    if (dot >= 0) return [entityNames.type(type.slice(0, dot), type.slice(dot + 1))];
    return (rules?.subgraphs ?? []).map((subgraph) => entityNames.type(subgraph, type));
  });
  return allStale([
    ...entities.flatMap((entity) =>
      named(entity, rules).map(({ subgraph, type, key }) => staleEntity(subgraph, type, key)),
    ),
    {
      epochs: [
        ...ofTypes,
        ...tags.map(entityNames.tag),
        ...subgraphs.map(entityNames.subgraph),
        ...viewers.map(entityNames.viewer),
      ],
    },
  ]);
}

/** `User:user_1` → its record in each subgraph. */
function named(
  text: string,
  rules: CacheRules | undefined,
): { subgraph: string; type: string; key: Record<string, string | number> }[] {
  const colon = text.indexOf(':');
  const [type, id] = [text.slice(0, colon), text.slice(colon + 1)];
  const rule = rules?.type(type);
  const keys = rule?.keys;
  if (colon < 1 || !keys || keys.size === 0)
    throw new Error(`An entity is a type with a @key, a colon and the key, for example User:user_1; came ${text}`);
  return [...keys].flatMap(([subgraph, all]) =>
    all.flatMap(({ names }) => {
      const [name] = names;
      if (names.size !== 1 || name === undefined) return [];
      const value = rule.fields.get(name)?.type === 'Int' ? Number(id) : id;
      return Number.isNaN(value) ? [] : [{ subgraph, type, key: { [name]: value } }];
    }),
  );
}

async function read(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) throw new Error(`A body has at most ${BODY_BYTES_MAX} bytes.`);
    chunks.push(chunk);
  }
  const body: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
  if (typeof body !== 'object' || body === null) throw new Error('The body is a JSON object.');
  return body;
}

function send(response: ServerResponse, status: number, body: unknown): void {
  const isText = typeof body === 'string';
  const type = isText ? 'text/plain; version=0.0.4; charset=utf-8' : 'application/json; charset=utf-8';
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' });
  response.end(isText ? body : JSON.stringify(body));
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
