import { describe, expect, it } from '@jest/globals';
import { readFile } from 'node:fs/promises';
import { EVENTS, isEventType, LISTENERS } from '#libs/events';
import { HEARD as heardByFollowers } from '../subgraphs/followers/on/heard.js';
import { HEARD as heardByPosts } from '../subgraphs/posts/on/heard.js';
import { heardBy } from '../subgraphs/users/on/heard.js';
import { eventsPage } from './events-page.js';

describe('docs/events.md', () => {
  it('is what the catalogue says', async () => {
    expect(await readFile(new URL('../docs/events.md', import.meta.url), 'utf8')).toBe(eventsPage());
  });

  it('names as listeners of a source exactly the services that hear one of its events', () => {
    const heard = {
      users: heardBy({ stepTimeoutMs: 1, triesMax: 1 }),
      posts: heardByPosts,
      followers: heardByFollowers,
    };
    for (const [source, listeners] of Object.entries(LISTENERS)) {
      const hearing = Object.entries(heard).filter(([, handlers]) =>
        Object.keys(handlers).some((type) => isEventType(type) && EVENTS[type].source === source),
      );
      expect([source, ...hearing.map(([name]) => name).sort()]).toEqual([source, ...[...listeners].sort()]);
    }
  });
});
