import type { ApolloServerPlugin } from '@apollo/server';
import { GraphQLError } from 'graphql';
import { setTimeout as sleep } from 'node:timers/promises';
import { BEHIND_HEADER, carriedOf, writesText, WROTE_HEADER, type Write } from '#libs/consistency';
import type { Database, Recorded } from '#libs/database';
import { checkEnvelope, type DomainEvent, type Envelope } from '#libs/events';
import { Failure } from '#libs/failure';
import { takeForWriting, type Done } from '#libs/idempotency';
import type { CaughtUp, Consumer, Versions } from '#libs/outbox';
import type { Logger } from '#libs/telemetry';
import type { RequestContext } from './context.js';
import { kindOfAggregate, type CopiesInSchema } from './copies.js';

export interface ReadYourWrites {
  readonly caughtUp: Pick<CaughtUp, 'wait' | 'wrote' | 'lastHeard'>;
  /** Hears what a gateway brings because the stream has not. */
  readonly hearNow: Consumer['hearNow'];
  /** What this service has recorded of these aggregates. */
  readonly recorded: (wanted: readonly Versions[]) => Promise<readonly DomainEvent[]>;
  readonly waitMs: number;
  /** After that: `refuse` is NOT_CAUGHT_UP, `answer` is what there is. */
  readonly late: 'refuse' | 'answer';
  /** Whether the database has replicas that may be read. */
  readonly replicas?: boolean;
  readonly service: string;
  /** Absent: every field may need whatever this service hears. */
  readonly copies?: Pick<CopiesInSchema, 'of'> | undefined;
  readonly logger: Logger;
}

/** A reader for whom events were brought has waited before: at least so long for them to take effect, and so long for the inbox to be asked. */
const HEARING_MS = 1_000;
const SOON_MS = 50;

/**
 * Before anything of an operation is resolved, this service has heard what the reader has written elsewhere, as far as what is asked for
 * needs it (copies.ts); who comes with nothing waits for nothing. What of its own data has not come round is read from the source:
 * `context.fresh`. A copy of another's data has its source there: the fields that need it are refused, the answer says what was not heard
 * (`BEHIND_HEADER`), and a gateway that knows how has the owner tell it and comes again with the events; where that cannot be, the client is
 * shown the refusal and nothing old. A mutation that goes by such a copy itself is refused as a whole, before any of it is done: so it can be
 * asked again. One that is done, and has fields in its answer that need one, is not, and says of nothing that it was not heard.
 */
export function readYourWrites(options: ReadYourWrites): ApolloServerPlugin<RequestContext> {
  const { caughtUp, copies, recorded, waitMs, late, service } = options;
  const brought = new Brought(options);
  return {
    async requestDidStart() {
      let told: readonly DomainEvent[] | undefined;
      let wasBrought = false;
      let missing: readonly Write[] = [];
      let mayAskAgain = true;
      return {
        async didResolveOperation({ contextValue, document, operation, request, schema }) {
          const { tell, events } = carriedOf(request.extensions);
          if (tell !== undefined) {
            told = await recorded(tell);
            return;
          }
          if (operation === undefined) return;
          if (contextValue.upTo.length === 0) {
            if (options.replicas && operation.operation === 'query' && !contextValue.fresh) contextValue.mayLag = true;
            return;
          }
          wasBrought = events !== undefined;
          const { leftMs = waitMs } = contextValue.deadline ?? {};
          const mostMs = Math.min(waitMs, leftMs);
          if (events !== undefined)
            await brought.hear(events, contextValue.upTo, Math.min(Math.max(HEARING_MS, waitMs), leftMs));
          const needs = copies?.of(schema, document, operation);
          const awaited = contextValue.upTo.filter(
            ({ source, aggregate }) => source === service || (needs?.all.has(kindOfAggregate(aggregate)) ?? true),
          );
          const { behind, justHeard } = await caughtUp.wait(
            awaited,
            events === undefined ? mostMs : Math.min(SOON_MS, mostMs),
          );
          if (justHeard || behind.length > 0) contextValue.fresh = true;
          const foreign = awaited.filter((write) => write.source !== service && behind.includes(write));
          if (foreign.length === 0 || late === 'answer') return;
          const heard = await caughtUp.lastHeard(foreign.map(({ aggregate }) => aggregate));
          missing = foreign
            .map((write) => ({ first: (heard.get(write.aggregate) ?? 0) + 1, write }))
            // Some of it may have come just now.
            .filter(({ first, write }) => first <= write.version)
            .map(({ first, write }) => ({ ...write, version: first }));
          if (missing.length === 0) return;
          const kinds = new Set(missing.map(({ aggregate }) => kindOfAggregate(aggregate)));
          if (needs === undefined || [...kinds].some((kind) => needs.toMutate.has(kind))) throw notCaughtUp();
          mayAskAgain = operation.operation !== 'mutation';
          contextValue.behind = kinds;
        },
        async willSendResponse({ contextValue, response }) {
          if (told !== undefined && response.body.kind === 'single')
            response.body.singleResult.extensions = { tributary: { events: told } };
          if (wasBrought || (missing.length > 0 && mayAskAgain))
            response.http.headers.set(BEHIND_HEADER, writesText(missing));
          if (contextValue.lagged) response.http.headers.set('cache-control', 'no-store');
          const { wrote, found } = contextValue;
          if (wrote.length > 0) caughtUp.wrote(wrote);
          if (wrote.length + found.length > 0)
            response.http.headers.set(WROTE_HEADER, writesText([...wrote, ...found]));
        },
      };
    },
  };
}

