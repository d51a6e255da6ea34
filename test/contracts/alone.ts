import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { seedDemo } from '../../commands/seed/demo.js';
import type { Database, Statements } from '#libs/database';
import type { DomainEvent } from '#libs/events';
import { ASSERTION_HEADER, AssertionSigner } from '#libs/identity';
import { openStream } from '#libs/outbox';
import type { RunningSubgraph } from '#libs/subgraph-kit';
import { silent } from '#libs/telemetry';
import { readFollowersConfig } from '../../subgraphs/followers/config.js';
import { startFollowers } from '../../subgraphs/followers/start.js';
import { readPostsConfig } from '../../subgraphs/posts/config.js';
import { startPosts } from '../../subgraphs/posts/start.js';
import { readUsersConfig } from '../../subgraphs/users/config.js';
import { openSealer } from '../../subgraphs/users/sealing.js';
import { startUsers } from '../../subgraphs/users/start.js';
import { layOutStores, type Service } from '../stores.js';

export type { Service };

/** One service with its part of the demo graph, and nothing else that runs: we are its gateway, and the others' events. */
export interface Alone {
  readonly running: RunningSubgraph;
  /** `subject`: global id of who asks. */
  ask(subject: string | null, query: string, variables?: object): Promise<Answer>;
  hear(event: DomainEvent): Promise<void>;
  close(): Promise<void>;
}

export interface Answer {
  readonly data?: Record<string, unknown> | null;
  readonly errors?: readonly { message: string; path?: (string | number)[]; extensions: { code: string } }[];
}

export async function startAlone(service: Service): Promise<Alone> {
  const dataDir = await mkdtemp(join(tmpdir(), `tributary-${service}-`));
  await layOutStores(dataDir, service);
  const stream = openStream({ logger: silent });
  const env = { DATA_DIR: dataDir, PORT: '0', ASSERTION_SECRET: SECRET, RELAY_POLL_MS: '60000' };
  const parts = { stream, logger: silent };
  const start = {
    users: () => startUsers(readUsersConfig(env), parts),
    posts: () => startPosts(readPostsConfig(env), parts),
    followers: () => startFollowers(readFollowersConfig(env), parts),
  };
  const running = await start[service]();
  // As everything.ts does.
  await running.settle();
  const sealer = await openSealer(readUsersConfig(env));
  await seedDemo({ users: nowhere, posts: nowhere, followers: nowhere, sealer, [service]: running.database });
  const signer = new AssertionSigner({ secrets: () => SECRET });
  return {
    running,
    hear: (event) => stream.publish([event]),
    async ask(subject, query, variables = {}) {
      const body = JSON.stringify({ query, variables });
      const assertion = signer.sign(service, subject, { body });
      const response = await fetch(running.url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', [ASSERTION_HEADER]: assertion },
        body,
      });
      return (await response.json()) as Answer;
    },
    async close() {
      await running.close();
      await stream.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

const SECRET = 'only for the tests of contracts, 32+';

/** Where the parts of the demo graph go that belong to services which are not there. */
const statements: Statements = { query: async () => [] };
const nowhere = {
  ...statements,
  transaction: (work: (tx: Statements) => Promise<unknown>) => work(statements),
} as unknown as Database;
