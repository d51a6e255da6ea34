import { afterAll, beforeAll, describe } from '@jest/globals';
import { startWorld, type World } from '../world.js';
import { deletion } from './deletion.contract.js';
import { doors } from './doors.contract.js';

describe.each(['orchestrated', 'choreographed'])('the deletion of an account, %s', (saga) => {
  let world: World;
  beforeAll(async () => {
    world = await startWorld({ DELETION_SAGA: saga, ENGINE: 'tributary' });
  });
  afterAll(() => world?.close());

  deletion(() => world);
  doors(() => world);
});
