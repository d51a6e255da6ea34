import { createSecureContext, type ConnectionOptions } from 'node:tls';
import { readFileSync } from 'node:fs';

export type SubgraphTls = Pick<ConnectionOptions, 'ca' | 'cert' | 'key'>;

/** What the files hold, tried, so that a wrong one is told at start and not with the first call. */
export function readTls(files: {
  ca?: string | undefined;
  cert?: string | undefined;
  key?: string | undefined;
}): SubgraphTls {
  const tls: SubgraphTls = {};
  for (const name of ['ca', 'cert', 'key'] as const) {
    const file = files[name];
    if (file === undefined) continue;
    try {
      tls[name] = readFileSync(file);
    } catch (error) {
      throw new Error(`SUBGRAPH_TLS_${name.toUpperCase()} takes a file that can be read; ${(error as Error).message}`);
    }
  }
  try {
    createSecureContext(tls);
  } catch (error) {
    throw new Error(
      `SUBGRAPH_TLS_CA, SUBGRAPH_TLS_CERT and SUBGRAPH_TLS_KEY take PEM, the key that of the certificate; ${(error as Error).message}`,
      { cause: error },
    );
  }
  return tls;
}
