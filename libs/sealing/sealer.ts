import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { SealingKey } from './keys.js';

/** Where a sealed text stands. */
export interface Column {
  readonly table: string;
  readonly column: string;
}

/** Why a sealed text was not opened. The message says where it stands, never what is in it. */
export class NotOpened extends Error {
  constructor(
    /** `key`: sealed by one that is not here. `changed`: not what was sealed for this place. */
    readonly why: 'key' | 'changed',
    /** Of the key that it names. */
    readonly keyId: string,
    message: string,
  ) {
    super(message);
    this.name = 'NotOpened';
  }
}

/**
 * Seals texts for a column, each for its row: `sealed:<version>:<key id>:<nonce, ciphertext and tag in base64url>`, AES-256-GCM. Version,
 * key, table, column and row are part of what the tag vouches for, so what is moved to another row or column does not open there. It
 * is text, and its key can be read, so that plain and sealed texts may stand in one column while it is being sealed, and SQL can count
 * by which key. Of the text it tells the length in bytes.
 *
 * Nonces are random: one key is good for 2³² texts (NIST SP 800-38D), which is a text a second for 136 years.
 */
export class Sealer {
  readonly #keys: ReadonlyMap<string, SealingKey>;
  readonly #first: SealingKey;

  /** The first seals, all open. */
  constructor(keys: readonly SealingKey[]) {
    const [first] = keys;
    if (first === undefined) throw new RangeError('a sealer takes at least one key');
    this.#first = first;
    this.#keys = new Map(keys.map((key) => [key.id, key]));
  }

  /** What begins every text that the first key has sealed, and no other. */
  get beginning(): string {
    return `sealed:${VERSION}:${this.#first.id}:`;
  }

  seal(column: Column, row: string, text: string): string {
    const { id, key } = this.#first;
    const nonce = randomBytes(NONCE);
    const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG });
    cipher.setAAD(bound(id, column, row));
    const sealed = Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]);
    return this.beginning + sealed.toString('base64url');
  }

  /** Which key a text names that another than the first has sealed, and that is here; undefined: plain, the first's, or of one that is not. */
  otherKeyOf(kept: string): string | undefined {
    const [, version, id = ''] = SEALED.exec(kept) ?? [];
    return version === VERSION && id !== this.#first.id && this.#keys.has(id) ? id : undefined;
  }

  /** What does not have the form of a sealed text is plain, and answered as it is. Throws NotOpened. */
  open(column: Column, row: string, kept: string): string {
    const [, version, id = '', body = ''] = SEALED.exec(kept) ?? [];
    if (version === undefined) return kept;
    const where = `${column.table}.${column.column} of ${row}`;
    const key = this.#keys.get(id)?.key;
    if (version !== VERSION || key === undefined)
      throw new NotOpened('key', id, `${where} is sealed (version ${version}) by the key ${id}, which is not here`);
    try {
      return opened(key, bound(id, column, row), body);
    } catch (cause) {
      const message = `${where} is not what the key ${id} has sealed for it`;
      throw Object.assign(new NotOpened('changed', id, message), { cause });
    }
  }
}

const VERSION = '1';
const CIPHER = 'aes-256-gcm';
const NONCE = 12;
const TAG = 16;
const SEALED = /^sealed:(\d+):([\w-]{1,32}):([\w-]+)$/;

function bound(keyId: string, { table, column }: Column, row: string): Buffer {
  return Buffer.from(JSON.stringify([VERSION, keyId, table, column, row]));
}

function opened(key: SealingKey['key'], aad: Buffer, body: string): string {
  const bytes = Buffer.from(body, 'base64url');
  // The last letter of base64 has bits to spare: one text, one envelope.
  if (bytes.toString('base64url') !== body || bytes.length < NONCE + TAG) throw new Error('it is no envelope');
  const decipher = createDecipheriv(CIPHER, key, bytes.subarray(0, NONCE), { authTagLength: TAG });
  decipher.setAAD(aad).setAuthTag(bytes.subarray(-TAG));
  return Buffer.concat([decipher.update(bytes.subarray(NONCE, -TAG)), decipher.final()]).toString('utf8');
}
