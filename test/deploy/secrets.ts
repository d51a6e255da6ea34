import { generateKeyPairSync, randomBytes } from 'node:crypto';

/** A value for every name of .env.example, made as that file says. */
export function secretsFor(names: Iterable<string>): Record<string, string> {
  return Object.fromEntries([...names].map((name) => [name, name === 'SIGNING_KEY' ? signingKey() : secret()]));
}

/** openssl rand -hex 32 */
function secret(): string {
  return randomBytes(32).toString('hex');
}

/** openssl genpkey -algorithm ed25519 -outform DER | base64 -w0 */
function signingKey(): string {
  return generateKeyPairSync('ed25519').privateKey.export({ format: 'der', type: 'pkcs8' }).toString('base64');
}
