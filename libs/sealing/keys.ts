import { createSecretKey, hkdfSync, type KeyObject } from 'node:crypto';

/** A key by which columns are sealed. What it is made of is in no property, so it cannot be printed by mistake. */
export interface SealingKey {
  /** Stands in everything that it has sealed: it is no secret, and stays for as long as a row names it. */
  readonly id: string;
  readonly key: KeyObject;
}

const BYTES_MIN = 32;
const KEYS_MAX = 16;
const ID = /^[A-Za-z0-9-]{1,32}$/;

/** `secret`: 32 bytes or more that nobody can guess. The key of the cipher is derived from it (HKDF-SHA-256), so it may be of any such length. */
export function sealingKeyOf(id: string, secret: Uint8Array): SealingKey {
  if (secret.byteLength < BYTES_MIN)
    throw new RangeError(`a sealing key takes ${BYTES_MIN} bytes or more; ${id} has ${secret.byteLength}`);
  return { id, key: createSecretKey(Buffer.from(hkdfSync('sha256', secret, '', 'tributary sealed columns', 32))) };
}

/**
 * From a setting, `id:base64,id:base64`, the first of which seals. Undefined when it is something else, of which nothing is told: a short
 * key, a text that is no base64, an id twice.
 */
export function parseSealingKeys(text: string): readonly SealingKey[] | undefined {
  const keys: SealingKey[] = [];
  for (const pair of text.split(',').map((one) => one.trim())) {
    const [id = '', base64 = '', ...more] = pair.split(':');
    const secret = Buffer.from(base64, 'base64');
    // Node skips what is no base64, and would make a short key of a long mistake.
    const isWhole = withoutPadding(secret.toString('base64')) === withoutPadding(base64);
    const isKnown = keys.some((key) => key.id === id);
    if (more.length > 0 || !ID.test(id) || !isWhole || secret.byteLength < BYTES_MIN || isKnown) return undefined;
    keys.push(sealingKeyOf(id, secret));
  }
  return keys.length <= KEYS_MAX ? keys : undefined;
}

/** What those keys are made of, for whoever looks whether it can be guessed: of each the text, and the bytes of it as characters. */
export function secretsOf(text: string): string[] {
  const texts = text.split(',').map((pair) => pair.trim().split(':')[1] ?? '');
  return texts.flatMap((base64) => [withoutPadding(base64), Buffer.from(base64, 'base64').toString('latin1')]);
}

function withoutPadding(base64: string): string {
  return base64.replace(/={1,2}$/, '');
}
