import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { serviceHeeds } from '#libs/service-settings';
import { unheededIn, type Environment, type Heeded } from '#libs/settings';

import { GATEWAY_HEEDS } from '../gateway/unheeded.js';
import { followersSettings } from '../subgraphs/followers/config.js';
import { postsSettings } from '../subgraphs/posts/config.js';
import { usersSettings } from '../subgraphs/users/config.js';
import { readCompose, variablesOf } from '../test/deploy/compose-file.js';
import { secretsFor } from '../test/deploy/secrets.js';
import { startSettings } from './databases.js';
import { startHeeds } from './start-heeds.js';

const services = { users: usersSettings, posts: postsSettings, followers: followersSettings };
const programs: Readonly<Record<string, (env: Environment) => Heeded>> = {
  gateway: () => GATEWAY_HEEDS,
  'npm start': startHeeds,
  ...Object.fromEntries(
    Object.entries(services).map(([name, settings]) => [name, (env: Environment) => serviceHeeds(name, settings, env)]),
  ),
};
const told = (program: string, env: Environment): string[] =>
  unheededIn(env, programs[program]!(env)).map(({ variable }) => variable);

/** What is in the environment of a program, so or nearly so, on machines of all kinds. */
const ENVIRONMENTS: Readonly<Record<string, string>> = {
  'a shell on Linux': `SHELL SESSION_MANAGER QT_ACCESSIBILITY COLORTERM XDG_CONFIG_DIRS XDG_DATA_DIRS XDG_RUNTIME_DIR XDG_SESSION_TYPE SSH_AGENT_LAUNCHER
    LANGUAGE SSH_AUTH_SOCK SSH_CONNECTION SSH_CLIENT SSH_TTY DESKTOP_SESSION GTK_MODULES PWD LOGNAME USERNAME GPG_AGENT_INFO IM_CONFIG_PHASE LANG LS_COLORS
    LC_ALL LC_TIME VTE_VERSION LESSCLOSE LESSOPEN TERM USER DISPLAY SHLVL MAIL EDITOR VISUAL PAGER HISTSIZE HISTCONTROL HOSTNAME HOSTTYPE OSTYPE MACHTYPE HOST
    PATH DBUS_SESSION_BUS_ADDRESS GDMSESSION OLDPWD _ TMPDIR TZ PROMPT_COMMAND NVM_DIR NVM_BIN NVM_INC NODE_PATH NODE_OPTIONS NODE_ENV NODE_VERSION
    NODE_EXTRA_CA_CERTS HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy all_proxy FTP_PROXY JAVA_HOME GOPATH CARGO_HOME VIRTUAL_ENV
    DEBUG FORCE_COLOR NO_COLOR CLICOLOR COLUMNS LINES MALLOC_ARENA_MAX COMPOSER_HOME COMPOSE_FILE COMPOSE_PROJECT_NAME DOCKER_HOST KUBECONFIG`,
  systemd: `INVOCATION_ID JOURNAL_STREAM NOTIFY_SOCKET LISTEN_PID LISTEN_FDS LISTEN_FDNAMES MAINPID MANAGERPID SYSTEMD_EXEC_PID WATCHDOG_PID WATCHDOG_USEC
    CREDENTIALS_DIRECTORY RUNTIME_DIRECTORY STATE_DIRECTORY CACHE_DIRECTORY LOGS_DIRECTORY CONFIGURATION_DIRECTORY MEMORY_PRESSURE_WATCH`,
  npm: `npm_config_user_agent npm_config_cache npm_config_loglevel npm_config_port npm_config_cost_limit npm_config_node_gyp npm_config_prefix npm_execpath
    npm_lifecycle_event npm_lifecycle_script npm_package_name npm_package_json npm_package_engines_node npm_node_execpath npm_command INIT_CWD
    NPM_CONFIG_LOGLEVEL NPM_TOKEN YARN_VERSION`,
  'a platform': `DYNO WEB_CONCURRENCY REDIS_TLS_URL HEROKU_APP_NAME HEROKU_POSTGRESQL_JADE_URL DATABASE_CONNECTION_POOL_URL RENDER RENDER_SERVICE_ID
    RAILWAY_ENVIRONMENT FLY_APP_NAME FLY_REGION PRIMARY_REGION K_SERVICE K_REVISION GOOGLE_CLOUD_PROJECT AWS_REGION AWS_ACCESS_KEY_ID AWS_SESSION_TOKEN
    AWS_LAMBDA_FUNCTION_NAME ECS_CONTAINER_METADATA_URI AZURE_CLIENT_ID IDENTITY_ENDPOINT IDENTITY_HEADER WEBSITES_PORT WEBSITE_HOSTNAME VCAP_SERVICES
    VCAP_APPLICATION CF_INSTANCE_INDEX CI GITHUB_ACTIONS GITHUB_TOKEN GITHUB_WORKSPACE RUNNER_TEMP GITLAB_CI BUILD_NUMBER JENKINS_URL SENTRY_DSN DD_AGENT_HOST
    DD_ENV DD_TRACE_AGENT_URL NEW_RELIC_LICENSE_KEY VAULT_ADDR VAULT_TOKEN PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE PGDATA POSTGRES_USER POSTGRES_DB
    POSTGRES_PASSWORD REDISCLI_AUTH REDIS_HOST REDIS_PASSWORD SECRET_KEY SECRET_KEY_BASE JWT_SECRET SESSION_SECRET APOLLO_KEY APOLLO_GRAPH_REF
    APOLLO_TELEMETRY_DISABLED APOLLO_SCHEMA_REPORTING`,
  // https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
  OpenTelemetry: `OTEL_RESOURCE_ATTRIBUTES OTEL_LOG_LEVEL OTEL_PROPAGATORS OTEL_BSP_SCHEDULE_DELAY OTEL_BSP_EXPORT_TIMEOUT OTEL_BSP_MAX_QUEUE_SIZE
    OTEL_BSP_MAX_EXPORT_BATCH_SIZE OTEL_TRACES_EXPORTER OTEL_METRICS_EXPORTER OTEL_LOGS_EXPORTER OTEL_EXPORTER_OTLP_HEADERS OTEL_EXPORTER_OTLP_TIMEOUT
    OTEL_EXPORTER_OTLP_PROTOCOL OTEL_EXPORTER_OTLP_COMPRESSION OTEL_EXPORTER_OTLP_CERTIFICATE OTEL_EXPORTER_OTLP_TRACES_HEADERS
    OTEL_EXPORTER_OTLP_TRACES_TIMEOUT OTEL_EXPORTER_OTLP_TRACES_PROTOCOL OTEL_EXPORTER_OTLP_METRICS_ENDPOINT OTEL_EXPORTER_OTLP_LOGS_ENDPOINT
    OTEL_EXPORTER_OTLP_INSECURE OTEL_EXPORTER_ZIPKIN_ENDPOINT OTEL_METRICS_EXEMPLAR_FILTER OTEL_METRIC_EXPORT_INTERVAL OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT
    OTEL_ATTRIBUTE_COUNT_LIMIT OTEL_NODE_RESOURCE_DETECTORS OTEL_NODE_ENABLED_INSTRUMENTATIONS OTEL_SERVICE_VERSION`,
};

