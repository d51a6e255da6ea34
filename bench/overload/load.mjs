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
  const ask = async () => {
    const asked = performance.now();
    try {
      const { statusCode, headers, body } = await pool.request({
        path: '/graphql',
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'application/json',
          authorization: `Bearer ${(tokens.at += 1)}`,
        },
        body: JSON.stringify({ query: order.query }),
      });
      const text = await body.text();
      const whole = statusCode === 200 && !text.includes('"errors":[');
      answers.push({ status: statusCode, whole, ms: performance.now() - asked, retry: headers['retry-after'] });
    } catch (error) {
      answers.push({ status: error.code ?? error.message, whole: false, ms: performance.now() - asked });
    }
  };
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
