import { crashPoint } from '#libs/crash-point';
import type { Database, Tx } from '#libs/database';
import { isEventType, type DomainEvent, type Envelope } from '#libs/events';
import { consume, sourcesOf, type Handlers, type Stream, type Subscription } from '#libs/outbox';
import { createLogger } from '#libs/telemetry';

/** Effects in the order in which they took place. */
export const LEDGER =
  'CREATE TABLE ledger (nth bigint GENERATED ALWAYS AS IDENTITY, aggregate text NOT NULL, version int NOT NULL)';

interface Parts {
  readonly database: Database;
  readonly stream: Stream;
  readonly group: string;
  readonly hear: Handlers;
  readonly draw: (below: number) => number;
  /** One event of so many is not understood at first. */
  readonly stumblesAt: number;
  /** A control: whatever comes takes effect. */
  readonly withoutInbox: boolean;
}

/**
 * Hears with these handlers; each effect is a line in the ledger too, in the same transaction. Now and then a handler fails
 * twice for an event, and the quarantine brings it again; without an inbox there is none, and a batch would come again and again.
 */
export function hearLedgered({ hear, draw, stumblesAt, withoutInbox, ...parts }: Parts): Subscription {
  const { database, stream, group } = parts;
  const stumbles = new Map<string, number>();
  const enter = async (tx: Tx, event: Envelope): Promise<void> => {
    const { id, type, aggregate, aggregateVersion } = event;
    const handle = hear[type as keyof Handlers] as ((tx: Tx, event: Envelope) => Promise<void>) | undefined;
    if (handle === undefined) return;
    await handle(tx, event);
    await tx.query('INSERT INTO ledger (aggregate, version) VALUES ($1, $2)', [aggregate, aggregateVersion]);
    if (withoutInbox) return;
    const before = stumbles.get(id) ?? 0;
    if (before < 2 && (before > 0 || draw(stumblesAt) === 0)) {
      stumbles.set(id, before + 1);
      throw new Error('this handler fails twice for this event');
    }
  };
  if (!withoutInbox) {
    return consume({
      ...parts,
      hear: {
        ...Object.fromEntries(
          Object.keys(hear)
            .filter(isEventType)
            .map((type) => [type, enter]),
        ),
        ...(hear.first && { first: hear.first }),
      },
      logger: createLogger(group, 'silent'),
      pausesMs: [10, 40, 160, 640, 640, 640, 640],
    });
  }
  return stream.subscribe(group, sourcesOf(hear), async (events) => {
    for (const event of events)
      await database.transaction(async (tx) => {
        await enter(tx, event);
        tx.events.push(event as DomainEvent);
      });
    crashPoint('consume:committed');
  });
}

/** How many rows there are. On a busy machine the one connection of an embedded database may be waited for in vain. */
export async function rowsIn(database: Database, table: 'facts' | 'outbox'): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    try {
      const [row] = await database.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${table}`);
      return row?.n ?? 0;
    } catch (error) {
      if (attempt === 20) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