/** What Kubernetes tells each container of each service of its namespace (enableServiceLinks, which is on). */
function kubernetes(...services: string[]): Environment {
  return Object.fromEntries(
    services.flatMap((service) => {
      const name = service.toUpperCase().replaceAll('-', '_');
      const port = [`${name}_PORT`, `${name}_PORT_4000_TCP`].map((key) => [key, 'tcp://10.96.3.7:4000']);
      const rest = { ADDR: '10.96.3.7', PORT: '4000', PROTO: 'tcp' };
      return [
        ...port,
        ...Object.entries(rest).map(([key, value]) => [`${name}_PORT_4000_TCP_${key}`, value]),
        [`${name}_SERVICE_HOST`, '10.96.3.7'],
        [`${name}_SERVICE_PORT`, '4000'],
        [`${name}_SERVICE_PORT_METRICS`, '9464'],
      ];
    }),
  ) as Environment;
}

describe.each(Object.keys(programs))('%s says nothing of', (program) => {
  it.each(Object.entries(ENVIRONMENTS))('what is in the environment of %s', (_where, names) => {
    expect(
      told(
        program,
        Object.fromEntries(
          names
            .trim()
            .split(/\s+/)
            .map((name) => [name, 'x']),
        ),
      ),
    ).toEqual([]);
  });

  it('the services of a namespace in Kubernetes, whatever they are called', () => {
    const env = kubernetes(
      'kubernetes',
      'users',
      'posts',
      'gateway',
      'redis',
      'subgraph-users',
      'supergraph',
      'metric',
      'cost-limit',
    );
    expect(told(program, env)).toEqual([]);
  });

  it('settings of the other programs, where one environment is for all of them', () => {
    const every = [...GATEWAY_HEEDS.names, ...Object.values(services).flatMap((one) => Object.keys(one))];
    const all = [...every, ...Object.keys(startSettings), 'SUBGRAPH_URL_A', 'ASSERTION_SECRET_POSTS', 'LOG_LEVEL'];
    // These it says: they would be taken for what it does.
    const said = program === 'npm start' ? ['WORKERS', 'IDENTITY', 'JWKS_URL', 'ENDED_SESSIONS_URL'] : [];
    expect(told(program, Object.fromEntries(all.map((name) => [name, 'x']))).toSorted()).toEqual(said.toSorted());
  });
});

