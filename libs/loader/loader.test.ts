import { describe, expect, it } from '@jest/globals';
import { keyed, perRequest, type Loader } from './index.js';

interface Request {
  readonly viewer: string | null;
}

/** A table that counts how it is asked. */
function table(rows: Record<string, string>) {
  const batches: string[][] = [];
  const load = async (ids: readonly string[]): Promise<Map<string, string>> => {
    batches.push([...ids]);
    return new Map(ids.flatMap((id) => (Object.hasOwn(rows, id) ? [[id, rows[id]!] as const] : [])));
  };
  return { rows, batches, load };
}

const ids = (count: number): string[] => Array.from({ length: count }, (_, at) => `id-${at}`);

describe('a loader', () => {
  it.each([
    [1, [1]],
    [1_000, [1_000]],
    [1_001, [1_000, 1]],
    [2_500, [1_000, 1_000, 500]],
  ])('loads %i keys of one turn in batches of %p', async (count, sizes) => {
    const { batches, load } = table({});
    const loader = keyed(load);
    await Promise.all(ids(count).map((id) => loader.load(id)));
    expect(batches.map((batch) => batch.length)).toEqual(sizes);
  });

  it('asks once for a key that is wanted many times, however far down', async () => {
    const { batches, load } = table({ a: 'Alice' });
    const loader = keyed(load);
    const found = await Promise.all([loader.load('a'), Promise.resolve().then(() => loader.load('a')), loader.loadMany(['a', 'a'])]); // prettier-ignore
    expect(found).toEqual(['Alice', 'Alice', ['Alice', 'Alice']]);
    expect(batches).toEqual([['a']]);
  });

  it('answers null for what is missing, each key at its place', async () => {
    const { load } = table({ a: 'Alice', c: 'Carol' });
    expect(await keyed(load).loadMany(['c', 'b', 'a', '__proto__', 'constructor'])).toEqual(['Carol', null, 'Alice', null, null]); // prettier-ignore
  });

  it('forgets a failure: the next load asks again', async () => {
    const { batches, load, rows } = table({ a: 'Alice' });
    let broken = true;
    const loader = keyed(async (keys: readonly string[]) => {
      const found = await load(keys);
      if (broken) throw new Error('the database is gone');
      return found;
    });
    const failed = await Promise.allSettled([loader.load('a'), loader.load('b')]);
    expect(failed.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    broken = false;
    rows['b'] = 'Bob';
    expect(await loader.loadMany(['a', 'b'])).toEqual(['Alice', 'Bob']);
    expect(batches).toEqual([['a', 'b'], ['a', 'b']]); // prettier-ignore
  });

  it('fails what is an error alone, and asks again for that alone', async () => {
    const batches: string[][] = [];
    const loader = keyed(async (keys: readonly string[]) => {
      batches.push([...keys]);
      const b = batches.length === 1 ? new Error('the primary is gone') : 'Bob';
      return new Map<string, string | Error>([['a', 'Alice'], ['b', b]]); // prettier-ignore
    });
    expect(await Promise.allSettled([loader.load('a'), loader.load('b')])).toMatchObject([
      { value: 'Alice' },
      { reason: { message: 'the primary is gone' } },
    ]);
    expect(await loader.loadMany(['a', 'b'])).toEqual(['Alice', 'Bob']);
    expect(batches).toEqual([['a', 'b'], ['b']]);
  });

  it('shows a write of the same request after clear, and without a load after prime', async () => {
    const { batches, load, rows } = table({ a: 'Alice' });
    const loader = keyed(load);
    await loader.load('a');
    rows['a'] = 'Alice Liddell';
    expect(await loader.load('a')).toBe('Alice');
    expect(await loader.clear('a').load('a')).toBe('Alice Liddell');
    expect(await loader.clear('a').prime('a', 'Alice P. Liddell').load('a')).toBe('Alice P. Liddell');
    expect(batches).toHaveLength(2);
  });

  it('tells keys that are objects apart by their text, the viewer in it where rights differ', async () => {
    interface Edge {
      readonly viewer: string;
      readonly target: string;
    }
    const keyOf = ({ viewer, target }: Edge): string => `${viewer}:${target}`;
    const batches: (readonly Edge[])[] = [];
    const follows = keyed(
      async (edges: readonly Edge[]) => {
        batches.push(edges);
        return new Map(edges.map((edge) => [keyOf(edge), edge.viewer === 'alice']));
      },
      { keyOf },
    );
    const found = await Promise.all([
      follows.load({ viewer: 'alice', target: 'carol' }),
      follows.load({ viewer: 'bob', target: 'carol' }),
      follows.load({ viewer: 'alice', target: 'carol' }),
    ]);
    expect(found).toEqual([true, false, true]);
    expect(batches.map((batch) => batch.length)).toEqual([2]);
  });
});

describe('per request', () => {
  const rights = (batches: string[][]) => {
    return ({ viewer }: Request): Loader<string, string | null> =>
      keyed(async (emails: readonly string[]) => {
        batches.push([...emails]);
        return new Map(emails.filter((owner) => owner === viewer).map((owner) => [owner, `${owner}@example.com`]));
      });
  };

  it('there is one loader for all who ask with the same context', async () => {
    const batches: string[][] = [];
    const emails = perRequest(rights(batches));
    const request: Request = { viewer: 'alice' };
    await Promise.all([emails(request).load('alice'), emails(request).load('alice')]);
    expect(emails(request)).toBe(emails(request));
    expect(batches).toEqual([['alice']]);
  });

  it('another request has a loader of its own and sees what its viewer may', async () => {
    const emails = perRequest(rights([]));
    expect(await emails({ viewer: 'alice' }).load('alice')).toBe('alice@example.com');
    expect(await emails({ viewer: 'bob' }).load('alice')).toBeNull();
    expect(await emails({ viewer: null }).load('alice')).toBeNull();
  });

  it('control: a loader that requests share shows bob what is for alice', async () => {
    const shared = rights([])({ viewer: 'alice' });
    const emailsOf = perRequest<Loader<string, string | null>, Request>(() => shared);
    await emailsOf({ viewer: 'alice' }).load('alice');
    expect(await emailsOf({ viewer: 'bob' }).load('alice')).toBe('alice@example.com');
  });
});
