import type { Dispatcher } from 'undici';
import { ASSERTION_HEADER, type Call } from '#libs/identity';
import type { Logger } from '#libs/telemetry';
import type { GatewayConfig } from './config.js';
import { splitAddresses } from './fetch/addresses.js';
import { renewedDispatcher } from './fetch/tls-files.js';
import type { Identity } from './http/identity.js';
import { CLOCKS, identityOf, requireSecrets, signerOf, tlsOf } from './identities.js';
import { fileSource, servicesSource, urlSource, type SupergraphSource } from './supergraph/source.js';

/** Where the supergraph comes from, for whoever reads it on behalf of several gateways. */
export function openSource(config: GatewayConfig, logger: Logger): SupergraphSource {
  const identity = identityOf(config, CLOCKS, signerOf(config, CLOCKS), {});
  return sourceOf(config, identity, logger, renewedDispatcher(tlsOf(config, logger)));
}

export function sourceOf(
  config: GatewayConfig,
  identity: Identity,
  logger: Logger,
  dispatcher: Dispatcher | undefined,
): SupergraphSource {
  if (config.SUPERGRAPH === undefined) {
    const headers = (service: string, call: Call): Record<string, string> => {
      const assertion = identity.assertion(service, null, call);
      return assertion === undefined ? {} : { [ASSERTION_HEADER]: assertion };
    };
    const services = config.services.map(({ name, url }) => ({ name, url: webAddress(config.addressOf(name)) ?? url }));
    requireSecrets(
      config,
      services.map(({ name }) => name),
    );
    return servicesSource(services, headers, logger, config.COMPOSER, dispatcher);
  }
  return /^https?:/i.test(config.SUPERGRAPH) ? urlSource(config.SUPERGRAPH, dispatcher) : fileSource(config.SUPERGRAPH);
}

/** Of the addresses of a subgraph the first that can be asked for its SDL. */
function webAddress(addresses: string | undefined): string | undefined {
  return splitAddresses(addresses ?? '').find((address) => /^https?:/i.test(address));
}
