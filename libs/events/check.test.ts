import { describe, expect, it } from '@jest/globals';
import { readFile } from 'node:fs/promises';
import { z } from 'zod';

import { check, checkEnvelope, checkOf, EVENTS, isEventType, UnknownEvent } from './index.js';

/** Events as some program told them once. Only ever added to. */
const goldens = JSON.parse(await readFile(new URL('golden.json', import.meta.url), 'utf8')) as readonly {
  type: string;
  version: number;
  payload: Record<string, unknown>;
}[];

const alice = '0190c9a0-0000-7000-8000-000000000001';
const bob = '0190c9a0-0000-7000-8000-000000000002';
const blocked = {
  id: '0190c9a0-0000-7000-8000-0000000000e1',
  type: 'block-started',
  version: 1,
  source: 'followers',
  aggregate: `relation:${alice}:${bob}`,
  aggregateVersion: 3,
  at: '2026-11-20T19:28:00.123Z',
  actor: alice,
  payload: { blockerId: alice, blockedId: bob },
};

describe('an event from outside', () => {
  it('is taken as it is when it is one of the catalogue, also after it was JSON', () => {
    expect(check(JSON.parse(JSON.stringify(blocked)))).toEqual(blocked);
  });

  it('may have a field more in its payload, which is left out', () => {
    expect(check({ ...blocked, payload: { ...blocked.payload, why: 'spam' } })).toEqual(blocked);
  });

  it('with keys of prototypes is its fields and nothing else, and changes no other object', () => {
    const evil = '"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},';
    const text = JSON.stringify(blocked).replaceAll('{', `{${evil}`);
    const event = check(JSON.parse(text));
    expect([event, Object.keys(event), Object.keys(event.payload)]).toEqual([
      blocked,
      Object.keys(blocked),
      Object.keys(blocked.payload),
    ]);
    expect([event, event.payload].map((one) => Object.getPrototypeOf(one) as unknown)).toEqual([
      Object.prototype,
      Object.prototype,
    ]);
    // Of a newer program it is kept as it came: data, and as data it is stored.
    const kept = checkEnvelope(JSON.parse(text.replace('"block-started"', '"user-teleported"')));
    expect(JSON.stringify(kept.payload)).toContain(evil);
    expect(Object.keys(kept)).toEqual(Object.keys(blocked));
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  it.each([
    ['nothing', null, 'not an event: the value'],
    ['a text', '{}', 'not an event: the value'],
    ['no id', { ...blocked, id: undefined }, 'not an event: id'],
    ['a version that is no number', { ...blocked, version: '1' }, 'not an event: version'],
    ['an aggregate version of 0', { ...blocked, aggregateVersion: 0 }, 'not an event: aggregateVersion'],
    ['a fraction of a version', { ...blocked, aggregateVersion: 1.5 }, 'not an event: aggregateVersion'],
    ['no aggregate', { ...blocked, aggregate: '' }, 'not an event: aggregate'],
    ['an endless aggregate', { ...blocked, aggregate: 'x'.repeat(201) }, 'not an event: aggregate'],
    ['a time without milliseconds', { ...blocked, at: '2026-11-20T19:28:00Z' }, 'not an event: at'],
    ['a time elsewhere', { ...blocked, at: '2026-11-20T19:28:00.123+02:00' }, 'not an event: at'],
    ['an actor that is no id', { ...blocked, actor: 'alice' }, 'not an event: actor'],
    ['a type nobody knows', { ...blocked, type: 'user-teleported' }, 'no event type user-teleported here'],
    ['a type of every object', { ...blocked, type: 'constructor' }, 'no event type constructor here'],
    ['a newer version', { ...blocked, version: 2 }, 'block-started is version 1 here; came 2'],
    ['another source', { ...blocked, source: 'users' }, 'block-started is told by followers; came from users'],
    ['a time that is to come', { ...blocked, at: '2999-01-01T00:00:00.000Z' }, 'more than a day ahead'],
    ['no payload', { ...blocked, payload: undefined }, 'payload of block-started'],
    ['a payload of another type', { ...blocked, payload: { userId: alice } }, 'payload of block-started: blockerId'],
  ])('with %s is refused, saying what was expected', (_, value, message) => {
    expect(() => check(value)).toThrow(UnknownEvent);
    expect(() => check(value)).toThrow(message);
  });

  it('of a newer program is still an envelope, so it can be kept', () => {
    const newer = { ...blocked, type: 'user-teleported', version: 7, payload: { to: 'Mars' } };
    expect(checkEnvelope(newer)).toEqual(newer);
  });
});

describe('an event of a version that was ever told', () => {
  const id = z.uuid();
  const first = goldens.find(({ type }) => type === 'post-liked');
  const told = { ...blocked, type: 'post-liked', source: 'posts', payload: first?.payload };
  const liked = EVENTS['post-liked'];
  /** It has been raised twice: who likes is `likerId` since version 2, and since version 3 it says how much. */
  const raised = {
    'post-liked': {
      source: 'posts',
      version: 3,
      payload: z.object({ postId: id, likerId: id, weight: z.int() }),
      before: {
        1: liked.payload.transform(({ postId, userId }) => ({ postId, likerId: userId })),
        2: z.object({ postId: id, likerId: id }).transform((old) => ({ ...old, weight: 1 })),
      },
    },
  };

  it('has a golden event, and is read as today’s', () => {
    const kept = new Set(goldens.map(({ type, version }) => `${type} ${version}`));
    const versions = Object.entries(EVENTS).flatMap(([type, { version }]) =>
      Array.from({ length: version }, (_, nth) => `${type} ${nth + 1}`),
    );
    expect([...kept].sort()).toEqual(versions.sort());
    for (const { type, version, payload } of goldens) {
      const source = isEventType(type) ? EVENTS[type].source : '';
      const event = check({ ...blocked, type, source, version, payload });
      // Nothing that was told is left out, where the version is still today's.
      if (version === event.version) expect(event.payload).toEqual(payload);
    }
  });

  it('comes out as one of the newest, through each version between', () => {
    const { postId, userId } = first?.payload ?? {};
    const today = { ...told, version: 3, payload: { postId, likerId: userId, weight: 1 } };
    const second = { ...told, version: 2, payload: { postId, likerId: userId } };
    expect([told, second, today].map((one) => checkOf(raised)(one))).toEqual([today, today, today]);
  });

  it('is refused where the newest has no way from it (control), is newer, or was not what its version says', () => {
    const { before: _, ...abrupt } = raised['post-liked'];
    expect(() => checkOf({ 'post-liked': abrupt })(told)).toThrow('post-liked is version 3 here; came 1');
    expect(() => checkOf(raised)({ ...told, version: 4 })).toThrow('post-liked is version 3 here; came 4');
    expect(() => checkOf(raised)({ ...told, version: 2 })).toThrow('payload of post-liked: likerId');
    // A payload that is tightened within its version (control).
    const tightened = { 'post-liked': { ...liked, payload: liked.payload.required() } };
    expect(() => checkOf(tightened)(told)).toThrow('payload of post-liked: authorId');
  });
});
