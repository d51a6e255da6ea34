import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MigrationInterface, QueryRunner } from 'typeorm';
import { withServer } from '../../test/servers/needs.js';
import { openDatabase, provisionServices, type Database } from '#libs/database';
import type { DomainEvent } from '#libs/events';
import { newId } from '#libs/identity';
import { forgetKeys, IdempotencyKeysMigration, keyOf, Once, type Key } from './index.js';

class Notes1700000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('CREATE TABLE notes (text text NOT NULL)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE notes');
  }
}

const tables = { entities: [], migrations: [Notes1700000000000, IdempotencyKeysMigration] };
const seal = (text: string): string => `sealed ${text}`;
const viewer = newId();

/** As the gateway tells it. */
function header(asked = 'a'): string {
  return `${randomBytes(32).toString('base64url')}.${asked.repeat(43)}`;
}

function key(header: string, who: string | null = viewer): Key {
  const found = keyOf(header, who, seal);
  if (found === undefined) throw new Error('no key');
  return found;
}

function contract(kind: string, open: () => Promise<Database>): void {
  describe(`a write with a key, ${kind}`, () => {
    let database: Database;
    beforeAll(async () => {
      database = await open();
    }, 180_000);
    afterEach(() => database.query('DELETE FROM notes'));
    afterAll(() => database.close());

    const note = (once: Once, text: string) =>
      once.transaction(database, async (tx) => {
        await tx.query('INSERT INTO notes VALUES ($1)', [text]);
        return { text, at: 'then', nothing: undefined };
      });
    const notes = async () =>
      (await database.query<{ text: string }>('SELECT text FROM notes ORDER BY text')).map(({ text }) => text);

    it('is done once, and answered alike as often as it is asked for', async () => {
      const same = key(header());
      const first = await note(new Once(same, 'note', viewer), 'one');
      const again = await note(new Once(same, 'note', viewer), 'one');
      expect(first).toMatchObject({ answer: { text: 'one', at: 'then' }, again: false });
      expect(again).toMatchObject({ answer: { text: 'one', at: 'then' }, again: true });
      expect(await new Once(same, 'note', viewer).done(database)).toEqual(again);
      expect(await notes()).toEqual(['one']);
    });

    it('control: without one, what is asked for twice is done twice', async () => {
      const naive = () => database.transaction((tx) => tx.query('INSERT INTO notes VALUES ($1)', ['one']));
      await naive();
      await naive();
      expect(await notes()).toEqual(['one', 'one']);
    });

    it('is each of several fields, and each transaction of one', async () => {
      const same = key(header());
      for (let time = 0; time < 2; time += 1) {
        const [a, b] = [new Once(same, 'a', viewer), new Once(same, 'b', viewer)];
        await note(a, 'a1');
        await note(a, 'a2');
        await note(b, 'b');
      }
      expect(await notes()).toEqual(['a1', 'a2', 'b']);
    });

    it('is refused, and nothing of it done, when its key came with something else before', async () => {
      const told = header();
      await note(new Once(key(told), 'note', viewer), 'one');
      const other = key(told.replace(/a{43}$/, 'b'.repeat(43)));
      for (const field of ['note', 'another'])
        await expect(note(new Once(other, field, viewer), 'two')).rejects.toMatchObject({
          code: 'IDEMPOTENCY_KEY_REUSED',
        });
      await expect(new Once(other, 'note', viewer).done(database)).rejects.toMatchObject({
        code: 'IDEMPOTENCY_KEY_REUSED',
      });
      expect(await notes()).toEqual(['one']);
    });

    it('is not done either where the other one ended only while this one began', async () => {
      const told = header();
      const [one, other] = [key(told), key(told.replace(/a{43}$/, 'b'.repeat(43)))];
      const late = new Once(other, 'another', viewer).transaction(database, async (tx) => {
        await tx.query('INSERT INTO notes VALUES ($1)', ['two']);
        // As it looks when the first commits after this one has begun to look.
        await tx.query(`INSERT INTO idempotency_keys (name, field, payload) VALUES ($1, 'note', $2)`, [
          one.name,
          one.payload,
        ]);
      });
      await expect(late).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
      expect(await notes()).toEqual([]);
    });

    it('is of whom it made, whoever sent it', async () => {
      const [same, made] = [key(header()), newId()];
      await new Once(same, 'signUp', viewer).transaction(database, async (tx) => {
        tx.events.push({ actor: made } as DomainEvent);
      });
      expect(await database.query('SELECT person FROM idempotency_keys WHERE name = $1', [same.name])).toEqual([
        { person: made },
      ]);
    });

    it('is somebody else’s own under somebody else’s key of the same text', async () => {
      const told = header();
      await note(new Once(key(told), 'note', viewer), 'mine');
      const other = newId();
      expect(await note(new Once(key(told, other), 'note', other), 'theirs')).toMatchObject({
        answer: { text: 'theirs' },
        again: false,
      });
      expect(await notes()).toEqual(['mine', 'theirs']);
    });

    it('that fails keeps nothing, so the same key may try again', async () => {
      const same = key(header());
      const failing = new Once(same, 'note', viewer).transaction(database, async (tx) => {
        await tx.query('INSERT INTO notes VALUES ($1)', ['half']);
        throw new Error('no');
      });
      await expect(failing).rejects.toThrow('no');
      expect(await note(new Once(same, 'note', viewer), 'whole')).toMatchObject({ again: false });
      expect(await notes()).toEqual(['whole']);
    });

    it('of ten at once is done by one of them', async () => {
      const same = key(header());
      const all = await Promise.allSettled(Array.from({ length: 10 }, () => note(new Once(same, 'n', viewer), 'one')));
      expect(await notes()).toEqual(['one']);
      expect(all.filter((one) => one.status === 'fulfilled' && !one.value.again)).toHaveLength(1);
      for (const one of all)
        if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'IDEMPOTENCY_KEY_IN_USE' });
    });

    it('is forgotten when it is old, and only then', async () => {
      await database.query('DELETE FROM idempotency_keys');
      const [old, young] = [key(header()), key(header())];
      await note(new Once(old, 'note', viewer), 'old');
      await database.query(`UPDATE idempotency_keys SET at = now() - interval '25 hours'`);
      await database.query(
        `INSERT INTO idempotency_keys (name, field, payload, at)
         SELECT 'old', n::text, '', now() - interval '25 hours' FROM generate_series(1, 1200) AS n`,
      );
      await note(new Once(young, 'note', viewer), 'young');
      expect(await forgetKeys(database, 24 * 3_600_000)).toBe(1_201);
      expect(await new Once(old, 'note', viewer).done(database)).toBeUndefined();
      expect(await new Once(young, 'note', viewer).done(database)).toMatchObject({ answer: { text: 'young' } });
    });
  });
}

