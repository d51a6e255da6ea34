import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { withServer } from '../../test/servers/needs.js';
import { Cache, openCache } from './cache.js';
import { naiveReader, plainMemory, plainRedis, readerOf, seeded, slowMissAcrossACommit, staleReads, type Reader } from './freshness.contract.js'; // prettier-ignore
import { MemoryStore } from './memory-store.js';

interface Processes {
  readonly two: readonly Reader[];
  close(): void;
}

function freshness(title: string, ours: () => Promise<Processes>, naive: () => Promise<Processes>): void {
  describe(`after a commit and its drop, ${title}`, () => {
    let withLeases: Processes;
    let without: Processes;
    beforeAll(async () => {
      [withLeases, without] = await Promise.all([ours(), naive()]);
    });
    afterAll(() => {
      withLeases.close();
      without.close();
    });

    it('reads the new row in both processes, though a slow miss ends after it with the old one', async () => {
      const [a, b] = withLeases.two;
      expect(await slowMissAcrossACommit(a!, b!, randomUUID())).toEqual([2, 2]);
      expect(await slowMissAcrossACommit(a!, a!, randomUUID())).toEqual([2, 2]);
    });

    it('control: without leases both read the old row', async () => {
      const [a, b] = without.two;
      expect(await slowMissAcrossACommit(a!, b!, randomUUID())).toEqual([1, 1]);
    });

    it('never reads an older row in twenty histories of readers and writers at random', async () => {
      for (let seed = 1; seed <= 20; seed++) {
        expect(await staleReads(withLeases.two, seeded(seed), 200, randomUUID())).toEqual([]);
      }
    });

    it('control: without leases such histories show older rows', async () => {
      let violations = 0;
      for (let seed = 1; seed <= 200 && violations === 0; seed++)
        violations += (await staleReads(without.two, seeded(seed), 200, randomUUID())).length;
      expect(violations).toBeGreaterThan(0);
    });
  });
}

freshness(
  'in memory,',
  async () => {
    const store = new MemoryStore({ bytesMax: 10_000_000, clock: Date.now });
    return { two: [1, 2].map(() => readerOf(new Cache({ store }), 'fresh.row')), close: () => void store.close() };
  },
  async () => {
    const plain = plainMemory();
    return { two: [naiveReader(plain), naiveReader(plain)], close: () => {} };
  },
);

withServer('redis', 'Redis', (url) => {
  freshness(
    'in Redis,',
    async () => {
      const caches = [1, 2].map(() => openCache({ redisUrl: url, mode: 'on', deadlineMs: 10_000 }));
      await Promise.all(caches.map((cache) => cache.ready()));
      return {
        two: caches.map((cache) => readerOf(cache, 'fresh.row')),
        close: () => caches.forEach((cache) => void cache.close()),
      };
    },
    async () => {
      const stores = [plainRedis(url), plainRedis(url)];
      return { two: stores.map(naiveReader), close: () => stores.forEach((store) => store.close()) };
    },
  );
});
