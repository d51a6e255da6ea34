import TestSequencer from '@jest/test-sequencer';
import { existsSync } from 'node:fs';
import { relative } from 'node:path';

/** Of a run of all tests with three workers, what took longest, s. Only their order matters. */
const SECONDS = {
  'test/journeys/stories': 118,
  'test/proofs/proofs': 96,
  'test/docs/blocks': 90,
  'gateway/workers/workers': 64,
  'test/faults/killed-before-the-drop': 60,
  'test/faults/faults': 60,
  'test/faults/nothing-dropped': 58,
  'test/faults/killed-rebuild': 58,
  'test/deploy/image': 56,
  'test/consistency/read-your-writes': 50,
  'test/journeys/deletion': 47,
  'test/attack/attack': 43,
  'test/faults/killed-program': 42,
  'libs/database/database': 38,
  'subgraphs/posts/timeline/rebuild': 36,
  'test/budgets': 36,
  'test/faults/soak': 34,
  'test/journeys/stories-on-servers': 34,
  'test/faults/crash-at': 34,
  'test/attack/threats': 33,
  'libs/redis/connect': 32,
  'libs/database/killed': 31,
  'test/watch/names': 28,
  'test/federation/generated/generated': 25,
  'test/contracts/recorded': 25,
  'subgraphs/posts/posts': 24,
  'gateway/cache/canary': 24,
  'libs/outbox/relay': 24,
  'test/federation/generated/more-generated': 24,
  'gateway/cache/redis-faults': 22,
  'subgraphs/users/notifications/notifications': 22,
  'gateway/cache/stampede': 21,
  'libs/cache/freshness': 20,
  'subgraphs/posts/timeline/timeline': 20,
  'test/federation/generated/oracle': 18,
  'commands/prove/entity-cache': 16,
  'test/journeys/playground': 16,
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
