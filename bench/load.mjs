/**
 * The client, in a process of its own: so many connections, each of which asks again when it has its answer, until the
 * time is over. Every request has its own Authorization header. An answer of another length than the first is an error.
 */
import { Pool } from 'undici';

process.on('message', async (turn) => {
  try {
    process.send(await load(turn));
  } catch (error) {
    process.send({ failed: String(error?.message ?? error) });
  }
});

let token = 0;

async function load({ origin, path, query, connections, ms }) {
  const pool = new Pool(origin, { connections, pipelining: 1, headersTimeout: 60_000, bodyTimeout: 60_000 });
  const body = JSON.stringify({ query });
  const until = performance.now() + ms;
  const times = [];
  let bytes;
  let wrong;
  const from = performance.now();
  await Promise.all(
    Array.from({ length: connections }, async () => {
      do {
        const asked = performance.now();
        const answer = await pool.request({
          path,
          method: 'POST',
          headers: {
            'content-type': 'application/json',
            accept: 'application/json',
            authorization: `Bearer token-${process.pid}-${token++}`,
          },
          body,
        });
        let length = 0;
        let text = '';
        for await (const chunk of answer.body) {
          length += chunk.length;
          if (text.length < 200) text += chunk;
        }
        times.push(performance.now() - asked);
        bytes ??= length;
        if (answer.statusCode !== 200 || length !== bytes) wrong ??= `${answer.statusCode} ${text.slice(0, 200)}`;
      } while (performance.now() < until && wrong === undefined);
    }),
  );
  const tookMs = performance.now() - from;
  await pool.close();
  if (wrong !== undefined) return { failed: wrong };
  times.sort((a, b) => a - b);
  const at = (share) => times[Math.min(times.length - 1, Math.floor(times.length * share))];
  return { count: times.length, tookMs, bytes, p50: at(0.5), p99: at(0.99) };
}
