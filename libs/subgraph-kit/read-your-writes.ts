import type { ApolloServerPlugin } from '@apollo/server';
import { GraphQLError } from 'graphql';
import { writesText, WROTE_HEADER } from '#libs/consistency';
import type { Database } from '#libs/database';
import type { DomainEvent } from '#libs/events';
import { Failure } from '#libs/failure';
import type { Done } from '#libs/idempotency';
import type { CaughtUp } from '#libs/outbox';
import type { RequestContext } from './context.js';

export interface ReadYourWrites {
  readonly caughtUp: Pick<CaughtUp, 'wait' | 'wrote'>;
  readonly waitMs: number;
  /** After that: `refuse` is NOT_CAUGHT_UP, `answer` is what there is. */
  readonly late: 'refuse' | 'answer';
  readonly service: string;
}

/**
 * Before anything of an operation is resolved, this service has heard what the reader has written elsewhere; who comes with
 * nothing waits for nothing. What of its own data has not come round is read from the source: `context.fresh`. Copies of
 * another's data have no source here, so they are refused rather than shown old. A mutation is not: it is checked against what
 * this service owns, and must not hang on a stream that is down.
 */
export function readYourWrites({
  caughtUp,
  waitMs,
  late,
  service,
}: ReadYourWrites): ApolloServerPlugin<RequestContext> {
  return {
    async requestDidStart() {
      return {
        async didResolveOperation({ contextValue, operation }) {
          if (contextValue.upTo.length === 0) return;
          const { leftMs = waitMs } = contextValue.deadline ?? {};
          const { behind, justHeard } = await caughtUp.wait(contextValue.upTo, Math.min(waitMs, leftMs));
          if (justHeard || behind.length > 0) contextValue.fresh = true;
          const copies = behind.some(({ source }) => source !== service);
          if (copies && late === 'refuse' && operation?.operation !== 'mutation') throw notCaughtUp();
        },
        async willSendResponse({ contextValue, response }) {
          if (contextValue.wrote.length === 0) return;
          caughtUp.wrote(contextValue.wrote);
          response.http.headers.set(WROTE_HEADER, writesText(contextValue.wrote));
        },
      };
    },
  };
}

function notCaughtUp(): GraphQLError {
  const originalError = new Failure('NOT_CAUGHT_UP');
  return new GraphQLError(originalError.message, { originalError, extensions: { http: { status: 200 } } });
}

/**
 * The database for what this request writes: what it commits is what the writer is shown from then on. Nothing is begun for a gateway
 * that has given up.
 */
export function writingFor(whole: Database, context: RequestContext): Writable {
  const database = whole.until(context.deadline);
  return {
    query: (text, values) => database.query(text, values),
    async again(run) {
      const done = await context.once?.done<Awaited<ReturnType<typeof run>>>(database);
      return done === undefined ? run() : told(context, done);
    },
    async transaction(work) {
      if (context.once !== undefined) return told(context, await context.once.transaction(database, work));
      let wrote: readonly DomainEvent[] = [];
      const answer = await database.transaction(async (tx) => {
        const done = await work(tx);
        wrote = [...tx.events];
        return done;
      });
      return told(context, { answer, wrote, again: false });
    },
  };
}

export interface Writable extends Pick<Database, 'query' | 'transaction'> {
  /**
   * What `run` answered when it was done before under the client's key, without doing any of it: for what checks something before its
   * transaction that is not so any more after it. The answer of its transaction has to be its own.
   */
  again<T>(run: () => Promise<T>): Promise<T>;
}

/** Whoever has lost an answer has lost the token of what it wrote as well. */
function told<T>(context: RequestContext, { answer, wrote, again }: Done<T>): T {
  const at = Math.floor(Date.now() / 1_000);
  for (const { source, aggregate, aggregateVersion: version } of wrote)
    context.wrote.push({ source, aggregate, version, at });
  // Who wrote it may have been killed before it dropped what was stale.
  if (again) context.fresh = true;
  return answer;
}
