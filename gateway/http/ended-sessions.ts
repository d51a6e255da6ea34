import { request, type Dispatcher } from 'undici';
import {
  ASSERTION_HEADER,
  ENDED_SESSIONS_PAGE,
  EndedSessions,
  UnfitAnswer,
  type Call,
  type EndedSessionsPage,
} from '#libs/identity';
import type { Clock, Logger } from '#libs/telemetry';

/** A hundred thousand ended log-ins are about 6 MB: as many pages of a users that divides its list, all of it from one of before. */
const BYTES_MAX = 64 * 1024 * 1024;

/** Log-ins that have ended, as users tells them at this address (ENDED_SESSIONS_URL) to whoever is the gateway. */
export function endedSessionsAt(
  url: string,
  parts: {
    assertion: (call: Call) => string;
    pollMs: number;
    clock: Clock;
    logger: Logger;
    dispatcher?: Dispatcher | undefined;
  },
): EndedSessions {
  const { assertion, pollMs, clock, logger, dispatcher } = parts;
  let told = false;
  const sessions = new EndedSessions({
    clock,
    pollMs,
    async read(since, after, signal) {
      const address = new URL(url);
      address.searchParams.set('since', String(since));
      address.searchParams.set('limit', String(ENDED_SESSIONS_PAGE));
      if (after !== undefined) address.searchParams.set('after', after);
      const signed = assertion({ method: 'GET', path: address.pathname + address.search });
      const response = await request(address, {
        headers: { [ASSERTION_HEADER]: signed },
        signal,
        ...(dispatcher ? { dispatcher } : {}),
      });
      if (response.statusCode !== 200) {
        await response.body.dump();
        throw new UnfitAnswer(`status ${response.statusCode}`);
      }
      return pageOf(await textOf(response.body));
    },
    report(trouble) {
      if (trouble !== undefined && !told) logger.warn({ trouble }, sessions.known ? STILL_HOLDS : NEVER_KNOWN);
      if (trouble === undefined && told) logger.info({}, 'Which log-ins have ended is known again');
      told = trouble !== undefined;
    },
  });
  return sessions;
}

const STILL_HOLDS = 'Which log-ins have ended cannot be asked; what was known of them still holds';
const NEVER_KNOWN = 'Which log-ins have ended cannot be asked; until it is known nobody who is logged in is answered';

async function textOf(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > BYTES_MAX) throw new UnfitAnswer(`an answer of more than ${BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function pageOf(text: string): EndedSessionsPage {
  const page = JSON.parse(text) as Partial<EndedSessionsPage> | null;
  if (typeof page?.now !== 'number' || !Array.isArray(page.sessions) || !Array.isArray(page.people))
    throw new UnfitAnswer('an answer that is no list of ended sessions');
  return page as EndedSessionsPage;
}
