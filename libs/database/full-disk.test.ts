import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { silent } from '#libs/telemetry';
import { withServer } from '../../test/servers/needs.js';
import { startPostgres, type PostgresServer } from '../../test/servers/postgres.js';
import { fillDisk } from '../../test/servers/small-disk.js';
import { openDatabase, type Database } from './index.js';

withServer(['postgres', 'mount'], 'a database whose disk is full', () => {
  let server: PostgresServer;
  let database: Database;
  const said: [string, object][] = [];
  beforeAll(async () => {
    server = await startPostgres({ diskMib: 64 });
    database = await openDatabase({
      service: 'posts',
      url: server.url,
      entities: [],
      migrations: [],
      logger: { ...silent, warn: (fields, line) => void said.push([line, fields]) },
    });
    await database.query('CREATE TABLE notes (id int PRIMARY KEY, text text NOT NULL)');
    await database.query('CREATE TABLE told (id int NOT NULL, text text NOT NULL)');
  });
  afterAll(async () => {
    await database?.close();
    await server?.stop();
  });

  /** A fact of a page and more, and what is told of it. */
  const write = (id: number) =>
    database.transaction(async (tx) => {
      await tx.query('INSERT INTO told VALUES ($1, $2)', [id, 'told']);
      await tx.query(`INSERT INTO notes SELECT $1 * 1000 + n, repeat('x', 1000) FROM generate_series(1, 20) AS n`, [
        id,
      ]);
    });
  const counts = async () => {
    const [row] = await database.query<{ notes: number; told: number }>(
      'SELECT (SELECT count(*)::int FROM notes) AS notes, (SELECT count(*)::int FROM told) AS told',
    );
    return row;
  };

  it('refuses writes so that a client may try again, says why in the log once, has written nothing of them, reads on, and writes when there is room', async () => {
    await write(1);
    const makeRoom = fillDisk(server);
    let done = 1;
    // What is left on the last pages.
    await expect(
      (async () => {
        for (;;) {
          await write(done + 1);
          done += 1;
        }
      })(),
    ).rejects.toMatchObject({ code: 'OVERLOADED', retryAfterS: 30, cause: { code: '53100' } });
    // Once a minute, however many writes there are. Clients are told OVERLOADED, as where a lock does not come free: of that no line says so.
    const full = (): object[] => said.filter(([line]) => line.includes('disk')).map(([, fields]) => fields);
    expect(full()).toEqual([{ service: 'posts', err: expect.objectContaining({ code: '53100' }) }]);
    for (let nth = 0; nth < 3; nth += 1) await expect(write(done + 1)).rejects.toMatchObject({ code: 'OVERLOADED' });
    expect(await counts()).toEqual({ notes: done * 20, told: done });
    expect(full()).toHaveLength(1);
    // Control.
    await database.transaction(async (tx) => {
      await tx.query('LOCK TABLE notes');
      const waiting = database.transaction(async (other) => {
        await other.query(`SET LOCAL lock_timeout = '20ms'`);
        await other.query('LOCK TABLE notes');
      });
      await expect(waiting).rejects.toMatchObject({
        code: 'OVERLOADED',
        retryAfterS: undefined,
        cause: { code: '55P03' },
      });
    });
    expect(full()).toHaveLength(1);
    makeRoom();
    await write(done + 1);
    expect(await counts()).toEqual({ notes: (done + 1) * 20, told: done + 1 });
  });
});
