import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** One installed copy of a package, as package-lock.json records it. */
export interface Locked {
  /** Where it is installed: `node_modules/a/node_modules/b`. */
  readonly path: string;
  readonly name: string;
  readonly version: string;
  readonly license: string | undefined;
  readonly integrity: string | undefined;
  readonly resolved: string | undefined;
  readonly dev: boolean;
  readonly hasInstallScript: boolean;
}

interface Entry {
  readonly version?: string;
  readonly license?: string;
  readonly integrity?: string;
  readonly resolved?: string;
  readonly dev?: boolean;
  readonly hasInstallScript?: boolean;
}

export function locked(file: string): Locked[] {
  const { packages } = JSON.parse(readFileSync(file, 'utf8')) as { packages: Record<string, Entry> };
  return Object.entries(packages)
    .filter(([path]) => path !== '')
    .map(([path, entry]) => ({
      path,
      name: path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length),
      version: entry.version ?? '',
      license: entry.license,
      integrity: entry.integrity,
      resolved: entry.resolved,
      dev: entry.dev === true,
      hasInstallScript: entry.hasInstallScript === true,
    }));
}

/** The lowest version that has no known hole, by the advisories named; every copy in the lockfile has to reach it. */
export const FLOORS: Readonly<Record<string, { readonly atLeast: string; readonly because: string }>> = {
  '@apollo/gateway': { atLeast: '2.13.2', because: 'CVE-2026-32621, prototype pollution by aliases' },
  '@apollo/query-planner': { atLeast: '2.13.2', because: 'CVE-2025-32030, CVE-2025-32031, CVE-2026-32621' },
  '@apollo/federation-internals': { atLeast: '2.13.2', because: 'CVE-2026-32621' },
  '@apollo/composition': { atLeast: '2.13.2', because: 'CVE-2025-64530, access directives on interfaces' },
  '@apollo/server': { atLeast: '5.5.0', because: 'GHSA-9q82-xgwf-vj6h, CVE-2026-23897' },
  graphql: { atLeast: '16.15.0', because: 'CVE-2023-26144 (16.8.1), and the parser limits of 16.15' },
  '@graphql-tools/utils': { atLeast: '12.0.2', because: 'CVE-2026-104852, CVE-2026-114604' },
  typeorm: { atLeast: '1.0.0', because: 'CVE-2022-33171, and the identifiers of 1.0' },
  jose: { atLeast: '6.0.0', because: 'GHSA-hhhv-q57g-882q, GHSA-jv3g-j58f-9mq9' },
  ioredis: { atLeast: '4.27.8', because: 'SNYK-JS-IOREDIS-1567196' },
  'body-parser': { atLeast: '2.4.0', because: 'charset tricks that 2.3 accepts' },
  '@nestjs/common': { atLeast: '11.0.16', because: 'CVE-2024-29409' },
  '@nestjs/core': { atLeast: '11.1.18', because: 'CVE-2026-35515, lines into server-sent events' },
  '@nestjs/platform-fastify': {
    atLeast: '12.0.2',
    because:
      'GHSA-9c5c-9qcx-q35q, CVE-2025-69211, CVE-2026-2293, CVE-2026-33011, CVE-2026-54281: middleware is passed by',
  },
  fastify: {
    atLeast: '5.12.2',
    because: 'GHSA-p68q-wchp-6fh7, GHSA-hwr6-493r-vm6h; CVE-2026-25223, CVE-2026-33806, validation by content type',
  },
  '@fastify/middie': { atLeast: '9.3.4', because: 'GHSA-hx87-8wv7-pjv8, CVE-2026-2880, CVE-2026-6270' },
  'node-fetch': { atLeast: '2.6.7', because: 'CVE-2022-0235' },
};

/** Licences under which somebody may offer this as a service; the Elastic License is named by package below. */
const FREE =
  /^\(?(MIT|ISC|0BSD|BSD-[23]-Clause|Apache-2\.0|BlueOak-1\.0\.0|Unicode-3\.0|PostgreSQL)( (AND|OR) [\w.-]+)*\)?$/;
const ELASTIC = ['composition', 'federation-internals', 'gateway', 'query-graphs', 'query-planner', 'subgraph'].map(
  (name) => `@apollo/${name}`,
);

/**
 * Packages that would run a script of their own when installed. All of them work without it, which is what
 * `npm ci --ignore-scripts` in `.ci/run` and the Dockerfile shows; another one is looked at before it is added here.
 */
const SCRIPTED: readonly string[] = [
  '@apollo/protobufjs',
  '@parcel/watcher',
  '@swc/core',
  'protobufjs',
  'unrs-resolver',
];

/** What is wrong with a lockfile, one sentence a finding. */
export function lint(packages: readonly Locked[]): string[] {
  return packages.flatMap(({ path, name, version, ...entry }) => {
    const found: string[] = [];
    const floor = FLOORS[name];
    if (floor && isBelow(version, floor.atLeast))
      found.push(`${path} is ${version}, expected at least ${floor.atLeast}: ${floor.because}`);
    if (entry.resolved !== undefined)
      found.push(`${path} records where it was downloaded; npm i with our .npmrc does not`);
    if (!entry.integrity?.startsWith('sha512-')) found.push(`${path} has no SHA-512 of its content`);
    if (!entry.dev && !FREE.test(entry.license ?? '') && !(entry.license === 'Elastic-2.0' && ELASTIC.includes(name)))
      found.push(`${path} is under ${entry.license ?? 'no licence'}, which nobody has looked at`);
    if (entry.hasInstallScript && !SCRIPTED.includes(name))
      found.push(`${path} runs a script when installed, which nobody has looked at`);
    return found;
  });
}

/** By number, part by part; a pre-release is below its release. */
export function isBelow(version: string, floor: string): boolean {
  const [have, want] = [version, floor].map((text) => text.split('-')[0]!.split('.').map(Number));
  const at = want!.findIndex((part, index) => have![index] !== part);
  return at === -1 ? version.includes('-') && !floor.includes('-') : !(have![at]! > want![at]!);
}

/** What is in node_modules in another version than was locked. What is for other machines, or for tests, may be absent. */
export function otherwiseInstalled(packages: readonly Locked[], root: string): string[] {
  return packages.flatMap(({ path, version }) => {
    const file = join(root, path, 'package.json');
    if (!existsSync(file)) return [];
    const installed = (JSON.parse(readFileSync(file, 'utf8')) as { version?: string }).version ?? 'none';
    return installed === version ? [] : [`${path} is installed in version ${installed}, and ${version} was locked`];
  });
}

/** No package runs a script when it is installed, and none is taken before others had a week to look at it. */
const NPMRC: readonly string[] = ['ignore-scripts=true', 'min-release-age=7'];

/** Which of these lines a .npmrc does not have. */
export function missingIn(npmrc: string): string[] {
  const lines = npmrc.split('\n');
  return NPMRC.filter((line) => !lines.includes(line));
}
