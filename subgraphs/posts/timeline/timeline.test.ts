import { describe } from '@jest/globals';
import { withServer } from '../../../test/servers/needs.js';
import { openScene } from '../scene.contract.js';
import { atOnce } from './at-once.contract.js';
import { neverBack } from './never-back.contract.js';
import { timelines } from './timeline.contract.js';

describe('home timelines, embedded', () => {
  timelines(() => openScene(), { runs: 8 });
  describe('of posts that are on their way', () => neverBack(() => openScene(), { hasServer: false }));
});

withServer('postgres', 'home timelines, on PostgreSQL', (adminUrl) => {
  timelines(() => openScene(adminUrl), { runs: 15 });
  describe('while somebody else is at it', () => atOnce(() => openScene(adminUrl)));
  describe('of posts that are on their way', () => neverBack(() => openScene(adminUrl), { hasServer: true }));
});
