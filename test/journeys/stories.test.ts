import { afterAll, beforeAll, describe } from '@jest/globals';
import { startWorld, type World } from '../world.js';
import { blocks } from './blocks.contract.js';
import { counts } from './counts.contract.js';
import { everyday } from './everyday.contract.js';
import { farewell } from './farewell.contract.js';
import { notifications } from './notifications.contract.js';
import { repeats } from './repeats.contract.js';
import { whoSeesWhat } from './who-sees-what.contract.js';

describe.each(['apollo', 'tributary'])('in one process, on the embedded default, by the engine %s', (engine) => {
  let world: World;
  beforeAll(async () => {
    world = await startWorld({ ENGINE: engine });
  }, 180_000);
  afterAll(() => world?.close());

  // First of all: it counts what is listed. Who is shown what is for the services to say, whatever the engine.
  if (engine === 'tributary') whoSeesWhat(() => world);
  everyday(() => world);
  blocks(() => world);
  farewell(() => world);
  notifications(() => world);
  repeats(() => world);
  // So is what is counted: by the one engine it is the story of all mutations.
  describe('counts', () => counts(() => world, { runs: engine === 'tributary' ? 4 : 1 }));
});
