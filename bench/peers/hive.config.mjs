/** Hive Gateway through its own command; only what has to be said is said here. */
import { defineConfig } from '@graphql-hive/gateway';

export const gatewayConfig = defineConfig({
  supergraph: process.env.SUPERGRAPH,
  graphqlEndpoint: '/graphql',
  ...(process.env.FORWARD === 'authorization'
    ? {
        propagateHeaders: {
          fromClientToSubgraphs: ({ request }) => ({ authorization: request.headers.get('authorization') }),
        },
      }
    : {}),
});
