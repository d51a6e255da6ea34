import { join } from 'node:path';
import { ROOT } from '../../commands/root.js';
import { startChild, type Account, type Child } from '../deploy/child.js';
import { plainEnvironment } from '../deploy/environment.js';
import { example, told, type Asking } from '../journeys/cast.js';
import { PASSWORD } from '../people.js';
import type { Answer } from '../world.js';

export const READY = 'Ready in';

export interface Talking extends Asking {
  ask(query: string, variables?: Record<string, unknown>, token?: string): Promise<Answer>;
}

/** A process of ours beside npm: `npm start` without npm is the whole of Tributary. */
export function spawnStart(
  dataDir: string,
  {
    account,
    env = {},
    flags = [],
  }: { account?: Account | undefined; env?: Record<string, string>; flags?: readonly string[] } = {},
): Promise<Child> {
  const command = [process.execPath, ...flags, join(ROOT, 'dist/commands/start.js')] as const;
  return startChild('start', [...command], {
    cwd: ROOT,
    env: { ...plainEnvironment(), PORT: '0', DATA_DIR: dataDir, ...env },
    account,
  });
}

export function urlIn(output: string): string {
  return /playground +(http:\S+)/.exec(output)?.[1] ?? '';
}

export function asking(url: string): Talking {
  return {
    ask: async (query, variables = {}, token) => {
      const authorization: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...authorization },
        body: JSON.stringify({ query, variables }),
      });
      const text = await response.text();
      const { data = null, errors = [] } = JSON.parse(text) as Partial<Answer>;
      return { status: response.status, headers: response.headers, text, data, errors };
    },
  };
}

export type Somebody = Asking & { readonly id: string; readonly token: string };

export async function logIn(graph: Talking, handle: string): Promise<Somebody> {
  type Session = { logIn: { token: string; user: { id: string } } };
  const { logIn } = await told<Session>(graph, await example('log-in'), { input: { handle, password: PASSWORD } });
  return {
    id: logIn.user.id,
    token: logIn.token,
    ask: (query, variables) => graph.ask(query, variables, logIn.token),
  };
}
