import { mistakeIn, secret, withoutCredentials, type Environment, type Settings } from '#libs/settings';
import { servicesOf, whyNoTarget } from './config-addresses.js';
import type { GatewaySettings } from './config.js';
import { splitAddresses } from './fetch/addresses.js';
import { whyNoOrigin, whyNoPageHeader } from './http/cross-site.js';
import { whyNotForwarded } from './http/headers.js';

/** What only several settings together show, and the open families of names. */
export function mistakesIn(values: GatewaySettings, env: Environment): string[] {
  const mistakes: string[] = [];
  if (values.SUPERGRAPH === undefined && values.SUBGRAPHS === undefined) {
    mistakes.push(
      'SUPERGRAPH takes a file or address of a composed graph, or SUBGRAPHS name=address pairs to compose; neither came',
    );
  }
  if (values.SUPERGRAPH !== undefined && values.SUBGRAPHS !== undefined)
    mistakes.push('SUPERGRAPH and SUBGRAPHS exclude each other; both came');
  if (values.IDENTITY === 'jwt' && values.JWKS_URL === undefined)
    mistakes.push('JWKS_URL is needed with IDENTITY=jwt: where users publishes its keys');
  if (values.JWKS_URL !== undefined && hasCredentials(values.JWKS_URL))
    mistakes.push(
      'JWKS_URL carries a user name or password (not shown), which is sent to nobody: keys of tokens are for everybody to see',
    );
  if (values.ENTITY_CACHE === 'on' && values.ENGINE !== 'tributary')
    mistakes.push('ENTITY_CACHE=on needs ENGINE=tributary: the stock engine has no place for it');
  if (values.ENTITY_CACHE === 'on' && values.REDIS_URL === undefined && values.WORKERS !== '1')
    mistakes.push(
      'ENTITY_CACHE=on with more than one of WORKERS needs REDIS_URL: what one drops the others have to miss',
    );
  if (values.ENTITY_CACHE_PORT !== undefined && values.ENTITY_CACHE_SECRET === undefined)
    mistakes.push('ENTITY_CACHE_SECRET is needed with ENTITY_CACHE_PORT: whoever says it may drop what is kept');
  if (values.METRICS_PORT !== undefined && values.WORKERS !== '1')
    mistakes.push('METRICS_PORT needs WORKERS=1: each process counts for itself; run several gateways instead');
  if ((values.SUBGRAPH_TLS_CERT === undefined) !== (values.SUBGRAPH_TLS_KEY === undefined))
    mistakes.push('SUBGRAPH_TLS_CERT and SUBGRAPH_TLS_KEY are needed together; one came');
  const ports = ['PORT', 'METRICS_PORT', 'ENTITY_CACHE_PORT'] as const;
  for (const [index, name] of ports.entries()) {
    const other = values[name] ? ports.slice(0, index).find((before) => values[before] === values[name]) : undefined;
    if (other !== undefined)
      mistakes.push(
        `${name} takes another port than ${other}, for each is listened on by itself; both are ${values[name]}`,
      );
  }
  if (values.EXPLAIN === 'token' && values.EXPLAIN_TOKEN === undefined)
    mistakes.push('EXPLAIN_TOKEN is needed with EXPLAIN=token: whoever says it is told how requests are answered');
  if (values.HEADERS_TIMEOUT_MS > values.ARRIVAL_TIMEOUT_MS)
    mistakes.push(
      `ARRIVAL_TIMEOUT_MS takes at least HEADERS_TIMEOUT_MS (${values.HEADERS_TIMEOUT_MS}): headers are a part of what arrives; came ${values.ARRIVAL_TIMEOUT_MS}`,
    );
  for (const name of ['RATE_LIMIT_PERSON', 'RATE_LIMIT_ADDRESS'] as const)
    if (values[name] > 0 && values[name] < values.COST_LIMIT)
      mistakes.push(
        `${name} takes at least COST_LIMIT (${values.COST_LIMIT}), or one operation is more than anybody ever has; came ${values[name]}`,
      );
  if (values.ENDED_SESSIONS_URL !== undefined && values.IDENTITY !== 'jwt')
    mistakes.push('ENDED_SESSIONS_URL needs IDENTITY=jwt: without it no token is looked at');
  if (values.SAFELIST === 'on' && values.PERSISTED_DOCUMENTS === undefined)
    mistakes.push('PERSISTED_DOCUMENTS is needed with SAFELIST=on: the file of what may run');
  if (values.CORS_CREDENTIALS && values.CORS_ORIGINS.includes('*'))
    mistakes.push('CORS_CREDENTIALS=true takes named CORS_ORIGINS; came *');
  for (const origin of values.CORS_ORIGINS) {
    const why = whyNoOrigin(origin);
    if (why !== undefined)
      mistakes.push(`CORS_ORIGINS cannot name ${JSON.stringify(withoutCredentials(origin))}: ${why}`);
  }
  for (const variable of ['FORWARD_HEADERS', 'FORWARD_RESPONSE_HEADERS'] as const) {
    for (const name of values[variable]) {
      const why = whyNotForwarded(name, values.IDENTITY);
      if (why !== undefined) mistakes.push(`${variable} cannot name ${name}: ${why}`);
    }
  }
  for (const name of values.CORS_HEADERS) {
    const why = whyNoPageHeader(name);
    if (why !== undefined) mistakes.push(`CORS_HEADERS cannot name ${name}: ${why}`);
  }
  try {
    servicesOf(values.SUBGRAPHS ?? '');
  } catch (error) {
    mistakes.push((error as Error).message);
  }
  for (const [name, value] of Object.entries(env)) {
    if (name.startsWith('SUBGRAPH_URL_') && value) {
      const why =
        splitAddresses(value).length === 0 ? 'names no address' : splitAddresses(value).map(whyNoTarget).find(Boolean);
      if (why !== undefined) mistakes.push(`${name} ${why}`);
    }
    // They switch off what keeps the stock planner from running for minutes.
    if (/^APOLLO_DISABLE_SECURITY_\w+$/.test(name) && value)
      mistakes.push(`${name} takes off a limit that keeps one query from stopping the gateway; unset it`);
  }
  for (const [name, setting] of Object.entries(sharedSecretsIn(env))) {
    const mistake = mistakeIn(name, setting, env[name]!, env);
    if (mistake !== undefined) mistakes.push(mistake);
  }
  return mistakes;
}

function hasCredentials(address: string): boolean {
  const { username, password } = new URL(address);
  return username !== '' || password !== '';
}

/** Of the open family ASSERTION_SECRET_<NAME> those that were given. */
export function sharedSecretsIn(env: Environment): Settings {
  const given = Object.keys(env).filter((name) => name.startsWith('ASSERTION_SECRET_') && env[name]);
  return Object.fromEntries(given.map((name) => [name, secret({ why: 'What the gateway shares with a subgraph.' })]));
}
