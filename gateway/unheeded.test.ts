import { expect, it } from '@jest/globals';
import { silent, type Logger } from '#libs/telemetry';
import { readGatewayConfig } from './config.js';
import { noteworthyIn } from './noteworthy.js';
import { tellingStrangers, tellUnheeded } from './unheeded.js';

function heard(): { logger: Logger; said: string[] } {
  const said: string[] = [];
  const warn = (fields: object, message: string): number => said.push(`${message} ${JSON.stringify(fields)}`);
  return { logger: { ...silent, warn } as Logger, said };
}

it('what is nearly a setting is a line of the log, by its name and not its value', () => {
  const { logger, said } = heard();
  tellUnheeded({ SUPERGRAPH: 'graph', COST_LIMT: 'hunter2', WORKERS: '2', PATH: '/bin' }, logger);
  expect(said).toEqual([
    'COST_LIMT is no setting of the gateway, and nothing heeds it; probably COST_LIMIT was meant (docs/settings.md) {"variable":"COST_LIMT","meant":"COST_LIMIT"}',
  ]);
});

it('an address or a secret of no subgraph is said once, and not again with the next supergraph', () => {
  const { logger, said } = heard();
  const config = readGatewayConfig({
    SUPERGRAPH: 'graph',
    SUBGRAPH_URL_POSTS: 'http://posts/',
    SUBGRAPH_URL_NOPE: 'http://hunter2/',
    ASSERTION_SECRET_POST: 'hunter2'.repeat(5),
  });
  const tell = tellingStrangers(config, logger);
  tell(['posts', 'my-users']);
  expect(said).toEqual([
    expect.stringMatching(
      /^SUBGRAPH_URL_NOPE: The supergraph has no subgraph .*address is not used; there are SUBGRAPH_URL_POSTS, SUBGRAPH_URL_MY_USERS/,
    ),
    expect.stringMatching(
      /^ASSERTION_SECRET_POST: The supergraph .*secret is not used; probably ASSERTION_SECRET_POSTS was meant/,
    ),
  ]);
  expect(said.join()).not.toContain('hunter2');
  tell(['posts', 'my-users']);
  expect(said).toHaveLength(2);
  // Gone from the graph, an address that was heeded is not any more.
  tell(['my-users', 'nope']);
  expect(said.slice(2)).toEqual([expect.stringMatching(/^SUBGRAPH_URL_POSTS: The supergraph has no/)]);
});

it('what settings leave undone that may have been meant otherwise is a line each; control: of what is whole none', () => {
  const says = (env: Record<string, string>): string[] =>
    noteworthyIn(readGatewayConfig({ SUPERGRAPH: 'graph', ...env }));
  const jwt = { IDENTITY: 'jwt', JWKS_URL: 'http://users/keys', ENDED_SESSIONS_URL: 'http://users/ended' };
  const both = { RATE_LIMIT_PERSON: '60000', RATE_LIMIT_ADDRESS: '60000' };
  for (const whole of [
    {},
    { NODE_ENV: 'development' },
    { NODE_ENV: 'test' },
    { NODE_ENV: 'production', ...jwt, ...both },
  ])
    expect(says(whole)).toEqual([]);
  expect(says({ NODE_ENV: 'prodution' })).toEqual([
    'NODE_ENV is "prodution", which counts as development and closes nothing; it takes production, development, test',
  ]);
  expect(says({ NODE_ENV: 'production' })).toEqual([expect.stringMatching(/^Anybody may ask /)]);
  expect(says({ RATE_LIMIT_PERSON: '60000' })).toEqual([expect.stringMatching(/^Whoever is not logged in may /)]);
  const address = { RATE_LIMIT_ADDRESS: '60000' };
  expect(says(address)).toEqual([]);
  expect(says({ ...jwt, ...address })).toEqual([expect.stringMatching(/^One person .*RATE_LIMIT_PERSON is not set$/)]);
  expect(says({ ...jwt, ...address, RATE_LIMIT_ADDRESS_PEOPLE: '0' })).toEqual([
    expect.stringMatching(/^Whoever is logged in may .*RATE_LIMIT_PERSON is not$/),
  ]);
  const figures = { HOST: '0.0.0.0', METRICS_PORT: '9464', ...both };
  expect(says(figures)).toEqual([
    'Whoever reaches port 9464 of 0.0.0.0 may read the figures, which name addresses: METRICS_TOKEN is not set; set it, or keep that port inside',
  ]);
  for (const kept of [{ METRICS_TOKEN: 't'.repeat(32) }, { HOST: '127.0.0.2' }, { METRICS_PORT: '' }])
    expect(says({ ...figures, ...kept })).toEqual([]);
  expect(says({ ...jwt, ENDED_SESSIONS_URL: '' })).toEqual([expect.stringContaining('ENDED_SESSIONS_URL is not set')]);
});
