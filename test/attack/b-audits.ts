import { serverAudits } from 'graphql-http';
import { setImmediate as turn } from 'node:timers/promises';
import { PREFLIGHT, type Attack, type Message } from './attack.js';

const HERE = 'http://here/graphql';

/** What each of the 61 audits of graphql-http sends; none is sent, and so none says what it thinks of the answer: gateway/gateway.test.ts asks that. */
async function sentByAudits(): Promise<[name: string, message: Message][]> {
  let sent: Message | undefined;
  const audits = serverAudits({
    url: HERE,
    fetchFn(url: string, { method = 'GET', headers = {}, body }: RequestInit = {}) {
      sent = {
        method,
        path: url.slice(HERE.length),
        headers: { ...(headers as Record<string, string>), ...PREFLIGHT },
        body: body as string | undefined,
      };
      return new Promise(() => {});
    },
  });
  const messages: [string, Message][] = [];
  for (const audit of audits) {
    sent = undefined;
    void audit.fn();
    while (sent === undefined) await turn();
    messages.push([`${audit.id} ${audit.name}`, sent]);
  }
  return messages;
}

/** They ask for the schema, too: `open` tells it. What is answered well has no errors, and what is refused no data. */
export const audits: readonly Attack[] = (await sentByAudits()).map(([what, send]) => ({
  id: 'B22',
  what,
  to: 'open',
  send,
  come: { status: [200, 400, 405, 406, 415] },
}));
