import { describe, it } from '@jest/globals';
import { appendFileSync } from 'node:fs';

/** What a test may need beyond Node; the setup finds or starts it and says where in this variable. */
export const NEEDS = {
  postgres: { variable: 'TEST_DATABASE_URL', get: 'install postgresql, or give TEST_DATABASE_URL' },
  redis: { variable: 'TEST_REDIS_URL', get: 'install redis-server, or give TEST_REDIS_URL' },
  chromium: { variable: 'TEST_CHROMIUM', get: 'install chromium, or give TEST_CHROMIUM=/path/to/it' },
  haproxy: { variable: 'TEST_HAPROXY', get: 'install haproxy, or give TEST_HAPROXY=/path/to/it' },
} as const;

export type Need = keyof typeof NEEDS;

/**
 * A `describe` that runs only where the server (or program) is there, and says so where it is not: the reason is the
 * last thing `npm test` prints. With REQUIRE_SERVERS=1 its absence is a failure.
 */
export function withServer(needs: Need | readonly Need[], title: string, suite: (...urls: string[]) => void): void {
  const all = typeof needs === 'string' ? [needs] : needs;
  const missing = all.filter((need) => !process.env[NEEDS[need].variable]);
  if (missing.length === 0) {
    describe(title, () => suite(...all.map((need) => process.env[NEEDS[need].variable] ?? '')));
    return;
  }
  const reason = missing.map((need) => `no ${need}: ${NEEDS[need].get}`).join('; ');
  if (process.env['REQUIRE_SERVERS'] === '1') {
    describe(title, () => {
      it('finds what it needs', () => {
        throw new Error(`REQUIRE_SERVERS=1, but ${reason}`);
      });
    });
    return;
  }
  const record = process.env['TEST_SKIPPED_FILE'];
  if (record) appendFileSync(record, `${title}: ${reason}\n`);
}
