import { describe, expect, it } from '@jest/globals';
import { availableParallelism } from 'node:os';
import { whyNotListening } from '#libs/lifecycle';
import { SettingsError } from '#libs/settings';
import { gatewaySettings, readGatewayConfig, secretVariableOf } from './config.js';

const base = { SUPERGRAPH: 'supergraph.graphql' };

describe('the gateway’s settings', () => {
  it('have defaults for everything but where the graph is', () => {
    const config = readGatewayConfig(base);
    expect(config).toMatchObject({
      HOST: '127.0.0.1',
      PORT: 4000,
      IDENTITY: 'off',
      introspection: true,
      playground: true,
      FORWARD_HEADERS: [],
    });
    expect(config.limits).toEqual({
      tokens: 2_000,
      depth: 10,
      aliases: 30,
      aliasLength: 100,
      rootFields: 20,
      directives: 50,
      selections: 1_000,
      items: 20_000,
      valueDepth: 20,
    });
  });

  it('in production, and where others reach it, neither introspection nor playground, unless they are asked for', () => {
    expect(readGatewayConfig({ ...base, NODE_ENV: 'production' })).toMatchObject({
      introspection: false,
      playground: false,
    });
    expect(readGatewayConfig({ ...base, NODE_ENV: 'production', INTROSPECTION: 'on', PLAYGROUND: 'on' })).toMatchObject(
      { introspection: true, playground: true },
    );
    // Who is reached from elsewhere is as good as in production, also where nobody thought of saying so.
    for (const reached of [{ HOST: '0.0.0.0' }, { HOST: '::' }, { HOST: '10.0.0.7' }, { TRUSTED_PROXIES: '1' }]) {
      const { introspection, playground, explain } = readGatewayConfig({ ...base, ...reached });
      expect([introspection, playground, explain.who]).toEqual([false, false, 'nobody']);
    }
    for (const HOST of ['localhost', '127.0.0.1', '127.1.2.3', '::1'])
      expect(readGatewayConfig({ ...base, HOST })).toMatchObject({ introspection: true, playground: true });
    expect(readGatewayConfig({ ...base, INTROSPECTION: 'off', PLAYGROUND: 'off' })).toMatchObject({
      introspection: false,
      playground: false,
    });
  });

  it('name services to compose, their addresses and their secrets', () => {
    const config = readGatewayConfig({
      SUBGRAPHS: ' users=http://a/graphql, my-posts=https://b/graphql',
      SUBGRAPH_URL_MY_POSTS: 'http://c/graphql',
      ASSERTION_SECRET_MY_POSTS: 'x'.repeat(32),
    });
    expect(config.services).toEqual([
      { name: 'users', url: 'http://a/graphql' },
      { name: 'my-posts', url: 'https://b/graphql' },
    ]);
    expect([config.addressOf('my-posts'), config.addressOf('users')]).toEqual(['http://c/graphql', undefined]);
    expect([config.secretOf('my-posts'), config.secretOf('users')]).toEqual(['x'.repeat(32), undefined]);
    expect(secretVariableOf('my-posts')).toBe('ASSERTION_SECRET_MY_POSTS');
  });

  it('ask no link-local address that a supergraph names, unless it is listed; what an operator has composed is asked', () => {
    const metadata = new URL('http://169.254.169.254/');
    const mayAsk = (env: Record<string, string>) => readGatewayConfig(env).mayAsk(metadata);
    expect(mayAsk(base)).toBe(false);
    expect(mayAsk({ ...base, SUBGRAPH_HOSTS: 'posts, 169.254.169.254' })).toBe(true);
    expect(mayAsk({ SUBGRAPHS: 'a=http://169.254.169.254/' })).toBe(true);
    expect(mayAsk({ SUBGRAPHS: 'a=http://169.254.169.254/', SUBGRAPH_HOSTS: 'posts' })).toBe(false);
  });

  it('take one process, so many, or one for each core', () => {
    const workers = (WORKERS?: string) => readGatewayConfig({ ...base, ...(WORKERS && { WORKERS }) }).workers;
    expect([workers(), workers('3'), workers('auto')]).toEqual([1, 3, Math.min(availableParallelism(), 256)]);
    for (const none of ['0', '257', '1.5', 'all', '-1'])
      expect(() => workers(none)).toThrow('WORKERS takes auto, or a whole number, 1 to 256');
  });

  it.each<[string, Record<string, string>, string]>([
    ['no graph', {}, 'neither came'],
    ['two graphs', { ...base, SUBGRAPHS: 'a=http://a/' }, 'exclude each other'],
    ['a pair without a name', { SUBGRAPHS: 'http://a/' }, 'name=address pairs'],
    ['a name twice', { SUBGRAPHS: 'a=http://a/,a=http://b/' }, 'names a more than once'],
    [
      'a service in a file',
      { SUBGRAPHS: 'a=file:///etc/passwd' },
      'the address of a takes an address that begins with http: or https:; came file:',
    ],
    [
      'a password in an address',
      { ...base, SUBGRAPH_URL_A: 'http://u:hunter2@a/' },
      'SUBGRAPH_URL_A carries a user name or password (not shown)',
    ],
    ['tokens and no keys', { ...base, IDENTITY: 'jwt' }, 'JWKS_URL is needed with IDENTITY=jwt'],
    [
      'a secret that anybody would try first, in production',
      { ...base, ASSERTION_SECRET_A: 'changeme'.repeat(4), NODE_ENV: 'production' },
      'ASSERTION_SECRET_A takes at least 32 characters that nobody can guess (openssl rand -hex 32); came a short text again and again (not shown), which NODE_ENV=production refuses',
    ],
    [
      'a password in the address of keys',
      { ...base, IDENTITY: 'jwt', JWKS_URL: 'http://u:hunter2@a/keys' },
      'JWKS_URL carries a user name or password (not shown)',
    ],
    ['a short secret', { ...base, ASSERTION_SECRET_A: 'hunter2' }, 'ASSERTION_SECRET_A takes at least 32 characters'],
    [
      'an identity header to forward',
      { ...base, FORWARD_HEADERS: 'x-tenant,X-User-Id' },
      'FORWARD_HEADERS cannot name X-User-Id: it tells who asks',
    ],
    [
      'a hop-by-hop header to forward',
      { ...base, FORWARD_RESPONSE_HEADERS: 'connection' },
      'FORWARD_RESPONSE_HEADERS cannot name connection',
    ],
    [
      'credentials for everybody',
      { ...base, CORS_ORIGINS: '*', CORS_CREDENTIALS: 'true' },
      'CORS_CREDENTIALS=true takes named CORS_ORIGINS',
    ],
    [
      'an origin without its scheme',
      { ...base, CORS_ORIGINS: 'example.com' },
      'CORS_ORIGINS cannot name "example.com": browsers say scheme and host, in lower case and nothing after it: https://example.com',
    ],
    ['an origin with a path', { ...base, CORS_ORIGINS: 'https://a.example,https://b.example/' }, ': https://b.example'],
    ['an origin in capitals', { ...base, CORS_ORIGINS: 'HTTPS://C.example' }, ': https://c.example'],
    ['an origin with a password', { ...base, CORS_ORIGINS: 'https://u:hunter2@a.example' }, ': https://a.example'],
    ['a pattern of origins', { ...base, CORS_ORIGINS: 'https://*.example' }, 'name each origin'],
    ['a limit switched off', { ...base, APOLLO_DISABLE_SECURITY_RECURSIVE_SELECTIONS_CHECK: 'true' }, 'unset it'],
    [
      'headers that may take longer than the whole',
      { ...base, HEADERS_TIMEOUT_MS: '20000' },
      'ARRIVAL_TIMEOUT_MS takes at least HEADERS_TIMEOUT_MS (20000)',
    ],
    [
      'one port for two things',
      { ...base, METRICS_PORT: '4000' },
      'METRICS_PORT takes another port than PORT, for each is listened on by itself; both are 4000',
    ],
    ['a level that no log has', { ...base, LOG_LEVEL: 'verbose' }, 'LOG_LEVEL takes one of trace, debug, info, '],
    ['a limit beyond its range', { ...base, LIMIT_DEPTH: '1000' }, 'LIMIT_DEPTH takes a whole number, 1 to 100'],
  ])('refuse %s, and say what to do', (_name, env, says) => {
    expect(() => readGatewayConfig(env)).toThrow(SettingsError);
    expect(() => readGatewayConfig(env)).toThrow(says);
    expect(() => readGatewayConfig(env)).not.toThrow(/hunter2/);
  });

  it('take origins as browsers say them, also those of apps', () => {
    const origins = [
      'https://a.example',
      'http://localhost:5173',
      'http://[::1]',
      'capacitor://localhost',
      'null',
      '*',
    ];
    expect(readGatewayConfig({ ...base, CORS_ORIGINS: origins.join(',') }).cors.origins).toEqual(origins);
  });

  it('that name a port are all named where one is taken', () => {
    const says = whyNotListening({ code: 'EADDRINUSE', syscall: 'listen', port: 4000 })!;
    const ports = Object.entries(gatewaySettings).filter(([, { takes }]) => takes.startsWith('a port'));
    expect(says.match(/\b[A-Z_]*PORT\b/g)).toEqual(expect.arrayContaining(ports.map(([name]) => name)));
    expect(ports.length).toBeGreaterThan(1);
  });

  it('tell all mistakes at once', () => {
    try {
      readGatewayConfig({ IDENTITY: 'jwt', FORWARD_HEADERS: 'host', CORS_ORIGINS: '*', CORS_CREDENTIALS: 'true' });
      throw new Error('taken');
    } catch (error) {
      expect((error as SettingsError).mistakes).toHaveLength(4);
    }
  });
});
