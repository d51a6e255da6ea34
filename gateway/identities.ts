import type { Dispatcher } from 'undici';
import { AssertionSigner, TokenVerifier, type EndedSessions } from '#libs/identity';
import { SettingsError } from '#libs/settings';
import { steadyClock, systemClock, type Clock, type Logger } from '#libs/telemetry';
import { tlsMistakes } from './config-files.js';
import { secretVariableOf, type GatewayConfig } from './config.js';
import { TlsFiles } from './fetch/tls-files.js';
import { fetchWith } from './fetch/tls.js';
import type { Needed } from './first-known.js';
import { endedSessionsAt } from './http/ended-sessions.js';
import { noIdentity, tokenIdentity, type Identity } from './http/identity.js';
import { SupergraphError } from './supergraph/supergraph.js';

/** Whom it takes clients for, and how subgraphs are told. */
export function identityOf(
  config: GatewayConfig,
  clocks: Clocks,
  signer: AssertionSigner,
  {
    ended,
    dispatcher,
    logger,
  }: { ended?: EndedSessions | undefined; dispatcher?: Dispatcher | undefined; logger?: Logger },
): Identity {
  if (config.IDENTITY === 'off') return noIdentity;
  return tokenIdentity({
    verifier: new TokenVerifier({
      keys: new URL(config.JWKS_URL!),
      issuer: config.TOKEN_ISSUER,
      audience: config.TOKEN_AUDIENCE,
      algorithms: config.TOKEN_ALGORITHMS,
      type: config.TOKEN_TYPE,
      revocable: config.ENDED_SESSIONS_URL !== undefined,
      ...clocks,
      fetch: fetchWith(dispatcher),
      tooLong: logger && tellingOfLength(logger, clocks.steady),
      forOthers: logger && tellingOfOthers(logger, clocks.steady),
    }),
    signer,
    clock: clocks.clock,
    ended,
  });
}

/** Anybody can send one, so it is a line a minute at most, with how many there were since the line before; and nothing of what they hold. */
export function tellingOfLength(logger: Logger, clock: Clock): (length: number, most: number) => void {
  let [said, count] = [Number.NEGATIVE_INFINITY, 0];
  return (length, most) => {
    count += 1;
    const now = clock();
    if (now - said < SAID_MS) return;
    logger.warn({ characters: length, most, count }, 'Tokens are refused that are longer than they may be');
    [said, count] = [now, 0];
  };
}

/** Its issuer has signed each of them, so it is a setting that is wrong, or a client who has asked for another token: as seldom, and by the name of the setting alone. */
export function tellingOfOthers(logger: Logger, clock: Clock): (claim: 'iss' | 'aud' | 'typ') => void {
  let [said, count] = [Number.NEGATIVE_INFINITY, 0];
  return (claim) => {
    count += 1;
    const now = clock();
    if (now - said < SAID_MS) return;
    logger.warn(
      { claim, setting: SETTINGS[claim], count },
      'Tokens are refused that their issuer has signed for others',
    );
    [said, count] = [now, 0];
  };
}

const SETTINGS = { iss: 'TOKEN_ISSUER', aud: 'TOKEN_AUDIENCE', typ: 'TOKEN_TYPE' } as const;

const SAID_MS = 60_000;

export function signerOf(config: GatewayConfig, clocks: Clocks): AssertionSigner {
  return new AssertionSigner({ secrets: (subgraph) => config.secretOf(subgraph)!, ...clocks });
}

/** What time it is, and what time it would be had nobody set the clock since this process began. */
export interface Clocks {
  readonly clock: Clock;
  readonly steady: Clock;
}

export const CLOCKS: Clocks = { clock: systemClock, steady: steadyClock };

/** Which log-ins have ended; undefined: nobody tells. */
export function endedOf(
  config: GatewayConfig,
  signer: AssertionSigner,
  { clock, logger, dispatcher }: { clock: Clock; logger: Logger; dispatcher: Dispatcher | undefined },
): EndedSessions | undefined {
  if (config.ENDED_SESSIONS_URL === undefined) return undefined;
  return endedSessionsAt(config.ENDED_SESSIONS_URL, {
    assertion: (call) => signer.sign(USERS, null, call),
    pollMs: config.ENDED_SESSIONS_POLL_MS,
    clock,
    logger,
    dispatcher,
  });
}

/** What has to have come once before who is logged in can be answered: of a gateway that looks at no token nothing. */
export function neededOf(identity: Identity, ended: EndedSessions | undefined): Needed[] {
  const { keys } = identity;
  return [
    ...(keys ? [{ name: 'keys of tokens (JWKS_URL)', isKnown: () => keys.known, ask: () => keys.first() }] : []),
    ...(ended
      ? [
          {
            name: 'ended log-ins (ENDED_SESSIONS_URL)',
            isKnown: () => ended.known,
            ask: () => ended.refresh(),
            trouble: () => ended.trouble,
          },
        ]
      : []),
  ];
}

/** The subgraph that knows who is logged in. */
const USERS = 'users';

/** Who the gateway is to subgraphs by a certificate, and whom it believes to be one. Throws a SettingsError where the files are wrong. */
export function tlsOf(config: GatewayConfig, logger: Logger, lookMs?: number): TlsFiles {
  const mistakes = tlsMistakes(config);
  if (mistakes.length > 0) throw new SettingsError(mistakes);
  const paths = { ca: config.SUBGRAPH_TLS_CA, cert: config.SUBGRAPH_TLS_CERT, key: config.SUBGRAPH_TLS_KEY };
  return new TlsFiles(paths, { logger, ...(lookMs === undefined ? {} : { lookMs }) });
}

/** Throws where a subgraph could not be told who asks, with the settings that are missing. */
export function requireSecrets(config: GatewayConfig, subgraphs: readonly string[]): void {
  if (config.IDENTITY === 'off') return;
  const missing = subgraphs.filter((subgraph) => config.secretOf(subgraph) === undefined).map(secretVariableOf);
  if (missing.length > 0)
    throw new SupergraphError(
      `With IDENTITY=jwt each subgraph shares a secret with the gateway; set ${missing.join(', ')}.`,
    );
}
