import { BadRequestException, Controller, Get, Header, Query, type Type } from '@nestjs/common';
import type { Database } from '#libs/database';
import { ENDED_SESSIONS_PAGE, globalId, type EndedSessionsPage } from '#libs/identity';

/** Which log-ins have ended before their tokens run out: for gateways, who ask again and again for what is new. */
export function endedSessionsController(database: Pick<Database, 'query'>): Type {
  @Controller('ended-sessions')
  class EndedSessionsController {
    @Get()
    @Header('cache-control', 'no-store')
    ended(
      @Query('since') since?: string,
      @Query('limit') limit?: string,
      @Query('after') after?: string,
    ): Promise<EndedSessionsPage> {
      const many = wholeOf(limit);
      return endedSince(database, {
        since: wholeOf(since) ?? 0,
        limit: many === undefined ? undefined : Math.min(many, ENDED_SESSIONS_PAGE),
        after: placeOf(after),
      });
    }
  }
  return EndedSessionsController;
}

interface Place {
  /** ms since 1970, as is `since`. */
  readonly at: number;
  readonly id: string;
}

interface Row {
  readonly id: string;
  readonly userId: string;
  readonly session: string | null;
  readonly generation: number | null;
  readonly at: number;
  readonly until: number;
}

/** By the clock of the database, which is one for all processes. Without a limit, as gateways of before ask, it is all of them. */
async function endedSince(
  database: Pick<Database, 'query'>,
  { since, limit, after }: { since: number; limit: number | undefined; after: Place | undefined },
): Promise<EndedSessionsPage> {
  const found = await database.query<Row>(ENDED, [
    since,
    after?.at ?? null,
    after?.id ?? null,
    limit === undefined ? null : limit + 1,
  ]);
  const [clock] = await database.query<{ now: number }>('SELECT (extract(epoch FROM now()) * 1000)::float8 AS now');
  const rows = found.slice(0, limit);
  const last = rows.length < found.length ? rows.at(-1) : undefined;
  return {
    now: Math.floor(clock!.now),
    sessions: rows.flatMap(({ userId, session, until }) =>
      session === null ? [] : [[session, until, globalId('user', userId)] as const],
    ),
    people: rows.flatMap(({ userId, generation, until }) =>
      generation === null ? [] : [[globalId('user', userId), generation, until] as const],
    ),
    ...(last && { next: `${last.at}.${last.id}` }),
  };
}

const ENDED = `
  SELECT id, user_id AS "userId", session, generation,
    round(extract(epoch FROM at) * 1000)::float8 AS at, (extract(epoch FROM until) * 1000)::float8 AS until
  FROM ended_sessions
  WHERE at >= to_timestamp($1::float8 / 1000) AND until > now()
    AND ($2::float8 IS NULL OR (at, id) > (to_timestamp($2::float8 / 1000), $3::uuid))
  ORDER BY at, id LIMIT $4::bigint`;

function wholeOf(text: string | undefined): number | undefined {
  const number = Number(text);
  return Number.isSafeInteger(number) && number > 0 ? number : undefined;
}

/** Ids are of any kind: an operator may have ended something by hand. */
function placeOf(text: string | undefined): Place | undefined {
  if (text === undefined) return undefined;
  const found = /^(\d{1,15})\.([0-9a-f-]{36})$/.exec(text);
  if (!found) throw new BadRequestException();
  return { at: Number(found[1]), id: found[2]! };
}
