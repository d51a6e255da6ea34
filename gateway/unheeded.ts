import { unheededIn, unheededOf, weakSecretsIn, type Environment, type Heeded } from '#libs/settings';
import type { Logger } from '#libs/telemetry';
import { sharedSecretsIn } from './config-mistakes.js';
import { gatewaySettings, secretVariableOf, type GatewayConfig } from './config.js';
import { variableOf } from './supergraph/supergraph.js';

/** What a gateway takes from its environment, whoever starts it. */
export const GATEWAY_HEEDS = {
  program: 'the gateway',
  names: Object.keys(gatewaySettings),
  families: ['SUBGRAPH_URL_', 'ASSERTION_SECRET_'],
  prefixes: ['SUBGRAPH_', 'SUPERGRAPH_', 'ENTITY_CACHE_'],
} satisfies Heeded;

/** Says what of `env` was meant for a gateway and is not heeded, and which secrets are hardly any. */
export function tellUnheeded(env: Environment, logger: Logger): void {
  const weak = weakSecretsIn({ ...gatewaySettings, ...sharedSecretsIn(env) }, env);
  for (const { says, ...fields } of [...unheededIn(env, GATEWAY_HEEDS), ...weak]) logger.warn(fields, says);
}

/**
 * An address or a secret for a subgraph that is not there is a misspelt name, and the subgraph that was meant is asked elsewhere. That
 * is known by the supergraph; each is said once, not for each new one.
 */
export function tellingStrangers(
  { addressVariables, secretVariables }: Pick<GatewayConfig, 'addressVariables' | 'secretVariables'>,
  logger: Logger,
): (subgraphs: Iterable<string>) => void {
  const told = new Set<string>();
  return (subgraphs) => {
    const names = [...subgraphs];
    for (const [given, known, what] of [
      [addressVariables, names.map(variableOf), 'address'],
      [secretVariables, names.map(secretVariableOf), 'secret'],
    ] as const) {
      const why = `The supergraph has no subgraph by this name, so its ${what} is not used`;
      for (const { says, ...fields } of unheededOf(given, known, why)) {
        if (!told.has(fields.variable)) logger.warn({ ...fields, unknown: [fields.variable], known }, says);
        told.add(fields.variable);
      }
    }
  };
}
