import type { Redis } from 'ioredis';

/** What is said of it, once in a process for each Redis: every part of a program has a connection. */
export type TellOnce = (says: string) => void;

const REASONS: readonly (readonly [RegExp, string])[] = [
  [
    /no password is set|without any password configured for the default user/,
    'REDIS_URL has a password, and this Redis asks for none: it lets in everybody who reaches it; give it one (requirepass), or take it out of REDIS_URL',
  ],
  [
    /wrong number of arguments for 'auth' command/,
    'REDIS_URL has a user name, which a Redis of before 6 does not take: redis://:PASSWORD@host:port',
  ],
];

const told = new Set<string>();

/**
 * A Redis that has no use for the password of REDIS_URL lets in all the same, and ioredis writes so to the console, as plain text among lines of JSON.
 * Here it hears of no error, and `tell` of what to do. Not of a cluster: ioredis makes connections to its nodes that it shows nobody.
 */
export function tellUnasked(connection: Redis, host: string, tell: TellOnce | undefined): void {
  type Auth = (...given: unknown[]) => unknown;
  const auth = connection.auth.bind(connection) as Auth;
  connection.auth = ((...given: unknown[]) => {
    const answered = given.at(-1);
    if (typeof answered !== 'function') return auth(...given);
    return auth(...given.slice(0, -1), (error: Error | null | undefined, ...rest: unknown[]) => {
      const says = error ? REASONS.find(([word]) => word.test(error.message))?.[1] : undefined;
      if (says === undefined) return void answered(error, ...rest);
      if (tell !== undefined && !told.has(`${host} ${says}`)) {
        tell(says);
        told.add(`${host} ${says}`);
      }
      answered(null, ...rest);
    });
  }) as typeof connection.auth;
}
