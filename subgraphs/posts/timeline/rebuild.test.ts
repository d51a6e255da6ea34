import { describe } from '@jest/globals';
import { withServer } from '../../../test/servers/needs.js';
import { openScene } from '../scene.contract.js';
import { rebuilding } from './rebuild.contract.js';

describe('the home timelines built anew, embedded', () => rebuilding(() => openScene()));

withServer('postgres', 'the home timelines built anew, on PostgreSQL', (adminUrl) =>
  rebuilding(() => openScene(adminUrl)),
);