/**
 * One reader's events at a time: a crowd of readers that are behind would else take all connections, and wait in them for what the first
 * of them holds. Mostly the others find heard what they have brought.
 */
class Brought {
  readonly #options: Pick<ReadYourWrites, 'caughtUp' | 'hearNow' | 'logger'>;
  #last: Promise<void> = Promise.resolve();

  constructor(options: Pick<ReadYourWrites, 'caughtUp' | 'hearNow' | 'logger'>) {
    this.#options = options;
  }

  /** Nobody waits longer than `mostMs`. What is begun goes on to its end, and is heard; what is not begun by then never is. */
  async hear(brought: readonly unknown[], upTo: readonly Write[], mostMs: number): Promise<void> {
    const waited = new AbortController();
    // Who waits no longer keeps nothing in line.
    let left: readonly unknown[] | undefined = brought;
    this.#last = this.#last.then(() => left && this.#hear(left, upTo));
    const time = sleep(mostMs, undefined, { signal: waited.signal }).catch(() => {});
    await Promise.race([this.#last, time]);
    left = undefined;
    waited.abort();
  }

  async #hear(brought: readonly unknown[], upTo: readonly Write[]): Promise<void> {
    const { caughtUp, hearNow, logger } = this.#options;
    try {
      const events = brought.map((one) => checkEnvelope(one)).filter((event) => isAwaited(event, upTo));
      if (events.length === 0) return;
      const heard = await caughtUp.lastHeard(events.map(({ aggregate }) => aggregate));
      if (events.some(({ aggregate, aggregateVersion }) => aggregateVersion > (heard.get(aggregate) ?? 0)))
        await hearNow(events);
    } catch (error) {
      logger.debug(
        { err: error },
        'What a reader has written was brought and could not be heard; the stream brings it again',
      );
    }
  }
}

/** Of what else a gateway brings, nothing is heard by this way. */
function isAwaited({ source, aggregate, aggregateVersion }: Envelope, upTo: readonly Write[]): boolean {
  return upTo.some(
    (write) => write.source === source && write.aggregate === aggregate && write.version >= aggregateVersion,
  );
}

function notCaughtUp(): GraphQLError {
  const originalError = new Failure('NOT_CAUGHT_UP');
  return new GraphQLError(originalError.message, { originalError, extensions: { http: { status: 200 } } });
}

/**
 * The database for what this request writes: what it commits is what the writer is shown from then on. Nothing is begun for a gateway
 * that has given up, and what a call has written is not written by the same call at another process of the service: the first of its
 * transactions that is committed makes it the one that writes. Where a client's key says what is to be done once, that is enough.
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
      let wrote: readonly Recorded[] = [];
      let found: readonly Recorded[] = [];
      let isWritten = false;
      const { call } = context;
      try {
        const answer = await database.transaction(async (tx) => {
          isWritten = false;
          if (call !== undefined && !context.writes) await takeForWriting(tx, call);
          const done = await work(tx);
          [wrote, found] = [tx.events, tx.found];
          isWritten = true;
          return done;
        });
        return told(context, { answer, wrote, found, again: false });
      } finally {
        // Also where the answer to COMMIT was lost: what comes next in this call would be held for a call that was sent once more.
        if (isWritten) context.writes = true;
      }
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
function told<T>(context: RequestContext, { answer, wrote, found, again }: Done<T>): T {
  const at = Math.floor(Date.now() / 1_000);
  const writeOf = ({ source, aggregate, aggregateVersion: version }: Recorded) => ({ source, aggregate, version, at });
  context.wrote.push(...wrote.map(writeOf));
  context.found.push(...found.map(writeOf));
  // Who wrote it may have been killed before it dropped what was stale.
  if (again || found.length > 0) context.fresh = true;
  return answer;
}
