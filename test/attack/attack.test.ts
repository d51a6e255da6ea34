import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Attack } from './attack.js';
import { startPrograms, type Programs } from './programs.js';
import { ATTACKS } from './rows.js';
import { attack, type Outcome } from './run.js';

/** The table of attacks against the programs themselves; `npm run attack` sends the same to a process of its own and takes the time. */
let programs: Programs;
const slow = new Map<Attack, Promise<Outcome>>();
beforeAll(async () => {
  programs = await startPrograms();
  for (const row of ATTACKS) if (row.slow) slow.set(row, attack(row, programs, undefined));
}, 120_000);
afterAll(() => programs.close());

const named = (letter: string) =>
  ATTACKS.filter(({ id, slow: late }) => id.startsWith(letter) && !late).map(
    (row) => [`${row.id} ${row.what} → ${row.to}`, row] as const,
  );

describe.each(['A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'S', 'X'])('attacks %s', (letter) => {
  it.each(named(letter))('%s', async (_name, row) => {
    expect((await attack(row, programs, undefined)).violations).toEqual([]);
  });
});

describe('attacks that take their time', () => {
  it.each(ATTACKS.filter((row) => row.slow).map((row) => [`${row.id} ${row.what}`, row] as const))(
    '%s',
    async (_, row) => {
      expect((await slow.get(row))?.violations).toEqual([]);
    },
  );
});
