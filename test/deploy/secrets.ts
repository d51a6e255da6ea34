import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { sealingKeys } from '../sealer.js';

/** A value for every name of .env.example, made as that file says. */
export function secretsFor(names: Iterable<string>): Record<string, string> {
  const others: Readonly<Record<string, () => string>> = { SIGNING_KEY: signingKey, SEALING_KEYS: sealingKeys };
  return Object.fromEntries([...names].map((name) => [name, (others[name] ?? secret)()]));
}

/** openssl rand -hex 32 */
function secret(): string {
  return randomBytes(32).toString('hex');
}

/** openssl genpkey -algorithm ed25519 -outform DER | base64 -w0 */
function signingKey(): string {
  return generateKeyPairSync('ed25519').privateKey.export({ format: 'der', type: 'pkcs8' }).toString('base64');
}
