import type { Database } from '#libs/database';
import type { EventSource } from '#libs/events';
import { SettingsError } from '#libs/settings';
import { Outage, type Logger } from '#libs/telemetry';

import { streamKey } from './redis-stream.js';
import { StreamOfAnother, type Stream } from './stream.js';

/** How often it is looked at beside a program that runs: it may be the first that Redis answers, and after it has lost everything the first that is there. */
const LOOK_EVERY_MS = 2_000;

interface Parts {
  readonly database: Database;
  readonly stream: Stream;
  readonly logger: Logger;
  readonly everyMs?: number;
}

/**
 * The stream of a service is of one database: what has another one's events is refused. Two graphs on one Redis would take each
 * other's events out of the groups, and each would miss in the stream's mark what it had told itself, and tell all of it anew every second.
 *
 * The database has an id that its migration drew, so a backup that is restored is who it was; Redis has that of the first who came. Rejects with
 * `StreamOfAnother`, and with `SettingsError` where the id is gone: a new one drawn without a word would be refused as another graph's. While Redis
 * is away nobody can say, and a program starts; where it is told then, it says so each minute: it may have been right for days, so it is not ended.
 */
export async function ownStream({
  database,
  stream,
  logger,
  everyMs = LOOK_EVERY_MS,
}: Parts): Promise<{ close(): Promise<void> }> {
  const { service } = database;
  const [row] = await database.query<{ id: string }>('SELECT id FROM database_identity');
  if (row === undefined && stream.own !== undefined) throw new SettingsError([withoutIdentity(service)]);
  const look = async (): Promise<void> => stream.own?.(service as EventSource, row!.id);
  const outage = new Outage({
    logger,
    fields: { service },
    began: 'Two graphs use one Redis',
    lasts: 'Two graphs still use one Redis',
    over: 'Redis carries the events of this graph alone',
    otherwise: (error) => (error as StreamOfAnother).says,
  });
  const lookAgain = async (): Promise<void> => {
    try {
      await look();
      outage.succeeded();
    } catch (error) {
      if (error instanceof StreamOfAnother) outage.failed(error);
    }
  };
  try {
    await look();
  } catch (error) {
    if (error instanceof StreamOfAnother) throw error;
  }
  let looking: Promise<void> | undefined;
  const timer = setInterval(() => {
    looking ??= lookAgain().finally(() => (looking = undefined));
  }, everyMs).unref();
  return {
    async close() {
      clearInterval(timer);
      await looking;
    },
  };
}

function withoutIdentity(service: string): string {
  return (
    `DATABASE_URL: the table database_identity of ${service} is empty (a restore that left it out, say); by its one row Redis knows whose events it carries. ` +
    `Put it back with the id that Redis has (redis-cli GET '${streamKey(service as EventSource)}:database'): INSERT INTO database_identity (id) VALUES ('…'); ` +
    'where Redis has none: INSERT INTO database_identity DEFAULT VALUES.'
  );
}
