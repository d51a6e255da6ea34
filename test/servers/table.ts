/** What a test may need beyond Node; `npm test` finds or starts it and says where in this variable. */
export const NEEDS = {
  postgres: { variable: 'TEST_DATABASE_URL', get: 'install postgresql, or give TEST_DATABASE_URL' },
  redis: { variable: 'TEST_REDIS_URL', get: 'install redis-server, or give TEST_REDIS_URL' },
  chromium: { variable: 'TEST_CHROMIUM', get: 'install chromium, or give TEST_CHROMIUM=/path/to/it' },
  haproxy: { variable: 'TEST_HAPROXY', get: 'install haproxy, or give TEST_HAPROXY=/path/to/it' },
  prometheus: { variable: 'TEST_PROMETHEUS', get: 'install prometheus, or give TEST_PROMETHEUS=/path/to/it' },
  mount: {
    variable: 'TEST_MOUNT',
    get: 'run the tests as root, on Linux, where mounting is allowed',
    // A container that may not mount can install whatever it likes.
    optional: true,
  },
} as const satisfies Record<string, { variable: string; get: string; optional?: true }>;

export type Need = keyof typeof NEEDS;