describe('a key', () => {
  it('is its viewer’s, and of somebody who is nobody yet also its payload’s', () => {
    const told = header();
    const other = told.replace(/a{43}$/, 'b'.repeat(43));
    expect(key(told).name).toBe(key(other).name);
    expect(key(told).name).not.toBe(key(told, newId()).name);
    expect(key(told, null).name).not.toBe(key(other, null).name);
    expect(key(told, null)).toEqual(key(told, null));
  });

  it('is kept as a digest, and what is asked under a seal', () => {
    const told = header();
    const kept = JSON.stringify(key(told));
    expect(kept).not.toContain(told.slice(0, 43));
    expect(key(told).payload).toBe(seal('a'.repeat(43)));
  });

  it.each([undefined, '', 'a.b', ['a', 'b'], `${header()} `, `${header()}.x`])('is none: %#', (told) => {
    expect(keyOf(told, viewer, seal)).toBeUndefined();
  });
});

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tributary-once-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

contract('embedded', () => openDatabase({ service: 'posts', dataDir: folder, ...tables }));

withServer('postgres', 'keys on a server', (adminUrl) => {
  const prefix = `once_${randomUUID().slice(0, 8)}_`;
  let url: string;
  let admin: Database;
  const open = () => openDatabase({ service: 'posts', url, ...tables });

  beforeAll(async () => {
    url = (await provisionServices(adminUrl, ['posts'], { posts: 'secret' }, { prefix }))['posts']!;
    admin = await openDatabase({ service: 'admin', url: adminUrl, entities: [], migrations: [] });
  });
  afterAll(async () => {
    await admin.query(`DROP DATABASE ${prefix}posts WITH (FORCE)`);
    await admin.query(`DROP ROLE ${prefix}posts`);
    await admin.close();
  });

  contract('on a server', open);

  it('under way in one process is refused in another; when that one is killed it may be done, once', async () => {
    const [one, other] = [await open(), await open()];
    try {
      const same = key(header());
      let begun!: (pid: number) => void;
      const pid = new Promise<number>((resolve) => (begun = resolve));
      let goOn!: () => void;
      const tried = new Promise<void>((resolve) => (goOn = resolve));
      const killed = new Once(same, 'note', viewer).transaction(one, async (tx) => {
        await tx.query('INSERT INTO notes VALUES ($1)', ['killed']);
        begun((await tx.query<{ pid: number }>('SELECT pg_backend_pid() AS pid'))[0]!.pid);
        await tried;
        return tx.query('SELECT 1');
      });
      killed.catch(() => {});
      const backend = await pid;
      const repeat = () =>
        new Once(same, 'note', viewer).transaction(other, async (tx) => {
          await tx.query('INSERT INTO notes VALUES ($1)', ['repeated']);
          return 'repeated';
        });
      await expect(repeat()).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_IN_USE' });
      await admin.query('SELECT pg_terminate_backend($1)', [backend]);
      goOn();
      await expect(killed).rejects.toMatchObject({ code: 'SUBGRAPH_UNAVAILABLE' });
      // It says that it ends first, and lets go of its lock then.
      while ((await admin.query('SELECT FROM pg_stat_activity WHERE pid = $1', [backend])).length > 0);
      expect(await repeat()).toMatchObject({ answer: 'repeated', again: false });
      expect(await repeat()).toMatchObject({ answer: 'repeated', again: true });
      expect(await other.query('SELECT text FROM notes')).toEqual([{ text: 'repeated' }]);
    } finally {
      await Promise.all([one.close(), other.close()]);
    }
  });
});
