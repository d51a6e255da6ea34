/**
 * The client, in a process of its own: so many connections, each of which asks the next of the given requests when it has its answer,
 * for `ms`, or until all were asked once. `requests`: [variables, headers].
 */
import { Pool } from 'undici';

process.on('message', async (turn) => {
  try {
    process.send(await load(turn));
  } catch (error) {
    process.send({ failed: String(error?.message ?? error) });
  }
});
process.once('disconnect', () => process.exit(0));

let nonce = 0;

async function load({ url, query, requests, from, connections, ms, once = false, unlike = false }) {
  const { origin, pathname } = new URL(url);
  const pool = new Pool(origin, { connections, pipelining: 1, headersTimeout: 60_000, bodyTimeout: 60_000 });
  const until = performance.now() + ms;
  const times = [];
  let wrong;
  let next = from;
  const end = once ? from + requests.length : Number.POSITIVE_INFINITY;
  const begun = performance.now();
  await Promise.all(
    Array.from({ length: connections }, async () => {
      while (next < end && wrong === undefined && (once || performance.now() < until)) {
        const [variables, headers] = requests[next++ % requests.length];
        const asked = performance.now();
        const answer = await pool.request({
          path: pathname,
          method: 'POST',
          headers: {
            'content-type': 'application/json',
            accept: 'application/json',
            ...(unlike ? { 'x-nonce': `${process.pid} ${nonce++}` } : {}),
            ...headers,
          },
          body: JSON.stringify({ query, variables }),
        });
        const text = await answer.body.text();
        times.push(performance.now() - asked);
        if (answer.statusCode !== 200 || text.includes('"errors":'))
          wrong ??= `${answer.statusCode} ${text.slice(0, 300)}`;
      }
    }),
  );
  const tookMs = performance.now() - begun;
  await pool.close();
  if (wrong !== undefined) return { failed: wrong };
  times.sort((a, b) => a - b);
  const at = (share) => times[Math.min(times.length - 1, Math.floor(times.length * share))];
  return { count: times.length, next, tookMs, p50: at(0.5), p99: at(0.99) };
}
