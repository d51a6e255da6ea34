/** One operation of one client, as it was seen from outside. Times are of one clock, in any unit. */
export interface Operation {
  readonly client: string;
  readonly key: string;
  readonly kind: 'write' | 'read';
  /** What was written, or read: 0 before the first write. Each key is written by one client, one more each time. */
  readonly value: number;
  readonly began: number;
  readonly ended: number;
}

export interface Violation {
  readonly guarantee: 'read your writes' | 'monotonic reads' | 'no reads from the future';
  readonly of: Operation;
  /** What it should have been at least, or at most. */
  readonly expected: number;
}

/**
 * Checks a history of clients each of which does one thing after the other. Session guarantees as in Terry et al., "Session
 * Guarantees for Weakly Consistent Replicated Data" (1994): a client's read shows its own writes that ended before the read
 * began (read your writes), and nothing older than an earlier read of the same client showed (monotonic reads). And nobody reads what
 * was not yet begun to be written.
 */
export function violations(history: readonly Operation[]): Violation[] {
  const found: Violation[] = [];
  const writes = history.filter(({ kind }) => kind === 'write');
  for (const read of history.filter(({ kind }) => kind === 'read')) {
    const before = history.filter(
      (one) => one.key === read.key && one.client === read.client && one.ended <= read.began,
    );
    const written = highest(before.filter(({ kind }) => kind === 'write'));
    const seen = highest(before.filter(({ kind }) => kind === 'read'));
    const begun = highest(writes.filter((one) => one.key === read.key && one.began <= read.ended));
    if (read.value < written) found.push({ guarantee: 'read your writes', of: read, expected: written });
    if (read.value < seen) found.push({ guarantee: 'monotonic reads', of: read, expected: seen });
    if (read.value > begun) found.push({ guarantee: 'no reads from the future', of: read, expected: begun });
  }
  return found;
}

function highest(operations: readonly Operation[]): number {
  return operations.reduce((most, { value }) => Math.max(most, value), 0);
}
