import { createHash, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import type { JWK } from 'jose';

/** An Ed25519 key that signs tokens, and what everybody may know of it. */
export interface SigningKey {
  readonly privateKey: KeyObject;
  /** With `kid`, the RFC 7638 thumbprint: the same key has the same name everywhere. */
  readonly publicJwk: JWK & { kid: string };
}

export function signingKeyOf(privateKey: KeyObject): SigningKey {
  if (privateKey.asymmetricKeyType !== 'ed25519')
    throw new TypeError(`a signing key is Ed25519; came ${privateKey.asymmetricKeyType}`);
  const { crv, kty, x } = createPublicKey(privateKey).export({ format: 'jwk' });
  const kid = createHash('sha256').update(JSON.stringify({ crv, kty, x })).digest('base64url');
  return { privateKey, publicJwk: { kty: 'OKP', crv: 'Ed25519', x: String(x), kid, alg: 'EdDSA', use: 'sig' } };
}

/** From one line of text, as a setting holds it: PKCS#8 DER in base64. Undefined when it is something else. */
export function parseSigningKey(text: string): SigningKey | undefined {
  try {
    return signingKeyOf(createPrivateKey({ key: Buffer.from(text, 'base64'), format: 'der', type: 'pkcs8' }));
  } catch {
    return undefined;
  }
}

/** The 32 bytes that it is made of, as characters, for whoever looks whether they can be guessed; of a text that `parseSigningKey` takes. */
export function seedOf(text: string): string {
  const { privateKey } = parseSigningKey(text)!;
  return Buffer.from(String(privateKey.export({ format: 'jwk' }).d), 'base64url').toString('latin1');
}
