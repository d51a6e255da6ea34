/** A client as a process of its own. `closed`: so many connections, each asks again when it has its answer. `open`: so many a second, whatever comes back. */
import { Pool } from 'undici';

const tokens = { at: 0 };

process.on('message', async (order) => {
  const pool = new Pool(order.origin, {
    connections: order.connections,
    pipelining: 1,
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  const answers = [];
  /** As little work as can be: whoever asks shares the machine with whoever answers. */
  const ask = (query = order.query) =>
    new Promise((resolve) => {
      const asked = performance.now();
      let [status, retry, whole] = [0, undefined, false];
      const done = (what) => {
        answers.push({ status: what, whole, ms: performance.now() - asked, retry });
        resolve();
      };
      pool.dispatch(
        {
          path: '/graphql',
          method: 'POST',
          headers: {
            'content-type': 'application/json',
            accept: 'application/json',
            authorization: `Bearer ${(tokens.at += 1)}`,
          },
          body: JSON.stringify({ query }),
        },
        {
          onRequestStart() {},
          onResponseStart(_, statusCode, headers) {
            [status, retry] = [statusCode, headers['retry-after']];
          },
          // An answer with errors begins with them.
          onResponseData(_, chunk) {
            if (status === 200 && !whole) whole = chunk.subarray(0, 8).toString('latin1') === '{"data":';
          },
          onResponseEnd: () => done(status),
          onResponseError(_, error) {
            whole = false;
            done(error.code ?? error.message);
          },
        },
      );
    });
  // As behind a proxy, which keeps them: libuv takes one new connection in each turn of the event loop, however many there are.
  await Promise.all(Array.from({ length: order.connections }, () => ask('{ __typename }')));
  await new Promise((resolve) => setTimeout(resolve, 500));
  answers.length = 0;
  const began = performance.now();
  if (order.perSecond === undefined) {
    const client = async () => {
      while (performance.now() - began < order.ms) await ask();
    };
    await Promise.all(Array.from({ length: order.connections }, client));
  } else {
    const open = [];
    for (let passed = 0; passed < order.ms; passed = performance.now() - began) {
      while (open.length < (order.perSecond * passed) / 1_000) open.push(ask());
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await Promise.all(open);
  }
  await pool.close();
  process.send({ answers, asked: answers.length, forMs: order.ms });
});
