import { describe, expect, it } from '@jest/globals';
import { editDistance } from './edit-distance.js';
import { unheededIn, unheededOf } from './index.js';

const heeded = {
  program: 'the gateway',
  names: [
    'PORT',
    'LOG_LEVEL',
    'WORKERS',
    'COST_LIMIT',
    'SUBGRAPH_TIMEOUT_MS',
    'CONSISTENCY_TOKEN_S',
    'METRICS_PORT',
    'BODY_BYTES',
  ],
  families: ['SUBGRAPH_URL_'],
  prefixes: ['SUBGRAPH_'],
  instead: { JWKS_URL: 'it has its own' },
};
const found = (...variables: string[]) =>
  unheededIn(Object.fromEntries(variables.map((name) => [name, 'hunter2'])), heeded).map(({ variable, meant }) => [
    variable,
    meant,
  ]);

describe('a variable that is no setting', () => {
  it.each([
    ['COST_LIMT', 'COST_LIMIT'],
    ['COST_LIMITS', 'COST_LIMIT'],
    ['COTS_LIMIT', 'COST_LIMIT'],
    ['KOST_LIMMIT', 'COST_LIMIT'],
    ['cost_limit', 'COST_LIMIT'],
    ['WORKRES', 'WORKERS'],
    ['LOG_LEVL', 'LOG_LEVEL'],
    ['SUBGRAPH_TIMEOUT', 'SUBGRAPH_TIMEOUT_MS'],
    ['SUBGRAPH_TIMEOUT_SECONDS', 'SUBGRAPH_TIMEOUT_MS'],
    ['CONSISTENCY_TOKEN', 'CONSISTENCY_TOKEN_S'],
    ['SUBGRPAH_URL_POSTS', 'SUBGRAPH_URL_POSTS'],
    ['SUBGRAPH_ULR_POSTS', 'SUBGRAPH_URL_POSTS'],
    ['SUBGRAPH_URLS_POSTS', 'SUBGRAPH_URL_POSTS'],
    ['SUBGRAPH_RETRIES', undefined],
  ])('%s was probably %s', (variable, meant) => {
    expect(found(variable)).toEqual([[variable, meant]]);
  });

  it.each([
    'PART',
    'POR',
    'BODY',
    'WORKFORCE',
    'COSTS',
    'COST_CENTER',
    'HOST_LIMITER',
    'TIMEOUT',
    'LOG_FILE',
    'GRAPH_URL_X',
  ])('may be somebody else’s: %s', (variable) => expect(found(variable)).toEqual([]));

  it('is told by its name and never by its value, in one line each; what is set, empty or heeded is not told', () => {
    const env = {
      COST_LIMT: 'hunter2',
      COST_LIMIT: '5',
      WORKRES: '',
      SUBGRAPH_URL_POSTS: 'http://hunter2/',
      SUBGRAPH_URLS_POSTS: 'http://u:hunter2@p/',
      JWKS_URL: 'hunter2',
    };
    const says = unheededIn(env, heeded).map((one) => one.says);
    expect(says).toEqual([
      'COST_LIMT is no setting of the gateway, and nothing heeds it; probably COST_LIMIT was meant (docs/settings.md)',
      'SUBGRAPH_URLS_POSTS is no setting of the gateway, and nothing heeds it; probably SUBGRAPH_URL_POSTS was meant (docs/settings.md)',
      'JWKS_URL is not heeded by the gateway: it has its own (docs/settings.md)',
    ]);
    expect(JSON.stringify(unheededIn(env, heeded))).not.toContain('hunter2');
  });

  it('may be what Kubernetes says of a service, or npm of itself; control: the same name with a value that a person gives', () => {
    const of = (value: string) => unheededIn({ METRIC_PORT: value, SUBGRAPH_USERS_PORT: value }, heeded).length;
    expect([of('tcp://10.96.0.7:9464'), of('9464')]).toEqual([0, 2]);
    expect(
      found('SUBGRAPH_A_SERVICE_HOST', 'SUBGRAPH_A_SERVICE_PORT_HTTP', 'SUBGRAPH_A_PORT_4000_TCP_ADDR', 'npm_config_x'),
    ).toEqual([]);
  });

  it('of an open family is told with what there is', () => {
    const known = ['SUBGRAPH_URL_USERS', 'SUBGRAPH_URL_POSTS'];
    const says = (...given: string[]) => unheededOf(given, known, 'nobody has it').map((one) => one.says);
    expect(says(...known)).toEqual([]);
    expect(says('SUBGRAPH_URL_NOPE', 'SUBGRAPH_URL_USER', 'SUBGRAPH_URL_posts')).toEqual([
      'SUBGRAPH_URL_NOPE: nobody has it; there are SUBGRAPH_URL_USERS, SUBGRAPH_URL_POSTS (docs/settings.md)',
      'SUBGRAPH_URL_USER: nobody has it; probably SUBGRAPH_URL_USERS was meant (docs/settings.md)',
      'SUBGRAPH_URL_posts: nobody has it; probably SUBGRAPH_URL_POSTS was meant (docs/settings.md)',
    ]);
  });
});

it.each([
  ['', '', 0],
  ['abc', 'abc', 0],
  ['abc', 'abd', 1],
  ['abc', 'ac', 1],
  ['ac', 'abc', 1],
  ['abcd', 'abdc', 1],
  ['abcd', 'badc', 2],
  ['abcdef', 'badcfe', 3],
  ['a', 'abcdef', 3],
])('from %j to %j it is %i edits, beyond two not counted', (one, other, distance) => {
  expect([editDistance(one, other, 2), editDistance(other, one, 2)]).toEqual([distance, distance]);
});
