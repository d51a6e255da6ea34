import type { Environment, Settings } from '#libs/settings';
import { readCommandSettings, startSettings } from '../../commands/databases.js';
import { gatewaySettings, readGatewayConfig } from '../../gateway/config.js';
import { followersSettings, readFollowersConfig } from '../../subgraphs/followers/config.js';
import { postsSettings, readPostsConfig } from '../../subgraphs/posts/config.js';
import { readUsersConfig, usersSettings } from '../../subgraphs/users/config.js';
import { sealingSettings } from '../../subgraphs/users/sealing.js';
import type { ComposeFile, ComposeService } from './compose-file.js';

interface Program {
  readonly settings: Settings;
  /** Open families of names, as their beginnings; what follows has to be a service of the file. */
  readonly families: readonly string[];
  read(env: Environment): unknown;
}

/** Every program of the image by the file that its command starts. */
export const PROGRAMS: Readonly<Record<string, Program>> = {
  'dist/gateway/main.js': {
    settings: gatewaySettings,
    families: ['SUBGRAPH_URL_', 'ASSERTION_SECRET_'],
    read: readGatewayConfig,
  },
  'dist/subgraphs/users/main.js': { settings: usersSettings, families: [], read: readUsersConfig },
  'dist/subgraphs/posts/main.js': { settings: postsSettings, families: [], read: readPostsConfig },
  'dist/subgraphs/followers/main.js': { settings: followersSettings, families: [], read: readFollowersConfig },
  // As the other commands that are run in its place, of which seed reads the keys of users.
  'dist/commands/reconcile.js': {
    settings: { ...startSettings, ...sealingSettings },
    families: [],
    read: readCommandSettings,
  },
};

/** What every program reads before it has settings. */
export const EVERYBODY = ['LOG_LEVEL'];

/** What the images that are not ours read. */
const FOREIGN: Readonly<Record<string, readonly string[]>> = {
  postgres: ['POSTGRES_USER', 'POSTGRES_DB', 'POSTGRES_PASSWORD'],
  redis: ['REDISCLI_AUTH'],
  haproxy: [],
  'prom/prometheus': [],
  'jaegertracing/all-in-one': ['COLLECTOR_OTLP_ENABLED', 'MEMORY_MAX_TRACES'],
  'grafana/grafana': [
    'GF_AUTH_ANONYMOUS_ENABLED',
    'GF_AUTH_DISABLE_LOGIN_FORM',
    'GF_AUTH_BASIC_ENABLED',
    'GF_ANALYTICS_REPORTING_ENABLED',
  ],
};

/** Everything that is wrong with what the services are told, as sentences. */
export function mistakesIn(file: ComposeFile): string[] {
  return Object.entries(file.services).flatMap(([name, service]) => {
    const program = programOf(service);
    return [
      ...Object.keys(service.environment)
        .filter((variable) => !isKnown(variable, service, file))
        .map((variable) => `${name} is given ${variable}, which it does not read`),
      ...(program ? refused(name, () => program.read(service.environment)) : []),
      ...addressesOf(service.environment)
        .filter(({ host, port }) => !listens(file, host, port))
        .map(({ variable, host, port }) => `${name} has ${variable} at ${host}:${port}, where no service listens`),
      ...Object.keys(service.depends_on)
        .filter((other) => file.services[other]?.healthcheck === undefined)
        .map((other) => `${name} waits for ${other}, which has no health`),
    ];
  });
}

export function programOf({ command }: ComposeService): Program | undefined {
  return command?.[0] === 'node' ? PROGRAMS[command[1] ?? ''] : undefined;
}

/** `postgres://users:…@users-db:5432/users` and the like among an environment's values. */
export function addressesOf(env: Environment): { variable: string; host: string; port: number }[] {
  return Object.entries(env).flatMap(([variable, value = '']) => {
    if (!/^[a-z]+:\/\//.test(value)) return [];
    const { hostname, port } = new URL(value);
    return [{ variable, host: hostname, port: Number(port) }];
  });
}

function isKnown(variable: string, service: ComposeService, file: ComposeFile): boolean {
  const program = programOf(service);
  if (program === undefined) return FOREIGN[service.image.split(':')[0] ?? '']?.includes(variable) ?? false;
  const inFamily = program.families.some((family) => {
    const rest = variable.startsWith(family) ? variable.slice(family.length) : '';
    return file.services[rest.toLowerCase()] !== undefined;
  });
  return Object.hasOwn(program.settings, variable) || inFamily || EVERYBODY.includes(variable);
}

const PORTS: Readonly<Record<string, number>> = { postgres: 5432, redis: 6379, 'jaegertracing/all-in-one': 4318 };

function listens(file: ComposeFile, host: string, port: number): boolean {
  const service = file.services[host];
  if (service === undefined) return false;
  return port === Number(service.environment['PORT'] ?? PORTS[service.image.split(':')[0] ?? '']);
}

function refused(name: string, read: () => unknown): string[] {
  try {
    read();
    return [];
  } catch (error) {
    return [`${name} does not start: ${error instanceof Error ? error.message : String(error)}`];
  }
}
