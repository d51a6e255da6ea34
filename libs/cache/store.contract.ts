import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { keyOf } from './keys.js';
import { VALUE_LENGTH_MAX, type CacheStore, type Slot } from './store.js';

export interface OpenedStore {
  readonly store: CacheStore;
  /** Lets a little time pass, as the store sees it. */
  pass(): Promise<void>;
}

/** What every store promises. Run by each of them. */
export function storeContract(title: string, open: () => Promise<OpenedStore>): void {
  describe(`${title} keeps the contract of a cache store`, () => {
    let store: CacheStore;
    let pass: () => Promise<void>;
    let made = 0;
    const newKey = (): string => keyOf('contract.thing', `${process.pid}-${++made}`);
    const ask = async (key: string, leaseMs = 10_000): Promise<Slot> => (await store.getOrLease([key], leaseMs))[0]!;
    const lease = async (key: string, leaseMs?: number): Promise<string> => {
      const slot = await ask(key, leaseMs);
      if (slot.kind !== 'leased') throw new Error(`expected a lease, came ${slot.kind}`);
      return slot.token;
    };
    const fill = (key: string, token: string, value: string | null, ttlMs = 10_000): Promise<void> =>
      store.fill([{ key, token, value, ttlMs }]);
    const leasedInTime = async (key: string): Promise<string> => {
      for (;;) {
        const slot = await ask(key);
        if (slot.kind === 'leased') return slot.token;
        await pass();
      }
    };

    beforeAll(async () => {
      ({ store, pass } = await open());
      await store.ready();
    });
    afterAll(() => store.close());

    it('leases what is not kept to the first who asks, and names that lease to the others', async () => {
      const key = newKey();
      const token = await lease(key);
      expect(await ask(key)).toEqual({ kind: 'awaited', token });
      expect(await ask(key)).toEqual({ kind: 'awaited', token });
    });

    it('keeps what is filled under the lease, for everybody', async () => {
      const key = newKey();
      await fill(key, await lease(key), '{"n":1}');
      expect(await ask(key)).toEqual({ kind: 'kept', text: '{"n":1}' });
    });

    it('answers each key at its place', async () => {
      const [kept, held, open] = [newKey(), newKey(), newKey()];
      await fill(kept, await lease(kept), '"kept"');
      const token = await lease(held);
      const slots = await store.getOrLease([held, kept, open], 10_000);
      expect(slots).toEqual([
        { kind: 'awaited', token },
        { kind: 'kept', text: '"kept"' },
        { kind: 'leased', token: expect.any(String) },
      ]);
    });

    it('keeps nothing of a load that began before a drop, whatever was asked since', async () => {
      const key = newKey();
      const slow = await lease(key);
      await store.drop([key]);
      await fill(key, slow, '"old"');
      const fresh = await lease(key);
      await fill(key, slow, '"old"');
      expect(await ask(key)).toEqual({ kind: 'awaited', token: fresh });
      await fill(key, fresh, '"new"');
      await fill(key, slow, '"old"');
      expect(await ask(key)).toEqual({ kind: 'kept', text: '"new"' });
    });

    it('fills once under a lease', async () => {
      const key = newKey();
      const token = await lease(key);
      await fill(key, token, '1');
      await fill(key, token, '2');
      expect(await ask(key)).toEqual({ kind: 'kept', text: '1' });
    });

    it('leases again when the lease has run out, and the late fill does nothing', async () => {
      const key = newKey();
      const late = await lease(key, 20);
      const token = await leasedInTime(key);
      await fill(key, late, '"late"');
      expect(await ask(key)).toEqual({ kind: 'awaited', token });
    });

    it('leases again at once when a lease is given back', async () => {
      const key = newKey();
      await fill(key, await lease(key), null);
      expect(await ask(key)).toMatchObject({ kind: 'leased' });
    });

    it('gives back only the lease that is named', async () => {
      const key = newKey();
      const token = await lease(key);
      await fill(key, 'another', null);
      expect(await ask(key)).toEqual({ kind: 'awaited', token });
    });

    it('forgets a value when its lifetime is over', async () => {
      const key = newKey();
      await fill(key, await lease(key), '1', 20);
      expect(await leasedInTime(key)).toEqual(expect.any(String));
    });

    it('keeps nothing whose lifetime was over before it came', async () => {
      const key = newKey();
      await fill(key, await lease(key), '1', -5);
      expect(await ask(key)).toMatchObject({ kind: 'leased' });
    });

    it('drops values and leases, and minds neither absent keys nor none at all', async () => {
      const [kept, held, absent] = [newKey(), newKey(), newKey()];
      await fill(kept, await lease(kept), '1');
      await lease(held);
      await store.drop([kept, held, absent]);
      await store.drop([]);
      const slots = await store.getOrLease([kept, held, absent], 10_000);
      expect(slots.map((slot) => slot.kind)).toEqual(['leased', 'leased', 'leased']);
    });

    it('keeps a value of the greatest length, and none that is longer', async () => {
      const [longest, longer] = [newKey(), newKey()];
      const text = JSON.stringify('ü'.repeat(VALUE_LENGTH_MAX - 2));
      await fill(longest, await lease(longest), text);
      await fill(longer, await lease(longer), `${text} `);
      expect(await ask(longest)).toEqual({ kind: 'kept', text });
      expect(await ask(longer)).toMatchObject({ kind: 'leased' });
    });

    it('keeps every id apart, however it is written', async () => {
      const ids = [
        '',
        ' ',
        '{',
        '}',
        '{a}',
        'a:b',
        'ä',
        'a\u0308',
        '💧',
        '\u0000',
        'a\r\nb',
        '__proto__',
        'constructor',
        'x'.repeat(5_000),
      ];
      const keys = ids.map((id) => keyOf('contract.strange', `${process.pid}/${id}`));
      const leases = await store.getOrLease(keys, 10_000);
      await store.fill(
        keys.map((key, at) => ({
          key,
          token: leases[at]!.kind === 'leased' ? leases[at]!.token : '',
          value: JSON.stringify(ids[at]),
          ttlMs: 10_000,
        })),
      );
      const slots = await store.getOrLease(keys, 10_000);
      expect(slots).toEqual(ids.map((id) => ({ kind: 'kept', text: JSON.stringify(id) })));
    });

    it('takes thousands of keys of several prefixes in one round trip', async () => {
      const keys = Array.from({ length: 2_500 }, (_, at) => keyOf(`contract.many-${at % 3}`, `${process.pid}-${at}`));
      const before = store.roundTrips;
      const leases = await store.getOrLease(keys, 10_000);
      await store.fill(
        leases.map((slot, at) => ({
          key: keys[at]!,
          token: slot.kind === 'leased' ? slot.token : '',
          value: String(at),
          ttlMs: 10_000,
        })),
      );
      const slots = await store.getOrLease(keys, 10_000);
      await store.drop(keys);
      expect(slots).toEqual(keys.map((_, at) => ({ kind: 'kept', text: String(at) })));
      expect(store.roundTrips - before).toBe(4);
    });

    it('leases a key to one of many who ask at the same moment', async () => {
      const key = newKey();
      const slots = await Promise.all(Array.from({ length: 50 }, () => ask(key)));
      expect(slots.filter((slot) => slot.kind === 'leased')).toHaveLength(1);
    });
  });
}
