import { expect, it } from '@jest/globals';
import { keepStill } from './still.js';
import { startWorld } from './world.js';

it.each([false, true])('still: %s', async (still) => {
  if (still) keepStill();
  const world = await startWorld({ ENDED_SESSIONS_POLL_MS: '600000' });
  await world.settle();
  await new Promise((go) => setTimeout(go, 300));
  const cost = await world.count(() => new Promise((go) => setTimeout(() => setTimeout(() => setTimeout(go, 10_000), 11_000), 11_000)));
  console.log(still, JSON.stringify(cost));
  await world.close();
  expect(1).toBe(1);
}, 180_000);
