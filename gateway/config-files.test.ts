import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SettingsError } from '#libs/settings';
import { silent } from '#libs/telemetry';
import { selfSigned } from '../test/servers/self-signed.js';
import { mistakesInFiles, missingSecrets } from './config-files.js';
import { readGatewayConfig } from './config.js';
import { tlsOf } from './identities.js';

const [one, two] = [selfSigned('one'), selfSigned('two')];
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const encrypted = privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'hunter2' });

/** As composition writes it, as far as it tells who is asked. */
const SUPERGRAPH = `
  schema @link(url: "https://specs.apollo.dev/link/v1.0") @link(url: "https://specs.apollo.dev/join/v0.5") { query: Query }
  enum join__Graph { USERS @join__graph(name: "users", url: "http://users/") MY_POSTS @join__graph(name: "my-posts", url: "") }
  type Query { a: Int }`;

let folder: string;
const file = (name: string): string => join(folder, name);
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'settings-files-'));
  const files: Record<string, string | Buffer> = {
    'one.pem': one.cert,
    'one.key': one.key,
    'two.key': two.key,
    'encrypted.key': encrypted,
    'cut.pem': one.cert.slice(0, -60),
    'text.pem': 'no certificate',
    'documents.json': '{"id":"{me{id}}"}',
    'wrong.json': '{"id":1}',
    'graph.graphql': SUPERGRAPH,
    'policies.mjs': 'throw new Error("not run yet");',
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(file(name), text);
});
afterAll(() => rmSync(folder, { recursive: true }));

function mistakes(
  env: Record<string, string>,
  more: Parameters<typeof readGatewayConfig>[1] = mistakesInFiles,
): readonly string[] {
  try {
    readGatewayConfig({ SUPERGRAPH: 'graph', ...env }, more);
    return [];
  } catch (error) {
    expect(error).toBeInstanceOf(SettingsError);
    return (error as SettingsError).mistakes;
  }
}

describe('files that settings name', () => {
  it('are looked into, and good ones are no mistake; a module is not run for it', () => {
    const env = {
      SUBGRAPH_TLS_CA: file('one.pem'),
      SUBGRAPH_TLS_CERT: file('one.pem'),
      SUBGRAPH_TLS_KEY: file('one.key'),
      PERSISTED_DOCUMENTS: file('documents.json'),
      POLICY_MODULE: file('policies.mjs'),
    };
    expect(mistakes(env)).toEqual([]);
  });

  it.each<[string, Record<string, string>, string]>([
    ['CA', { CA: 'gone.pem' }, 'a file of PEM certificates; came "/gone.pem", which is not there'],
    ['CA', { CA: '.' }, 'a file of PEM certificates; came "/.", which is a folder'],
    ['CA', { CA: 'text.pem' }, 'a file of PEM certificates; came "/text.pem", which holds none that can be used'],
    ['CA', { CA: 'cut.pem' }, 'a file of PEM certificates; came "/cut.pem", which holds none that can be used'],
    ['CERT', { CERT: 'one.key', KEY: 'one.key' }, 'a file with a PEM certificate; came "/one.key", which holds none'],
    ['KEY', { CERT: 'one.pem', KEY: 'one.pem' }, 'a file with a PEM key; came "/one.pem", which holds none'],
    [
      'KEY',
      { CERT: 'one.pem', KEY: 'encrypted.key' },
      'a file with a PEM key; came "/encrypted.key", which holds one that is encrypted',
    ],
    [
      'KEY',
      { CERT: 'one.pem', KEY: 'two.key' },
      'the key of SUBGRAPH_TLS_CERT; came "/two.key", which is that of another one',
    ],
  ])('SUBGRAPH_TLS_%s that is wrong is one sentence: %j', (name, files, says) => {
    const env = Object.fromEntries(
      Object.entries(files).map(([which, path]) => [`SUBGRAPH_TLS_${which}`, `${folder}/${path}`]),
    );
    const expected = `SUBGRAPH_TLS_${name} takes ${says.replace('"/', `"${folder}/`)}`;
    expect(mistakes(env)).toEqual([expect.stringContaining(expected)]);
    // Also where nobody looked before: it is a mistake in the settings, not one of ours with a stack.
    const config = readGatewayConfig({ SUPERGRAPH: 'graph', ...env });
    expect(() => tlsOf(config, silent)).toThrow(SettingsError);
  });

  it('are told all at once, with what is wrong in the settings themselves; control: by the settings alone nothing is wrong with them', () => {
    const env = {
      SUBGRAPH_TLS_CA: file('gone.pem'),
      SUBGRAPH_TLS_CERT: file('text.pem'),
      SUBGRAPH_TLS_KEY: file('gone.key'),
      PERSISTED_DOCUMENTS: file('gone.json'),
      POLICY_MODULE: file('gone.mjs'),
      COST_LIMIT: 'many',
    };
    const names = (all: readonly string[]) => all.map((mistake) => /^\w+/.exec(mistake)![0]);
    expect(names(mistakes(env)).toSorted()).toEqual(Object.keys(env).toSorted());
    expect(names(mistakes(env, () => []))).toEqual(['COST_LIMIT']);
    expect(mistakes({ PERSISTED_DOCUMENTS: file('wrong.json') })).toEqual([
      expect.stringMatching(
        /^PERSISTED_DOCUMENTS has to be a file that `npm run documents` wrote; came .*is not a text/,
      ),
    ]);
  });
});

describe('secrets of subgraphs', () => {
  const jwt = { IDENTITY: 'jwt', JWKS_URL: 'http://users/keys' };
  const of = (env: Record<string, string>) =>
    mistakes({ ...jwt, SUPERGRAPH: file('graph.graphql'), ...env }, missingSecrets);
  const secret = randomBytes(32).toString('hex');

  it('that are missing are told, each by its name, before anything is started', () => {
    expect(of({})).toHaveLength(2);
    expect(of({ ASSERTION_SECRET_USERS: secret })).toEqual([
      'ASSERTION_SECRET_MY_POSTS is needed with IDENTITY=jwt: the supergraph has a subgraph "my-posts"; give what that service has for ASSERTION_SECRET (openssl rand -hex 32)',
    ]);
    expect(of({ ASSERTION_SECRET_USERS: secret, ASSERTION_SECRET_MY_POSTS: secret })).toEqual([]);
  });

  it('are not looked for where nobody is told who asks, or the supergraph comes later or cannot be used; control: by the settings alone none is missing', () => {
    expect(mistakes({ SUPERGRAPH: file('graph.graphql') }, missingSecrets)).toEqual([]);
    for (const SUPERGRAPH of [file('gone.graphql'), file('text.pem'), 'http://registry/graph'])
      expect(of({ SUPERGRAPH })).toEqual([]);
    expect(mistakes({ ...jwt, SUPERGRAPH: file('graph.graphql') })).toEqual([]);
  });
});
