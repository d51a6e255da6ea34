import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { openBudgets, type Budgets } from '#libs/rate-limit';
import { silent } from '#libs/telemetry';
import { Admission } from './admission.js';
import { answerNothing, observed } from './elsewhere.js';
import { Rates } from './rates.js';

describe('an address where there is nothing', () => {
  let budgets: Budgets;
  let server: Server;
  let counted: [string, number, string | undefined][];
  beforeEach(async () => {
    counted = [];
    budgets = await openBudgets({ redisUrl: undefined, logger: silent });
  });
  afterEach(async () => {
    server.close();
    server.closeAllConnections();
    await budgets.close();
  });

  /** Asks so often, and says how each was answered. */
  async function asked(times: number, parts: { rates?: Rates; admission?: Admission }): Promise<Response[]> {
    const observe = {
      request: (method: string, status: number, _ms: number, route?: string) =>
        void counted.push([method, status, route]),
      answered() {},
    };
    const nothing = { status: 404, message: 'There is nothing here.' };
    server = createServer((request, response) => {
      observed(request, response, undefined, observe);
      void answerNothing(request, response, nothing, { ...parts, observe, newId: () => 'one' });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const answers: Response[] = [];
    for (let turn = 0; turn < times; turn += 1)
      answers.push(await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/.env`));
    return answers;
  }
  const statuses = (answers: Response[]): number[] => answers.map(({ status }) => status);
  const told = {
    'content-type': 'application/json; charset=utf-8',
    'cache-control': 'no-store',
    'x-request-id': 'one',
  };

  it('costs whoever asks as much as an operation that is none, until nothing is left (control: without budgets nobody pays)', async () => {
    const address = budgets.of({ name: 'address', points: 100, windowS: 600 });
    const answers = await asked(13, { rates: new Rates({ person: undefined, address, proxies: 0 }) });
    expect(statuses(answers)).toEqual([...Array<number>(10).fill(404), 429, 429, 429]);
    expect(Object.fromEntries(answers.at(-1)!.headers)).toMatchObject(told);
    const retryAfter = Number(answers.at(-1)!.headers.get('retry-after'));
    expect(await answers.at(-1)!.json()).toEqual({
      errors: [expect.objectContaining({ extensions: { code: 'RATE_LIMITED', requestId: 'one', retryAfter } })],
    });
    server.close();
    server.closeAllConnections();
    expect(statuses(await asked(13, {}))).toEqual(Array<number>(13).fill(404));
  });

  it('is told 503 where as many are inside as may be', async () => {
    const admission = new Admission({ lateMs: 100, max: 16 });
    while (admission.enter());
    const [answer] = await asked(1, { admission });
    expect([answer!.status, answer!.headers.get('retry-after')]).toEqual([503, '1']);
    expect(await answer!.json()).toMatchObject({ errors: [{ extensions: { code: 'OVERLOADED', requestId: 'one' } }] });
    admission.leave();
    server.close();
    server.closeAllConnections();
    expect(statuses(await asked(1, { admission }))).toEqual([404]);
  });

  it('is counted, by an address that is nobody’s', async () => {
    await asked(2, {});
    while (counted.length < 2) await new Promise(setImmediate);
    expect(counted).toEqual(Array.from({ length: 2 }, () => ['GET', 404, undefined]));
  });
});
