import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { signingKeyOf, type EndedSessionsPage, type SigningKey } from '#libs/identity';
import type { Around, Cast } from './attack.js';

/** Whose tokens the gateways before small graphs take. */
export interface Issuer {
  readonly signing: Cast['signing'];
  /** Where its one key is. */
  readonly keysUrl: string;
  /** Where the keys are that `set` says. */
  readonly turningUrl: string;
  /** Which log-ins have ended, as `set` says. */
  readonly endedUrl: string;
  set(around: Around): void;
  close(): Promise<unknown>;
}

const DAY_MS = 86_400_000;

export async function startIssuer({ issuer, audience }: { issuer: string; audience: string }): Promise<Issuer> {
  const [first, second] = [makeKey(), makeKey()];
  const published = { first: [first], both: [second, first], second: [second] };
  const jwks = (keys: readonly SigningKey[]): object => ({ keys: keys.map(({ publicJwk }) => publicJwk) });
  let keys = published.first;
  let ended: readonly string[] = [];
  const answers: Readonly<Record<string, () => object>> = {
    '/jwks': () => jwks([first]),
    '/turning': () => jwks(keys),
    '/ended': (): EndedSessionsPage => {
      const now = Date.now();
      return { now, sessions: ended.map((jti) => [jti, now + DAY_MS]), people: [] };
    },
  };
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '', 'http://here');
    response.end(JSON.stringify(answers[pathname]?.()));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const at = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    signing: {
      pem: pemOf(first.privateKey),
      publicX: String(first.publicJwk.x),
      kid: String(first.publicJwk.kid),
      issuer,
      audience,
      next: { pem: pemOf(second.privateKey), kid: String(second.publicJwk.kid) },
    },
    keysUrl: `${at}/jwks`,
    turningUrl: `${at}/turning`,
    endedUrl: `${at}/ended`,
    set(around) {
      if (around.keys) keys = published[around.keys];
      ended = around.ended ?? ended;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  };
}

function makeKey(): SigningKey {
  return signingKeyOf(generateKeyPairSync('ed25519').privateKey);
}

function pemOf(key: KeyObject): string {
  return key.export({ format: 'pem', type: 'pkcs8' }) as string;
}