const compose = readFileSync('docker-compose.yml', 'utf8');
const optional = variablesOf(compose, 'optional');

it.each(['left out', 'all there'])(
  'our own docker-compose.yml sets no variable that nothing heeds, with what may be %s',
  (which) => {
    const some = which === 'all there' ? Object.fromEntries([...optional].map((name) => [name, 'x'])) : {};
    const file = readCompose(compose, { ...some, ...secretsFor(variablesOf(compose)) });
    const image = {
      PATH: 'x',
      HOSTNAME: 'x',
      HOME: '/',
      NODE_VERSION: '24',
      YARN_VERSION: '1',
      NODE_ENV: 'production',
    };
    const ours = Object.entries(file.services).flatMap(([name, { command, environment }]) => {
      const program = /^dist\/(?:subgraphs\/(\w+)|(gateway))\/main\.js$/.exec(command?.[1] ?? '');
      return program ? [[name, program[1] ?? program[2]!, environment] as const] : [];
    });
    expect(ours.map(([name]) => name)).toEqual(['users', 'posts', 'followers', 'gateway-1', 'gateway-2']);
    for (const [name, program, environment] of ours)
      expect([name, told(program, { ...image, ...environment })]).toEqual([name, []]);
    // Control: one letter less in it.
    const [, program, environment] = ours.at(-1)!;
    expect(told(program, { ...environment, RATE_LIMIT_PERSN: '60000' })).toEqual(['RATE_LIMIT_PERSN']);
  },
);

it('what is set for a program that heeds it elsewhere is told with what holds here', () => {
  const says = (program: string, env: Environment) => unheededIn(env, programs[program]!(env)).map((one) => one.says);
  expect(says('npm start', { WORKERS: '4' })).toEqual([expect.stringMatching(/^WORKERS is not heeded by npm start: /)]);
  expect(says('npm start', { WORKERS: '1' })).toEqual([]);
  expect(says('gateway', { WORKERS: '4', IDENTITY: 'off' })).toEqual([]);
  expect(says('npm start', { IDENTITY: 'off' })).toEqual([
    expect.stringMatching(/^IDENTITY is not heeded by npm start: /),
  ]);
  expect(says('npm start', { IDENTITY: 'jwt' })).toEqual([]);
  expect(says('npm start', { SUBGRAPH_URL_USERS: 'http://users/' })).toEqual([
    'SUBGRAPH_URL_USERS is not heeded by npm start: it asks the services that it starts (docs/settings.md)',
  ]);
  expect(says('users', { USERS_DATABASE_URL: 'postgres://u' })).toEqual([
    expect.stringMatching(/^USERS_DATABASE_URL is not heeded by users: users alone takes DATABASE_URL/),
  ]);
  expect(says('users', { USERS_DATABASE_URL: 'postgres://u', DATABASE_URL: 'postgres://u' })).toEqual([]);
});
