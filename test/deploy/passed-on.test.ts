import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { ROOT } from '../../commands/root.js';
import { readGatewayConfig } from '../../gateway/config.js';
import { readPostsConfig } from '../../subgraphs/posts/config.js';
import { readUsersConfig } from '../../subgraphs/users/config.js';
import { readCompose, variablesOf } from './compose-file.js';
import { secretsFor } from './secrets.js';
import { EVERYBODY, programOf } from './wiring.js';

const text = readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8');
const running = readFileSync(join(ROOT, 'docs/running.md'), 'utf8');
const secrets = secretsFor(variablesOf(text));

/** What docs/running.md names and a line of .env does not change, with why. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  HOST: 'in a container it is every interface',
  PORT: 'is where the others look for it',
  SUPERGRAPH: 'is the image’s',
  DATABASE_URL: 'leads to the database of the file, by its password',
  DATABASE_REPLICA_URLS: 'leads to servers that are not in the file, each service to its own',
  REDIS_URL: 'leads to the Redis of the file, by its password',
  ASSERTION_SECRET: 'is ASSERTION_SECRET_<NAME> there, so that the gateway and the service have one line',
  JWKS_URL: 'leads to users',
  ENDED_SESSIONS_URL: 'leads to users',
  IDENTITY: 'goes with JWKS_URL',
  TOKEN_ISSUER: 'goes with JWKS_URL',
  TOKEN_AUDIENCE: 'goes with JWKS_URL',
  TOKEN_ALGORITHMS: 'goes with JWKS_URL',
  TOKEN_TYPE: 'goes with JWKS_URL',
  SUBGRAPH_TLS_CA:
    'is a file that containers would have to see; services of the file speak plain HTTP on networks of their own',
  SUBGRAPH_TLS_CERT: 'as SUBGRAPH_TLS_CA',
  SUBGRAPH_TLS_KEY: 'as SUBGRAPH_TLS_CA',
  OTEL_EXPORTER_OTLP_ENDPOINT: 'leads to the Jaeger of the file',
  METRICS_PORT: 'is where deploy/prometheus.yml asks',
  METRICS_TOKEN: 'deploy/prometheus.yml would have to say it too; that port is on internal networks only',
  WORKERS: 'and METRICS_PORT exclude each other',
  NODE_ENV: 'is the image’s',
  DATA_DIR: 'is of embedded databases',
  DRAIN_MS: 'goes with stop_grace_period and how often deploy/haproxy.cfg looks',
  CONNECTIONS_MAX: 'goes with ulimits and deploy/haproxy.cfg',
};

/** Names that are settings of a program of the compose file, that `page` tells of, and that no line of .env changes there. */
function notPassedOn(compose: string, page: string): string[] {
  const named = new Set(page.match(/\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*\b/g));
  const raw = parse(compose, { merge: true }) as { services: Record<string, { environment?: Record<string, string> }> };
  return Object.entries(readCompose(compose, secrets).services).flatMap(([name, service]) => {
    const program = service.profiles ? undefined : programOf(service);
    if (program === undefined) return [];
    return [...Object.keys(program.settings), ...EVERYBODY]
      .filter((setting) => named.has(setting) && !Object.hasOwn(ELSEWHERE, setting))
      .filter((setting) => !new RegExp(`^\\$\\{${setting}:[-?]`).test(raw.services[name]!.environment?.[setting] ?? ''))
      .map((setting) => `${name} has no ${setting} of .env`);
  });
}

describe('.env', () => {
  it('changes every setting that docs/running.md speaks of, or that page’s reader would write lines that do nothing', () => {
    expect(notPassedOn(text, running)).toEqual([]);
    for (const setting of Object.keys(ELSEWHERE)) expect(running).toMatch(new RegExp(`\\b${setting}\\b`));
  });

  it('control: a line that is taken away, and one more name on the page, are found', () => {
    const planted = text.replace(/^ {4}SAFELIST: .*\n/m, '');
    expect(notPassedOn(planted, running)).toEqual(
      ['gateway-1', 'gateway-2'].map((one) => `${one} has no SAFELIST of .env`),
    );
    expect(notPassedOn(text.replace('${SIGNING_KEY_BEFORE:-}', 'fixed'), running)).toEqual([
      'users has no SIGNING_KEY_BEFORE of .env',
    ]);
    expect(notPassedOn(text, 'Raise `TIMELINE_LENGTH`.')).toEqual(['posts has no TIMELINE_LENGTH of .env']);
  });

  it('reaches the programs, as whoever is attacked needs it', () => {
    const { services } = readCompose(text, {
      ...secrets,
      COST_LIMIT: '2000',
      RATE_LIMIT_ADDRESS: '5000',
      SAFELIST: 'on',
      PERSISTED_DOCUMENTS: 'deploy/documents/documents.json',
      SIGNING_KEY_BEFORE: secretsFor(['SIGNING_KEY'])['SIGNING_KEY'],
      LOG_IN_TRIES: '3',
      TIMED_ASSERTIONS: 'take',
      ENTITY_CACHE: 'on',
    });
    for (const name of ['gateway-1', 'gateway-2'])
      expect(readGatewayConfig(services[name]!.environment)).toMatchObject({
        COST_LIMIT: 2_000,
        RATE_LIMIT_ADDRESS: 5_000,
        SAFELIST: 'on',
        PERSISTED_DOCUMENTS: 'deploy/documents/documents.json',
        ENTITY_CACHE: 'on',
      });
    const users = readUsersConfig(services['users']!.environment);
    expect(users).toMatchObject({ LOG_IN_TRIES: 3, TIMED_ASSERTIONS: 'take', ENTITY_CACHE: 'on' });
    expect(users.SIGNING_KEY_BEFORE).toBeDefined();
    expect(readPostsConfig(services['posts']!.environment)).toMatchObject({ TIMED_ASSERTIONS: 'take' });
  });

  it('says nothing by an empty line: what holds then is the program’s own, but for budgets and the door', () => {
    const empty = Object.fromEntries([...variablesOf(text, 'optional')].map((name) => [name, '']));
    const { services } = readCompose(text, { ...secrets, ...empty });
    expect(services).toEqual(readCompose(text, secrets).services);
    for (const service of Object.values(services)) {
      const { settings = {}, read } = programOf(service) ?? {};
      const optional = Object.keys(service.environment).filter((name) => name in settings && name in empty);
      const without = Object.entries(service.environment).filter(([name]) => !optional.includes(name));
      const [given, byItself] = [service.environment, Object.fromEntries(without)].map(
        (env) => read?.(env) as Record<string, unknown> | undefined,
      );
      const other = optional.filter((name) => given?.[name] !== byItself?.[name] && typeof given?.[name] !== 'object');
      expect(other.toSorted()).toEqual(
        optional.includes('COST_LIMIT')
          ? ['RATE_LIMIT_ADDRESS', 'RATE_LIMIT_ADDRESS_PEOPLE', 'RATE_LIMIT_PERSON', 'TRUSTED_PROXIES']
          : [],
      );
    }
  });

  it('is given documents by a folder that both see under one path', () => {
    const { WORKDIR } = /^WORKDIR (?<WORKDIR>\S+)$/m.exec(readFileSync(join(ROOT, 'Dockerfile'), 'utf8'))!.groups!;
    for (const name of ['gateway-1', 'gateway-2'])
      expect(readCompose(text, secrets).services[name]!.volumes).toEqual([
        `./deploy/documents:${WORKDIR}/deploy/documents:ro`,
      ]);
  });
});
