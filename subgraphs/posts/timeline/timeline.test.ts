import { describe } from '@jest/globals';
import { withServer } from '../../../test/servers/needs.js';
import { openScene } from '../scene.contract.js';
import { atOnce } from './at-once.contract.js';
import { timelines } from './timeline.contract.js';

describe('home timelines, embedded', () => timelines(() => openScene(), { runs: 8 }));

withServer('postgres', 'home timelines, on PostgreSQL', (adminUrl) => {
  timelines(() => openScene(adminUrl), { runs: 15 });
  describe('while somebody else is at it', () => atOnce(() => openScene(adminUrl)));
});
