import { serverAudits, type Audit } from 'graphql-http';
import { PREFLIGHT, type Attack, type Message, type Seen, type Stage } from './attack.js';

const HERE = 'http://here/graphql';

/** Three want 200 for a refusal, where application/json is asked for; what is refused is 400 here. */
export const WARNED: readonly string[] = ['572B', 'FDE2', '7B9B'];

/** The audits of graphql-http, each of which asks what it asks by `send`. */
export function auditsBy(send: (message: Message) => Promise<Seen>): readonly Audit[] {
  return serverAudits({
    url: HERE,
    async fetchFn(url: string, { method = 'GET', headers = {}, body }: RequestInit = {}) {
      const asked = { ...(headers as Record<string, string>), ...PREFLIGHT };
      const message = { method, path: url.slice(HERE.length), headers: asked, body: body as string | undefined };
      const { status, text, headers: answered } = await send(message);
      return new Response(text, { status, headers: answered as Record<string, string> });
    },
  });
}

/** What an audit sends, held to what holds for every answer; and what the audit says of that. */
function audited(id: string, verdict: string): Message {
  return {
    async act(stage: Stage) {
      let seen!: Seen;
      const ask = async (message: Message): Promise<Seen> => (seen = await stage.ask(message));
      const result = await auditsBy(ask)
        .find((audit) => audit.id === id)!
        .fn();
      if (result.status !== verdict)
        stage.found(`the audit says ${result.status}, not ${verdict}: ${JSON.stringify(result)}`);
      return seen;
    },
  };
}

/** They ask for the schema, too: `open` tells it. What is answered well has no errors, and what is refused no data. */
export const audits: readonly Attack[] = auditsBy(() => Promise.reject(new Error('asked for their names'))).map(
  ({ id, name }) => ({
    id: 'B22',
    what: `${id} ${name}`,
    to: 'open',
    send: audited(id, WARNED.includes(id) ? 'warn' : 'ok'),
    come: { status: [200, 400, 405, 406, 415] },
  }),
);
