import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault } from './fault.js';
import { asks, signedUp } from './never-asked.js';
import { restarted } from './restarted.js';
import type { ProgramName, Town } from './town.js';
import { until } from './until.js';

const FIVE_MINUTES_S = 300;

/** The clock of one program jumps while it runs: of its wall clock; what it measures time by (CLOCK_MONOTONIC) goes on as it did. */
export const CLOCKS: readonly Fault[] = [
  jumped('FC1', 'the clock of posts jumps five minutes ahead, ten back, and five ahead', 'posts'),
  jumped('FC1-users', 'the same of users, which signs tokens', 'users'),
  jumped('FC1-gateway', 'the same of the gateway', 'gateway'),
];

function jumped(id: string, says: string, name: ProgramName): Fault {
  let folder: string;
  const file = (): string => join(folder, 'clock');
  return {
    id,
    says,
    unnoticed: true,
    lacks: () =>
      findFaketime() === undefined
        ? 'libfaketime: install faketime, or give TEST_FAKETIME=/path/to/libfaketimeMT.so.1'
        : undefined,
    async prepare({ town }) {
      folder = mkdtempSync(join(tmpdir(), 'tributary-clock-'));
      writeFileSync(file(), '+0');
      const fake = { FAKETIME_TIMESTAMP_FILE: file(), FAKETIME_NO_CACHE: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1' };
      await restarted(town, { LD_PRELOAD: findFaketime()!, ...fake }, [name]);
    },
    async strike({ town, ms }) {
      for (const apartS of [FIVE_MINUTES_S, -FIVE_MINUTES_S, 0]) {
        writeFileSync(file(), `${apartS < 0 ? '' : '+'}${apartS}`);
        await until(`${name} has another time`, async () => Math.abs((await apart(town, name)) - apartS) < 10);
        // Whoever logs in by that clock is believed at once.
        const { handle, token } = await signedUp(
          town,
          `${id.toLowerCase().replace('-', '_')}_${FIVE_MINUTES_S + apartS}`,
        );
        const { me } = await asks<{ me: { handle: string } }>(town, '{ me { handle } }', {}, token);
        if (me.handle !== handle) throw new Error(`${handle} is taken for ${me.handle}`);
        if (apartS !== 0) await sleep(ms);
      }
    },
    async tidy({ town }) {
      await restarted(town, {}, [name]);
      rmSync(folder, { recursive: true });
    },
  };
}

/** How far its clock is from ours, s: by what it says of each answer. */
async function apart(town: Town, name: ProgramName): Promise<number> {
  const { port } = name === 'gateway' ? new URL(town.graphql) : town.proxies.service[name];
  const { headers } = await fetch(`http://127.0.0.1:${port}/health/live`, { signal: AbortSignal.timeout(5_000) });
  return (Date.parse(headers.get('date') ?? '') - Date.now()) / 1_000;
}

/** The library that is loaded before a program to give it another time: TEST_FAKETIME, or where Debian has it. */
function findFaketime(): string | undefined {
  const named = process.env['TEST_FAKETIME'];
  if (named !== undefined) return existsSync(named) ? named : undefined;
  const folders = readdirSync('/usr/lib').map((folder) => `/usr/lib/${folder}/faketime`);
  return folders.map((folder) => join(folder, 'libfaketimeMT.so.1')).find((path) => existsSync(path));
}
