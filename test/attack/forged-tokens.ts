import { createHmac, createPrivateKey, createPublicKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { globalId, newId, signingKeyOf } from '#libs/identity';
import type { Cast } from './attack.js';

export interface Honest {
  readonly key: KeyObject;
  readonly publicX: string;
  readonly kid: string;
  readonly issuer: string;
  readonly audience: string;
  /** Seconds since 1970, on the clock of who checks. */
  readonly now: number;
  /** By what its issuer signs and what it says it is, where those are not our own. */
  readonly alg?: 'EdDSA' | 'ES256' | 'RS256';
  readonly typ?: string;
}

/** How a token that is refused was made: the row of the table, what is wrong with it, the token. */
export type Forged = readonly [id: string, what: string, token: string];

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const strangers = { EdDSA: generateKeyPairSync('ed25519').privateKey, ES256: ec.privateKey, RS256: rsa.privateKey };

/** A token that is good, and every way of §F in which one is not. Each differs from the good one in the one thing it is named for. */
export function forgedTokens({ key, publicX, kid, issuer, audience, now, alg = 'EdDSA', typ = 'at+jwt' }: Honest): {
  readonly good: string;
  readonly forged: readonly Forged[];
} {
  const user = newId();
  const header = { alg, typ, kid };
  const attacker = strangers[alg];
  const claims = { iss: issuer, aud: audience, sub: globalId('user', user), iat: now, exp: now + 3_600, jti: 'j' };
  const jwt = (head: object, payload: object, by: KeyObject = key, hash = hashOf(alg)): string =>
    rawJwt(head, JSON.stringify(payload), by, hash);
  const hs256 = (secret: Buffer): string => {
    const signed = `${b64({ ...header, alg: 'HS256' })}.${b64(claims)}`;
    return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
  };
  const good = jwt(header, claims);
  const [h = '', p = '', s = ''] = good.split('.');
  const attackerJwk = { ...createPublicKey(attacker).export({ format: 'jwk' }), kid: 'stranger', alg, use: 'sig' };
  const published = createPublicKey(key);
  const publicPem = published.export({ format: 'pem', type: 'spki' }).toString();
  const forged: Forged[] = [
    ['F1', 'alg none', `${b64({ ...header, alg: 'none' })}.${p}.`],
    ['F1', 'alg None', `${b64({ ...header, alg: 'None' })}.${p}.`],
    ['F1', 'alg nOnE with a signature', `${b64({ ...header, alg: 'nOnE' })}.${p}.${s}`],
    ['F1', 'no alg', jwt({ typ, kid }, claims)],
    ['F2', 'HS256 with our public key', hs256(Buffer.from(publicX, 'base64url'))],
    ['F2', 'HS256 with our public key as PEM', hs256(Buffer.from(publicPem))],
    ['F2', 'HS256 with our public key as DER', hs256(published.export({ format: 'der', type: 'spki' }))],
    [
      'F3',
      'RS256 with an unknown kid',
      jwt({ ...header, alg: 'RS256', kid: 'other' }, claims, rsa.privateKey, 'sha256'),
    ],
    ['F3', 'our algorithm with an unknown kid', jwt({ ...header, kid: 'other' }, claims, attacker)],
    ['F4', 'kid ../../dev/null', jwt({ ...header, kid: '../../dev/null' }, claims, attacker)],
    ['F4', "kid ' OR 1=1", jwt({ ...header, kid: "' OR 1=1 --" }, claims, attacker)],
    ['F4', 'our kid on a stranger’s signature', jwt(header, claims, attacker)],
    [
      'F5',
      'a jku that points at a stranger’s keys',
      jwt({ ...header, jku: 'http://127.0.0.1:9/jwks' }, claims, attacker),
    ],
    ['F5', 'an x5u', jwt({ ...header, x5u: 'http://127.0.0.1:9/cert' }, claims, attacker)],
    [
      'F5',
      'a stranger’s key in the header',
      jwt({ ...header, kid: attackerJwk.kid, jwk: attackerJwk }, claims, attacker),
    ],
    ['F6', 'expired 61 s ago', jwt(header, { ...claims, exp: now - 61 })],
    ['F6', 'nbf in the future', jwt(header, { ...claims, nbf: now + 120 })],
    ['F6', 'iat in the future', jwt(header, { ...claims, iat: now + 120, exp: now + 3_600 })],
    ['F6', 'no exp', jwt(header, { ...claims, exp: undefined })],
    ['F6', 'exp as text', jwt(header, { ...claims, exp: String(now + 60) })],
    ['F7', 'another issuer', jwt(header, { ...claims, iss: 'https://evil.example/' })],
    ['F7', 'no issuer', jwt(header, { ...claims, iss: undefined })],
    ['F8', 'another audience', jwt(header, { ...claims, aud: 'other' })],
    ['F8', 'a list of other audiences', jwt(header, { ...claims, aud: ['other', `${audience}2`] })],
    ['F8', 'a list of none', jwt(header, { ...claims, aud: [] })],
    ['F8', 'our audience in a list in a list', jwt(header, { ...claims, aud: [[audience]] })],
    ['F8', 'no audience', jwt(header, { ...claims, aud: undefined })],
    ['F9', 'no subject', jwt(header, { ...claims, sub: undefined })],
    ['F9', 'a numeric subject', jwt(header, { ...claims, sub: 7 })],
    ['F9', 'a subject of two lines', jwt(header, { ...claims, sub: `${claims.sub}\nx-admin: 1` })],
    ['F9', 'a subject of no character', jwt(header, { ...claims, sub: '' })],
    ['F9', 'a subject of 256 characters', jwt(header, { ...claims, sub: 'x'.repeat(256) })],
    ['F10', 'a changed payload', `${h}.${b64({ ...claims, sub: globalId('user', newId()) })}.${s}`],
    ['F11', 'five parts', `${good}.x.y`],
    ['F11', 'two parts', `${h}.${p}`],
    [
      'F12',
      'a claim that is there twice',
      rawJwt(header, JSON.stringify(claims).replace('{', `{"sub":"${globalId('user', newId())}",`), key, hashOf(alg)),
    ],
    ['F14', 'a token of another type', jwt({ ...header, typ: 'rt+jwt' }, claims)],
    // Where the type is JWT, none is that.
    ...(typ === 'JWT' ? [] : [['F14', 'no type', jwt({ alg: header.alg, kid }, claims)] as const]),
    [
      'F15',
      'ES256 with r = s = 0',
      `${b64({ ...header, alg: 'ES256' })}.${p}.${Buffer.alloc(64).toString('base64url')}`,
    ],
    ['F15', 'ES256 by another key', jwt({ ...header, alg: 'ES256' }, claims, ec.privateKey, 'sha256')],
    [
      'F15',
      `${alg} with a signature of zeros`,
      `${h}.${p}.${Buffer.alloc(Buffer.from(s, 'base64url').length).toString('base64url')}`,
    ],
    ['F16', 'a crit header that nobody knows', jwt({ ...header, crit: ['exp2'], exp2: 1 }, claims)],
    [
      'F17',
      'PBES2 with two billion rounds',
      `${b64({ alg: 'PBES2-HS256+A128KW', enc: 'A128GCM', p2c: 2 ** 31, p2s: 'c2FsdA' })}.AA.AA.AA.AA`,
    ],
    [
      'F17',
      'an encrypted one',
      `${b64({ alg: 'dir', enc: 'A128GCM', zip: 'DEF' })}..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA`,
    ],
    [
      'F19',
      'the token of another house, of the same form',
      jwt({ ...header, kid: attackerJwk.kid }, { ...claims, iss: 'elsewhere' }, attacker),
    ],
  ];
  return { good, forged };
}

/** Ed25519 has its own. */
function hashOf(alg: string): string | null {
  return alg === 'EdDSA' ? null : 'sha256';
}

const DAY_S = 86_400;

/** A good one, by the key of the gateways before small graphs or the `next` one; `claims` says more, or otherwise. */
export function tokenOf(
  { signing }: Pick<Cast, 'signing'>,
  claims: object = {},
  by: 'first' | 'next' = 'first',
): string {
  const { issuer, audience, next } = signing;
  const { pem, kid } = by === 'next' ? next : signing;
  const now = Math.floor(Date.now() / 1_000);
  const sub = globalId('user', newId());
  const good = { iss: issuer, aud: audience, sub, iat: now, exp: now + DAY_S, jti: newId(), ...claims };
  return rawJwt({ alg: 'EdDSA', typ: 'at+jwt', kid }, JSON.stringify(good), privateKeyOf(pem));
}

/** Somebody who signs, made for a test. */
export function exemplar(): Honest {
  const { privateKey } = generateKeyPairSync('ed25519');
  const { publicJwk } = signingKeyOf(privateKey);
  const now = Math.floor(Date.now() / 1_000);
  return { key: privateKey, publicX: String(publicJwk.x), kid: String(publicJwk.kid), issuer: 'a', audience: 'b', now };
}

export function privateKeyOf(pem: string): KeyObject {
  return createPrivateKey(pem);
}

export function b64(value: object | string): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
}

export function rawJwt(head: object, payload: string, by: KeyObject, hash: string | null = null): string {
  const signed = `${b64(head)}.${b64(payload)}`;
  const signer = by.asymmetricKeyType === 'ec' ? { key: by, dsaEncoding: 'ieee-p1363' as const } : by;
  return `${signed}.${sign(hash, Buffer.from(signed), signer).toString('base64url')}`;
}
