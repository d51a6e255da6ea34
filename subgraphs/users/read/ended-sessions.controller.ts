import { Controller, Get, Header, Query, type Type } from '@nestjs/common';
import type { Database } from '#libs/database';
import { globalId, type EndedSessionsPage } from '#libs/identity';

/** Which log-ins have ended before their tokens run out: for gateways, who ask again and again for what is new. */
export function endedSessionsController(database: Pick<Database, 'query'>): Type {
  @Controller('ended-sessions')
  class EndedSessionsController {
    @Get()
    @Header('cache-control', 'no-store')
    ended(@Query('since') since?: string): Promise<EndedSessionsPage> {
      const from = Number(since);
      return endedSince(database, Number.isSafeInteger(from) && from > 0 ? from : 0);
    }
  }
  return EndedSessionsController;
}

/** By the clock of the database, which is one for all processes. `since`: ms since 1970. */
async function endedSince(database: Pick<Database, 'query'>, since: number): Promise<EndedSessionsPage> {
  const rows = await database.query<{
    userId: string;
    session: string | null;
    generation: number | null;
    until: number;
  }>(
    `SELECT user_id AS "userId", session, generation, (extract(epoch FROM until) * 1000)::float8 AS until
     FROM ended_sessions WHERE at >= to_timestamp($1::float8 / 1000) AND until > now() ORDER BY at`,
    [since],
  );
  const [clock] = await database.query<{ now: number }>('SELECT (extract(epoch FROM now()) * 1000)::float8 AS now');
  return {
    now: Math.floor(clock!.now),
    sessions: rows.flatMap(({ session, until }) => (session === null ? [] : [[session, until] as const])),
    people: rows.flatMap(({ userId, generation, until }) =>
      generation === null ? [] : [[globalId('user', userId), generation, until] as const],
    ),
  };
}
