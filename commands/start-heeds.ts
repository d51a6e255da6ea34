import type { Environment, Heeded } from '#libs/settings';
import { GATEWAY_HEEDS } from '../gateway/unheeded.js';
import { followersSettings } from '../subgraphs/followers/config.js';
import { postsSettings } from '../subgraphs/posts/config.js';
import { usersSettings } from '../subgraphs/users/config.js';
import { SERVICES, startSettings } from './databases.js';

/** What `npm start` takes from its environment: all that its programs do, but for what it says to them itself. */
export function startHeeds(env: Environment): Heeded {
  const all = [startSettings, usersSettings, postsSettings, followersSettings];
  const own = SERVICES.map((service) => `SUBGRAPH_URL_${service.toUpperCase()}`);
  const elsewhere = Object.fromEntries(own.map((name) => [name, 'it asks the services that it starts']));
  return {
    ...GATEWAY_HEEDS,
    program: 'npm start',
    names: [...GATEWAY_HEEDS.names, ...all.flatMap((settings) => Object.keys(settings))],
    instead: {
      ...elsewhere,
      // What it is anyway is not told.
      ...(env['WORKERS'] === '1'
        ? {}
        : { WORKERS: 'it is one process, and several are those of npm run gateway beside services of their own' }),
      ...(env['IDENTITY'] === 'jwt' ? {} : { IDENTITY: 'it looks at the log-ins of the users that it starts' }),
      JWKS_URL: 'it takes the log-ins of the users that it starts',
      ENDED_SESSIONS_URL: 'it asks the users that it starts',
    },
  };
}
