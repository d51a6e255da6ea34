import { afterEach, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { Agent, request, type ClientRequest, type IncomingMessage, type RequestListener } from 'node:http';
import { connect } from 'node:net';
import { listen, type Listening } from './listen.js';

const open: Listening[] = [];
const agents: Agent[] = [];
afterEach(async () => {
  for (const agent of agents.splice(0)) agent.destroy();
  await Promise.all(open.splice(0).map((listening) => listening.close()));
});

const MIGRATIONS = ['database: migrations'];
async function start(handle?: RequestListener, limits = {}): Promise<Listening> {
  const listening = await listen({ host: '127.0.0.1', port: 0, waitingFor: MIGRATIONS, ...limits });
  open.push(listening);
  if (handle) listening.answerWith(handle);
  return listening;
}
const whole: RequestListener = (asked, response) => void asked.resume().on('end', () => response.end('whole'));

async function told({ url }: Listening, path: string) {
  const response = await fetch(new URL(path, url), { method: path === '/graphql' ? 'POST' : 'GET' });
  const away = response.headers.get('tributary-away');
  return { status: response.status, away, body: (await response.json()) as object };
}

/** Keeps its connections, `sockets` of them. */
function client({ url }: Listening, sockets: number) {
  const agent = new Agent({ keepAlive: true, maxSockets: sockets });
  agents.push(agent);
  const answer = async (asked: ClientRequest): Promise<string> => {
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    let text = '';
    for await (const chunk of response) text += String(chunk);
    return text;
  };
  return {
    agent,
    /** What each of `count` was answered, or the code of what went wrong; `sent` resolves when all of them have left. */
    ask(count: number) {
      const asked = Array.from({ length: count }, () => request(url, { method: 'POST', agent }).end('x'));
      const answers = Promise.all(asked.map((one) => answer(one).catch((error: { code: string }) => error.code)));
      return { answers, sent: () => Promise.all(asked.map((one) => once(one, 'finish'))) };
    },
  };
}

const times = (count: number, what: string): string[] => Array.from({ length: count }, () => what);

it('before anybody answers it lives, and says what it waits for; whoever asks is told to ask another', async () => {
  const listening = await start();
  expect(await told(listening, '/health/live')).toEqual({ status: 200, away: null, body: { status: 'live' } });
  const waits = (status: string) => ({ status: 503, away: 'starting', body: { status, waitingFor: MIGRATIONS } });
  expect(await told(listening, '/health/startup')).toEqual(waits('starting'));
  expect(await told(listening, '/health/ready?x')).toEqual(waits('waiting'));
  expect(await told(listening, '/graphql')).toEqual(waits('waiting'));
});

it('answers on the same connections from then on', async () => {
  const listening = await start();
  const { agent, ask } = client(listening, 1);
  expect(await ask(1).answers).toEqual([expect.stringContaining('waiting')]);
  const [[socket]] = Object.values(agent.freeSockets) as [[object]];
  expect(listening.ready).toBe(false);
  listening.answerWith(whole);
  expect(listening.ready).toBe(true);
  expect(await ask(1).answers).toEqual(['whole']);
  expect(Object.values(agent.freeSockets)).toEqual([[socket]]);
});

it('while it ends it answers, is not ready, and ends each connection with its answer: closing cuts nobody', async () => {
  const listening = await start(whole);
  const { agent, ask } = client(listening, 16);
  await ask(16).answers;
  listening.drain();
  const ready = { status: 503, away: 'ending', body: { status: 'waiting', waitingFor: ['nothing: it is ending'] } };
  expect(await told(listening, '/health/ready')).toEqual(ready);
  expect(listening.ready).toBe(false);
  expect(await ask(32).answers).toEqual(times(32, 'whole'));
  expect(Object.values(agent.freeSockets)).toEqual([]);
  await listening.close();
  expect(await ask(1).answers).toEqual(['ECONNREFUSED']);
});

it('(control: closed at once, it cuts what has just been sent)', async () => {
  const listening = await start(whole);
  const { ask } = client(listening, 16);
  await ask(16).answers;
  const { sent, answers } = ask(16);
  await sent();
  void listening.close();
  expect(await answers).toEqual(times(16, 'ECONNRESET'));
});

it('what is under way is ended first, and the connection with it', async () => {
  let came = (_end: () => void): void => {};
  const listening = await start((_, response) => came(() => response.end('whole')));
  const arrived = new Promise<() => void>((resolve) => (came = resolve));
  const { answers } = client(listening, 1).ask(1);
  const end = await arrived;
  const closed = listening.close();
  end();
  expect(await answers).toEqual(['whole']);
  await closed;
});

it('beyond the most connections that may be one is told 503, those beyond it are closed, and those that are there go on', async () => {
  const listening = await start(whole, { connectionsMax: 4 });
  const { ask } = client(listening, 4);
  await ask(4).answers;
  const full = { errors: [{ message: 'The service is busy; try again.', extensions: { code: 'OVERLOADED' } }] };
  const response = await fetch(listening.url, { method: 'POST', body: 'x' });
  expect([response.status, response.headers.get('retry-after'), await response.json()]).toEqual([503, '1', full]);
  // Who has come and says nothing is told nothing, and nobody else is.
  const silent = connect(Number(new URL(listening.url).port), '127.0.0.1');
  await once(listening.server, 'connection');
  expect(await client(listening, 2).ask(2).answers).toEqual(times(2, 'ECONNRESET'));
  silent.destroy();
  expect(await ask(8).answers).toEqual(times(8, 'whole'));
});

it('while its heap is nearly full it answers and is not ready', async () => {
  let heapFull = true;
  const listening = await start(
    (_, response) => response.setHeader('content-type', 'application/json').end('{"status":"ready"}'),
    { heapFull: () => heapFull },
  );
  const waitingFor = ['heap: it is nearly full'];
  expect(await told(listening, '/health/ready')).toMatchObject({ status: 503, body: { waitingFor } });
  expect(listening.ready).toBe(false);
  expect(await told(listening, '/graphql')).toMatchObject({ status: 200 });
  heapFull = false;
  expect(listening.ready).toBe(true);
  expect(await told(listening, '/health/ready')).toMatchObject({ status: 200 });
});

it('a port that is taken is an error', async () => {
  const { url } = await start();
  const taken = listen({ host: '127.0.0.1', port: Number(new URL(url).port), waitingFor: [] });
  await expect(taken).rejects.toMatchObject({ code: 'EADDRINUSE' });
});
