import { expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '#libs/failure';
import type { Logger } from '#libs/telemetry';
import type { SubgraphClient } from '../engine.js';
import { Reachable } from './reachable.js';
import type { Supergraph } from './supergraph.js';

it('a subgraph that does not answer is told of each minute for as long as it is waited for, and not with each try', async () => {
  let [now, tries, isThere] = [0, 0, false];
  const said: object[] = [];
  const client = {
    async post() {
      tries += 1;
      if (!isThere) throw new Failure('SUBGRAPH_UNAVAILABLE');
    },
  } as unknown as SubgraphClient;
  const logger = { warn: (fields: object) => void said.push(fields) } as unknown as Logger;
  const posts = { name: 'posts', graph: 'POSTS', url: 'http://posts.internal/' };
  const supergraph = { subgraphs: new Map([['posts', posts]]) } as unknown as Supergraph;
  const reachable = new Reachable({ client, logger, clock: () => now });
  const all = reachable.all(supergraph);
  const triedMore = async (count: number): Promise<void> => {
    for (const until = tries + count; tries < until;) await sleep(10);
  };
  await triedMore(3);
  // Control: three tries, one line.
  expect(said).toHaveLength(1);
  for (const lines of [2, 3]) {
    now += 60_000;
    await triedMore(2);
    expect(said).toHaveLength(lines);
  }
  expect(said[2]).toMatchObject({ subgraph: 'posts', detail: expect.stringContaining('Failure') });
  expect(reachable.missing(supergraph)).toEqual(['subgraph posts: it cannot be reached']);
  isThere = true;
  await all;
  expect(reachable.missing(supergraph)).toEqual([]);
});
