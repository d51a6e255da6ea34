import TestSequencer from '@jest/test-sequencer';
import { existsSync } from 'node:fs';
import { relative } from 'node:path';

/** Of runs of all tests with three and four workers, what took longest, s. Only their order matters. */
const SECONDS = {
  'test/attack/attack': 130,
  'test/docs/blocks': 120,
  'test/proofs/proofs': 99,
  'test/journeys/stories': 90,
  'gateway/workers/workers': 81,
  'test/faults/killed-rebuild': 80,
  'test/deploy/image': 76,
  'test/consistency/read-your-writes': 67,
  'test/deploy/start': 61,
  'test/attack/threats': 61,
  'test/faults/faults': 58,
  'test/faults/nothing-dropped': 55,
  'test/faults/killed-program': 55,
  'test/faults/rebuilt-beside': 50,
  'subgraphs/posts/posts': 43,
  'test/journeys/stories-on-servers': 43,
  'libs/database/database': 38,
  'test/faults/killed-before-the-drop': 38,
  'test/watch/names': 36,
  'test/entity-cache': 34,
  'gateway/cache/stampede': 33,
  'subgraphs/posts/trending/trending': 31,
  'test/journeys/deletion': 30,
  'subgraphs/users/users': 29,
  'gateway/cache/canary': 29,
  'test/contracts/alone': 29,
  'test/faults/soak': 24,
  'test/at-rest': 24,
  'test/deploy/compose': 23,
  'test/contracts/recorded': 23,
  'test/deploy/clients': 23,
  'test/faults/crash-at': 22,
  'libs/outbox/relay': 22,
  'libs/outbox/leases': 22,
  'test/journeys/sessions': 21,
  'libs/database/killed': 20,
  'gateway/cache/redis-faults': 20,
  'subgraphs/followers/write/change-relation': 20,
  'test/federation/generated/oracle': 20,
  'test/consistency/recorded-histories': 19,
  'libs/outbox/redis-stream': 19,
  'commands/prove/entity-cache': 18,
  'gateway/gateway': 18,
  'libs/rate-limit/budgets': 18,
  'test/watch/traces': 18,
  'test/federation/generated/more-generated': 18,
  'subgraphs/posts/timeline/timeline': 18,
  'libs/outbox/consume': 17,
  'subgraphs/users/notifications/notifications': 16,
  'libs/outbox/brought': 16,
  'libs/redis/connect': 12,
};

/**
 * Whoever has run the tests before knows how long each took, and Jest begins with the longest. On a clean clone it goes by the size of
 * their files, by which the stories, two minutes of a file of a kilobyte, came last and ran alone.
 */
export default class HeaviestFirst extends TestSequencer {
  constructor(options) {
    super(options);
    const gone = Object.keys(SECONDS).filter((name) => !existsSync(fileOf(name)));
    if (gone.length > 0) throw new Error(`test/heaviest-first.mjs names what is not there: ${gone.join(', ')}`);
  }

  /** In ms. */
  time(test) {
    const { path, context } = test;
    const name = relative(context.config.rootDir, path).replace(/\.test\.ts$/, '');
    // For all others what Jest goes by, behind these: as if a kilobyte took a tenth of a second.
    return super.time(test) ?? (SECONDS[name] ?? 1 + (context.hasteFS.getSize(path) ?? 0) / 10_000) * 1_000;
  }
}

function fileOf(name) {
  return new URL(`../${name}.test.ts`, import.meta.url);
}
