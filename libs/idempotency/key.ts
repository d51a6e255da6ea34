import { createHash } from 'node:crypto';

/** What a mutation came with that may be repeated. */
export interface Key {
  /** Who asks and with which key, as one text from which neither can be read. */
  readonly name: string;
  /** What is asked, likewise: equal for equal operations with equal variables. */
  readonly payload: string;
}

/**
 * What the gateway tells of a client's key: `<digest of the key>.<digest of the payload>`. A key is its viewer's alone. Whoever is
 * nobody yet has none of their own, so there the payload is part of it: a stranger with the same key is told nothing, and who
 * knows the whole payload of a sign-up knows its password.
 *
 * `seal` binds a text to a secret that is not in the database: a digest of a password must not be one that can be tried.
 */
export function keyOf(header: unknown, viewer: string | null, seal: (text: string) => string): Key | undefined {
  const [, key, asked] = typeof header === 'string' ? (HEADER.exec(header) ?? []) : [];
  if (key === undefined || asked === undefined) return undefined;
  const payload = seal(asked);
  const whose = viewer === null ? ['nobody', payload] : ['viewer', viewer];
  const name = createHash('sha256')
    .update(JSON.stringify([...whose, key]))
    .digest('base64url');
  return { name, payload };
}

const HEADER = /^([\w-]{43})\.([\w-]{43})$/;
