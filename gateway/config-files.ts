import { createPrivateKey } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { whyUnread, type Environment } from '#libs/settings';
import { gatewaySettings, secretVariableOf, type GatewaySettings } from './config.js';
import { certificatesOf, NAMES, tried, type SubgraphTls } from './fetch/tls.js';
import { whyNoManifest } from './http/persisted-documents.js';
import { subgraphNamesOf } from './supergraph/supergraph.js';

/** What the files hold that settings name: looked into before anything is made or opened, and told with all other mistakes. */
export function mistakesInFiles(values: GatewaySettings): string[] {
  return [...tlsMistakes(values), ...policyMistakes(values), ...documentMistakes(values)];
}

/**
 * Secrets that are missing for subgraphs of the supergraph, as far as that is a file that is there: it would be waited for without end. One that comes
 * later, or cannot be used, is waited for, and what is served already goes on.
 */
export function missingSecrets({ IDENTITY, SUPERGRAPH }: GatewaySettings, env: Environment): string[] {
  if (IDENTITY === 'off' || SUPERGRAPH === undefined || /^https?:/i.test(SUPERGRAPH)) return [];
  let subgraphs: readonly string[];
  try {
    // What can be read once only is left to whoever serves it.
    if (!statSync(SUPERGRAPH).isFile()) return [];
    subgraphs = subgraphNamesOf(readFileSync(SUPERGRAPH, 'utf8'));
  } catch {
    return [];
  }
  return subgraphs.flatMap((subgraph) => {
    const name = secretVariableOf(subgraph);
    if (env[name]) return [];
    return [
      `${name} is needed with IDENTITY=jwt: the supergraph has a subgraph ${JSON.stringify(subgraph)}; give what that service has for ASSERTION_SECRET (openssl rand -hex 32)`,
    ];
  });
}

export type TlsSettings = Pick<GatewaySettings, `SUBGRAPH_TLS_${'CA' | 'CERT' | 'KEY'}`>;

export function tlsMistakes(values: TlsSettings): string[] {
  const mistakes: string[] = [];
  const tls: SubgraphTls = {};
  for (const name of NAMES) {
    const variable = `SUBGRAPH_TLS_${name.toUpperCase() as 'CA' | 'CERT' | 'KEY'}` as const;
    const file = values[variable];
    if (file === undefined) continue;
    const wrong = (why: string) =>
      mistakes.push(`${variable} takes ${gatewaySettings[variable].takes}; came ${JSON.stringify(file)}, ${why}`);
    try {
      tls[name] = readFileSync(file);
    } catch (error) {
      wrong(`${whyUnread(error)}: name another one, or put it there`);
      continue;
    }
    const why = WHY_NOT[name](tls[name]);
    if (why !== undefined) wrong(`${why}: write one there (-----BEGIN …), or name another file`);
  }
  if (mistakes.length > 0 || (tls.cert === undefined) !== (tls.key === undefined)) return mistakes;
  try {
    tried(tls);
  } catch {
    mistakes.push(
      `SUBGRAPH_TLS_KEY takes the key of SUBGRAPH_TLS_CERT; came ${JSON.stringify(values.SUBGRAPH_TLS_KEY)}, which is that of another one: name both as they were issued together`,
    );
  }
  return mistakes;
}

const WHY_NOT: { readonly [name in (typeof NAMES)[number]]: (held: Buffer) => string | undefined } = {
  ca: whyNoCertificates,
  cert: whyNoCertificates,
  key: whyNoKey,
};

function whyNoCertificates(held: Buffer): string | undefined {
  try {
    certificatesOf(held);
    return undefined;
  } catch (error) {
    return `which holds none that can be used (${(error as Error).message})`;
  }
}

function whyNoKey(held: Buffer): string | undefined {
  try {
    createPrivateKey(held);
    return undefined;
  } catch {
    return /^-.* ENCRYPTED |^Proc-Type: 4,ENCRYPTED/m.test(String(held))
      ? 'which holds one that is encrypted, and nobody is here to type its passphrase'
      : 'which holds none that can be used';
  }
}

/** What is in it is known only when it runs, which it does once there is nothing else to say. */
function policyMistakes({ POLICY_MODULE: file }: GatewaySettings): string[] {
  if (file === undefined) return [];
  try {
    if (statSync(file).isFile()) return [];
    return [`POLICY_MODULE takes ${gatewaySettings.POLICY_MODULE.takes}; came ${JSON.stringify(file)}, which is none`];
  } catch (error) {
    const { takes } = gatewaySettings.POLICY_MODULE;
    return [`POLICY_MODULE takes ${takes}; came ${JSON.stringify(file)}, ${whyUnread(error)}`];
  }
}

function documentMistakes({ PERSISTED_DOCUMENTS: file }: GatewaySettings): string[] {
  const why = file === undefined ? undefined : whyNoManifest(file);
  return why === undefined ? [] : [why];
}
