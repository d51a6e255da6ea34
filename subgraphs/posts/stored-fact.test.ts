import { describe, expect, it } from '@jest/globals';
import { readdir, readFile } from 'node:fs/promises';
import { decide, evolve, type Post, type PostFact } from './post.js';
import { FACT_VERSIONS, factOf } from './stored-fact.js';

/** `golden/<type>.v<version>.json`: a fact as some program once wrote it, and as it is read now. Only ever added to. */
interface Golden {
  readonly type: PostFact['type'];
  readonly version: number;
  readonly stored: Record<string, unknown>;
  readonly reads: PostFact;
}

const folder = new URL('golden/', import.meta.url);
const goldens: Golden[] = await Promise.all(
  (await readdir(folder)).map(async (file) => {
    const [, type, version] = /^(\w+)\.v(\d+)\.json$/.exec(file) ?? [];
    const kept = JSON.parse(await readFile(new URL(file, folder), 'utf8')) as Pick<Golden, 'stored' | 'reads'>;
    return { ...kept, type: type as PostFact['type'], version: Number(version) };
  }),
);

const alice = '019a9f2a-4c00-7a11-8000-00000000a11c';
const parent = '019a9f2a-4000-7b0b-8000-000000000b0b';
const at = '2026-11-20T19:11:00.000Z';
const later = '2026-11-20T19:12:00.000Z';

describe('a stored fact', () => {
  it.each(goldens.map((golden) => [`${golden.type} of version ${golden.version}`, golden] as const))(
    '%s is read as it was meant',
    (_, { stored, version, reads }) => {
      expect(factOf(stored, version)).toEqual(reads);
    },
  );

  it('has a golden file for every version that was ever written', () => {
    const kept = goldens.map(({ type, version }) => `${type} ${version}`).sort();
    const written = Object.entries(FACT_VERSIONS).flatMap(([type, version]) =>
      Array.from({ length: version }, (_, nth) => `${type} ${nth + 1}`),
    );
    expect(kept).toEqual(written.sort());
  });

  it('is written today exactly as the golden file of its newest version: another shape is another version', () => {
    const post = evolve('id', undefined, decide.publish({ authorId: alice, body: 'hello', inReplyToId: null, at }));
    const deleted: Post = { ...post, body: '', state: 'deleted' };
    const today = [
      decide.publish({ authorId: alice, body: 'hello', inReplyToId: parent, at }),
      decide.edit(post, { viewer: alice, body: 'hello again', expectedVersion: 1, at: later }),
      decide.remove(post, { viewer: alice, at: later }),
      decide.restore(deleted, { viewer: alice, body: 'hello again', at: later }),
    ];
    const newest = goldens.filter(({ type, version }) => version === FACT_VERSIONS[type]);
    expect(newest.length).toBe(today.length);
    for (const fact of today) {
      const golden = newest.find(({ type }) => type === fact?.type);
      expect(JSON.parse(JSON.stringify(fact))).toEqual(golden?.stored);
    }
  });

  it.each([
    ['a type of a newer program', { type: 'pinned', at }, 1],
    ['a type of every object', { type: 'constructor', at }, 1],
    ['no type', { at }, 1],
    ['a newer version', { type: 'deleted', reason: 'author', at }, 2],
    ['version 0', { type: 'deleted', reason: 'author', at }, 0],
  ])('with %s is refused, never guessed at', (_, stored, version) => {
    expect(() => factOf(stored, version)).toThrow(/newer program|is version|came/);
  });

  it('of version 1, read as if it were of today, lacks what is new (control)', () => {
    const old = goldens.find(({ type, version }) => type === 'edited' && version === 1);
    expect(old?.stored).not.toEqual(old?.reads);
    expect(old?.stored).not.toHaveProperty('basedOn');
  });
});
