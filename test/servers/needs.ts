import { describe, it } from '@jest/globals';
import { appendFileSync } from 'node:fs';
import { NEEDS, type Need } from './table.js';

/**
 * A `describe` that runs only where the server (or program) is there, and says so where it is not: the reason is the
 * last thing `npm test` prints. With REQUIRE_SERVERS=1 its absence is a failure, but for
 * what cannot be installed (`optional`).
 */
export function withServer(needs: Need | readonly Need[], title: string, suite: (...urls: string[]) => void): void {
  const all = typeof needs === 'string' ? [needs] : needs;
  const missing = all.filter((need) => !process.env[NEEDS[need].variable]);
  if (missing.length === 0) {
    describe(title, () => suite(...all.map((need) => process.env[NEEDS[need].variable] ?? '')));
    return;
  }
  const reason = missing.map((need) => `no ${need}: ${NEEDS[need].get}`).join('; ');
  if (process.env['REQUIRE_SERVERS'] === '1' && !missing.every((need) => 'optional' in NEEDS[need])) {
    describe(title, () => {
      it('finds what it needs', () => {
        throw new Error(`REQUIRE_SERVERS=1, but ${reason}`);
      });
    });
    return;
  }
  const record = process.env['TEST_SKIPPED_FILE'];
  if (record) appendFileSync(record, `${title}: ${reason}\n`);
  // Counted as skipped; without it, Jest fails a file in which nothing is left.
  describe(title, () => it.skip(reason, () => {}));
}
