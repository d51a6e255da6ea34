import { buildSubgraphSchema } from '@apollo/subgraph';
import { execute, parse, type DocumentNode } from 'graphql';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { staleEntity, type RecordCache } from '#libs/cache';
import { compose } from '../../gateway/supergraph/compose.js';

/** How long a gateway may keep a register: the bound of the proof. */
export const KEPT_S = 2;

const SDL = `
  extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key", "@composeDirective"])
    @link(url: "https://tributary.dev/cacheControl/v1.0", import: ["@cacheControl"]) @composeDirective(name: "@cacheControl")
  enum CacheControlScope { PUBLIC PRIVATE }
  directive @cacheControl(maxAge: Int, scope: CacheControlScope, inheritMaxAge: Boolean) on FIELD_DEFINITION | OBJECT | INTERFACE | UNION
  type Query { register(id: ID!): Register @cacheControl(maxAge: ${KEPT_S}) }
  type Mutation { write(id: ID!): Register }
  type Register @key(fields: "id") @cacheControl(maxAge: ${KEPT_S}) { id: ID! value: Int! }`;

/** A write as its service knows it. */
export interface Committed {
  readonly version: number;
  /** When somebody was first told that it is done; then nobody may be shown an older one for long. */
  ackedAt: number;
  /** When the cache said that nobody can read an older one any more. */
  droppedAt: number;
}

export interface Registers {
  readonly sdl: string;
  /** By register and version. */
  readonly history: ReadonlyMap<string, Committed[]>;
  readonly loads: number;
  close(): Promise<void>;
}

/**
 * The service that owns the registers: it counts them up, drops what gateways keep before it answers, and is sometimes slow to
 * answer what it has read. Sometimes it "dies" between commit and drop, and drops only when it is back.
 */
export async function startRegisters(options: {
  records: RecordCache | undefined;
  draw: (below: number) => number;
  /** Registers that there are. */
  count: number;
}): Promise<Registers> {
  const { records, draw } = options;
  const history = new Map<string, Committed[]>(
    Array.from({ length: options.count }, (_, nth) => [`r${nth}`, [{ version: 0, ackedAt: 0, droppedAt: 0 }]]),
  );
  const versionOf = (id: string): number => history.get(id)!.at(-1)!.version;
  let loads = 0;
  const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
  const read = async ({ id }: { id: string }): Promise<{ __typename: string; id: string; value: number }> => {
    loads += 1;
    const register = { __typename: 'Register', id, value: versionOf(id) };
    // Read, and late to say so: what comes meanwhile is newer.
    if (draw(10) === 0) await pause(draw(60));
    return register;
  };
  const write = async (id: string): Promise<object> => {
    const version = versionOf(id) + 1;
    const committed = { version, ackedAt: Number.POSITIVE_INFINITY, droppedAt: Number.POSITIVE_INFINITY };
    history.get(id)!.push(committed);
    const told = [{ name: `registers register:${id}`, version }];
    const drop = async (): Promise<void> => {
      const done = await records?.drop({ ...staleEntity('registers', 'Register', { id }), told });
      if (done === true) committed.droppedAt = performance.now();
    };
    if (draw(50) === 0) setTimeout(() => void drop(), 300);
    else await drop();
    return { __typename: 'Register', id, value: version };
  };
  const schema = buildSubgraphSchema({ typeDefs: parse(SDL) });
  Object.assign(schema.getType('Register')!, { resolveReference: read });
  schema.getType('Register')!.extensions = { apollo: { subgraph: { resolveReference: read } } };
  schema.getQueryType()!.getFields()['register']!.resolve = (_, args) => read(args as { id: string });
  schema.getMutationType()!.getFields()['write']!.resolve = (_, { id }) => write(id as string);

  const documents = new Map<string, DocumentNode>();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { query, variables } = JSON.parse(Buffer.concat(chunks).toString()) as { query: string; variables: object };
      let document = documents.get(query);
      if (!document) documents.set(query, (document = parse(query)));
      void Promise.resolve(execute({ schema, document, variableValues: { ...variables } })).then((answer) => {
        response.setHeader('content-type', 'application/json');
        response.end(JSON.stringify(answer));
      });
    });
  });
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`;
  return {
    sdl: await compose([{ name: 'registers', url, from: 'registers', sdl: SDL }]),
    history,
    get loads() {
      return loads;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
