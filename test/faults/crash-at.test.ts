import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startEverything } from '../../commands/everything.js';
import { ROOT } from '../../commands/root.js';
import { silent } from '#libs/telemetry';
import type { Child } from '../deploy/child.js';
import { example } from '../journeys/cast.js';
import { drift } from '../journeys/drift.js';
import { PASSWORD } from '../people.js';
import { layOutStores } from '../stores.js';
import { READY, spawnStart, urlIn } from './all-in-one.js';

const PRELOAD = join(ROOT, 'dist/commands/prove/preload.js');
const children: Child[] = [];
/** Of all: each goes on where the one before was killed, for a later start takes half the time of a first. */
let dataDir: string;
beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'tributary-crash-at-'));
  await layOutStores(dataDir);
});
afterEach(async () => {
  await Promise.all(children.splice(0).map((child) => child.destroy()));
});
afterAll(() => rmSync(dataDir, { recursive: true, force: true }));

/** What `npm run prove` does to small processes, done to the whole program of `npm start`. */
describe('the program, all in one', () => {
  it.each(['commit:after', 'relay:published', 'consume:done'])(
    'killed at %s has, when it runs again, everything that was committed everywhere, once',
    async (point) => {
      const { child, url } = await start({ CRASH_AT: point }, ['--import', PRELOAD]);
      process.kill(child.pid, 'SIGUSR2');
      await child.said('armed');
      // Whether it was acknowledged is the kill's to say; that all services agree about it is not.
      await write(url).catch(() => undefined);
      expect(await child.ended()).toBe(137);
      expect(await wrong()).toEqual([]);
    },
    180_000,
  );

  it('control: CRASH_AT alone, without the preload, kills nobody', async () => {
    const { child, url } = await start({ CRASH_AT: 'commit:after' }, []);
    await write(url);
    await sleep(200);
    expect(child.exitCode()).toBeUndefined();
    expect(await child.end('SIGTERM')).toBe(0);
  }, 180_000);
});

async function start(env: Record<string, string>, flags: readonly string[]) {
  const child = await spawnStart(dataDir, { env, flags });
  children.push(child);
  await child.said(READY, 120_000);
  return { child, url: urlIn(child.output()) };
}

/** carol follows eve: a fact of followers, of which posts hears. */
async function write(url: string): Promise<void> {
  const ask = async <T>(query: string, variables: object, token?: string): Promise<T> => {
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify({ query, variables }),
    });
    const { data, errors } = (await response.json()) as { data: T; errors?: unknown };
    if (errors !== undefined) throw new Error(JSON.stringify(errors));
    return data;
  };
  const logIn = await example('log-in');
  type Session = { logIn: { token: string; user: { id: string } } };
  const session = async (handle: string) =>
    (await ask<Session>(logIn, { input: { handle, password: PASSWORD } })).logIn;
  const [carol, eve] = [await session('carol'), await session('eve')];
  await ask(await example('unfollow'), { userId: eve.user.id }, carol.token);
  await ask(await example('follow'), { userId: eve.user.id }, carol.token);
}

async function wrong(): Promise<string[]> {
  const everything = await startEverything({ DATA_DIR: dataDir, PORT: '0', SEED: 'none' }, { logger: silent });
  try {
    await everything.settle();
    return await drift(everything);
  } finally {
    await everything.close();
  }
}
