import { afterAll, beforeAll, describe, jest } from '@jest/globals';
import { startWorld, type World } from '../world.js';
import { deletion } from './deletion.contract.js';
import { doors } from './doors.contract.js';

// A step that fails for good is tried for eight seconds first.
jest.setTimeout(90_000);

describe.each(['orchestrated', 'choreographed'])('the deletion of an account, %s', (saga) => {
  let world: World;
  beforeAll(async () => {
    world = await startWorld({ DELETION_SAGA: saga, ENGINE: 'tributary' });
  }, 90_000);
  afterAll(() => world?.close());

  deletion(() => world);
  doors(() => world);
});
