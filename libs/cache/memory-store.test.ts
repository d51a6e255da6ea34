import { describe, expect, it } from '@jest/globals';
import { keyOf } from './keys.js';
import { MemoryStore } from './memory-store.js';
import { storeContract } from './store.contract.js';

let now = 1_000_000;

storeContract('memory', async () => ({
  store: new MemoryStore({ bytesMax: 32 * 1024 * 1024, clock: () => now }),
  pass: async () => {
    now += 5;
  },
}));

describe('memory', () => {
  it('never holds more bytes than it may, and lets go of what was used longest ago', async () => {
    const store = new MemoryStore({ bytesMax: 100_000, clock: () => now });
    const first = keyOf('memory.first', '1');
    const keep = async (key: string, value: string): Promise<void> => {
      const [slot] = await store.getOrLease([key], 1_000);
      if (slot?.kind === 'leased') await store.fill([{ key, token: slot.token, value, ttlMs: 60_000 }]);
    };
    await keep(first, '"first"');
    for (let at = 0; at < 2_000; at++) {
      await keep(keyOf('memory.many', String(at)), JSON.stringify('x'.repeat(500)));
      expect(store.bytes).toBeLessThanOrEqual(100_000);
      if (at < 1_000) await keep(first, 'never: it is kept');
    }
    expect(await store.getOrLease([first], 1_000)).toMatchObject([{ kind: 'leased' }]);
    expect(await store.getOrLease([keyOf('memory.many', '1999')], 1_000)).toMatchObject([{ kind: 'kept' }]);
  });

  it('bounds leases, too', async () => {
    const store = new MemoryStore({ bytesMax: 100_000, clock: () => now });
    await store.getOrLease(
      Array.from({ length: 10_000 }, (_, at) => keyOf('memory.leases', String(at))),
      1_000,
    );
    expect(store.bytes).toBeLessThanOrEqual(100_000);
  });
});
