import type { GraphQLRequestContextDidResolveOperation, GraphQLRequestContextWillSendResponse } from '@apollo/server';
import { describe, expect, it } from '@jest/globals';
import { getOperationAST, parse } from 'graphql';
import { silent } from '#libs/telemetry';
import type { RequestContext } from './context.js';
import { readYourWrites } from './read-your-writes.js';

/** What is known of who asks when their operation is resolved, and the answer's `Cache-Control` where it read from a replica because it might. */
async function asked(query: string, more: Partial<RequestContext> = {}, replicas = true) {
  const plugin = readYourWrites({
    caughtUp: {
      wait: async () => ({ behind: [], justHeard: false }),
      wrote: () => {},
      lastHeard: async () => new Map(),
    },
    hearNow: async () => {},
    recorded: async () => [],
    waitMs: 0,
    late: 'refuse',
    replicas,
    service: 'users',
    logger: silent,
  });
  const contextValue: RequestContext = {
    viewer: null,
    requestId: 'r',
    upTo: [],
    fresh: false,
    wrote: [],
    found: [],
    ...more,
  };
  const document = parse(query);
  const headers = new Map<string, string>();
  const request = { contextValue, document, operation: getOperationAST(document), request: {} };
  const response = { http: { headers }, body: { kind: 'single', singleResult: {} } };
  const hooks = await plugin.requestDidStart!({} as never);
  type Resolved = GraphQLRequestContextDidResolveOperation<RequestContext>;
  await hooks!.didResolveOperation!(request as unknown as Resolved);
  const { mayLag } = contextValue;
  if (mayLag) contextValue.lagged = true;
  type Sent = GraphQLRequestContextWillSendResponse<RequestContext>;
  await hooks!.willSendResponse!({ ...request, response } as unknown as Sent);
  return { mayLag, kept: headers.get('cache-control') };
}

const UP_TO = { upTo: [{ source: 'posts', aggregate: 'post:1', version: 1, at: 1 }] };

describe('a replica may be read', () => {
  it('for a query of somebody who brings no token, and nobody may keep what it answers', async () => {
    expect(await asked('{ a }')).toEqual({ mayLag: true, kept: 'no-store' });
  });

  it.each<[string, string, Partial<RequestContext>, boolean]>([
    ['for a mutation', 'mutation { b }', {}, true],
    ['for who has written something, wherever that was', '{ a }', UP_TO, true],
    ['for who has asked for nothing older than before', '{ a }', { fresh: true, monotonic: true }, true],
    ['where there is none', '{ a }', {}, false],
  ])('not %s', async (_, query, more, replicas) => {
    expect(await asked(query, more, replicas)).toEqual({ mayLag: undefined, kept: undefined });
  });
});
