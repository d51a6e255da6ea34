const REASONS: Readonly<Record<string, string>> = {
  WRONGPASS: 'Redis refuses user and password of REDIS_URL (WRONGPASS): give this program those that Redis has now',
  NOAUTH: 'Redis wants a password, and REDIS_URL has none (NOAUTH): redis://:PASSWORD@host:port',
  NOPERM: 'Redis does not let the user of REDIS_URL do what it takes (NOPERM): give it ~tributary:* +@all',
};

/**
 * What is the matter where a Redis is there and does not let us in, and what to do; undefined: it is something else. To a log that says
 * only that it is not reachable somebody would look for a Redis that is up. What Sentinels refuse is not Redis' own password.
 */
export function refusalOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || error.message.startsWith('All sentinels')) return undefined;
  // Of a cluster: of the node that was asked last.
  const { lastNodeError } = error as { lastNodeError?: unknown };
  const [word] = /\b(WRONGPASS|NOAUTH|NOPERM)\b/.exec(error.message) ?? [];
  if (word !== undefined) return REASONS[word];
  return lastNodeError === undefined ? undefined : refusalOf(lastNodeError);
}
