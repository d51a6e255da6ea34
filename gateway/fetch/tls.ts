import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import * as nodeTls from 'node:tls';
import { Agent, fetch, type Dispatcher } from 'undici';

export const NAMES = ['ca', 'cert', 'key'] as const;

/** What the files hold. */
export type SubgraphTls = { [name in (typeof NAMES)[number]]?: Buffer | string };

/** Where they are. */
export type TlsPaths = { readonly [name in (typeof NAMES)[number]]?: string | undefined };

/** What the files hold, tried, so that a wrong one is told at start and not with the first call. */
export function readTls(files: TlsPaths): SubgraphTls {
  const tls: SubgraphTls = {};
  for (const name of NAMES) {
    const file = files[name];
    if (file === undefined) continue;
    try {
      tls[name] = readFileSync(file);
    } catch (error) {
      throw new Error(`SUBGRAPH_TLS_${name.toUpperCase()} takes a file that can be read; ${(error as Error).message}`);
    }
  }
  return tried(tls);
}

/** The same, where connections can be made with it. */
export function tried(tls: SubgraphTls): SubgraphTls {
  try {
    nodeTls.createSecureContext(tls);
  } catch (error) {
    throw new Error(
      `SUBGRAPH_TLS_CA, SUBGRAPH_TLS_CERT and SUBGRAPH_TLS_KEY take PEM, the key that of the certificate; ${(error as Error).message}`,
      { cause: error },
    );
  }
  for (const name of ['ca', 'cert'] as const) {
    try {
      if (tls[name] !== undefined) certificatesOf(tls[name]);
    } catch (error) {
      const what = `SUBGRAPH_TLS_${name.toUpperCase()} takes PEM certificates`;
      throw new Error(`${what}; ${(error as Error).message}`, { cause: error });
    }
  }
  return tls;
}

/**
 * Each certificate of a file. Throws where there is none, or one that is not whole: of `ca` a TLS library takes what it can read and says
 * nothing of the rest, so whoever reads a file that is being written would believe nobody.
 */
export function certificatesOf(file: Buffer | string): X509Certificate[] {
  const text = String(file);
  const whole = text.match(CERTIFICATE) ?? [];
  if (whole.length === 0) throw new Error('there is no certificate in the file');
  const ends = [BEGIN, END].map((line) => text.match(line)?.length ?? 0);
  if (ends.some((count) => count !== whole.length)) throw new Error('a certificate in the file is not whole');
  return whole.map((pem) => new X509Certificate(pem));
}

const BEGIN = /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----/g;
const END = /-----END (?:X509 |TRUSTED )?CERTIFICATE-----/g;
const CERTIFICATE = new RegExp(`${BEGIN.source}[^-]+${END.source}`, 'g');

/** Whom Node believes where nothing is said: with `ca` it would believe nobody else, not those of NODE_EXTRA_CA_CERTS either. */
function trusted(): readonly (string | Buffer)[] {
  // Node 22.15 and later; Node 20 and its types do not have it.
  const { getCACertificates } = nodeTls as { getCACertificates?: (type: 'default') => string[] };
  if (getCACertificates !== undefined) return getCACertificates('default');
  const extra = process.env['NODE_EXTRA_CA_CERTS'];
  try {
    return extra ? [...nodeTls.rootCertificates, readFileSync(extra)] : nodeTls.rootCertificates;
  } catch {
    // Node has said so itself at its start, and goes on without.
    return nodeTls.rootCertificates;
  }
}

/**
 * For what a gateway asks besides subgraph calls: schemas, ended log-ins, keys of tokens. It shows the same certificate; believed are who
 * SUBGRAPH_TLS_CA vouches for and those whom everybody believes, for an issuer or a registry may be a public one. Undefined: nothing is set.
 */
export function dispatcherWith(tls: SubgraphTls): Dispatcher | undefined {
  if (tls.ca === undefined && tls.cert === undefined) return undefined;
  const ca = tls.ca === undefined ? {} : { ca: [...trusted(), tls.ca] };
  return new Agent({ connect: { ...tls, ...ca }, maxHeaderSize: 16 * 1024 });
}

/** The same as a `fetch`, which Node's own would not take it for: its undici is another one. */
export function fetchWith(
  dispatcher: Dispatcher | undefined,
): ((url: string, init: RequestInit) => Promise<Response>) | undefined {
  return dispatcher && ((url, init) => fetch(url, { ...(init as object), dispatcher }) as unknown as Promise<Response>);
}
