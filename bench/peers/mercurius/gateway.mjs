/** Mercurius gateway, as its documentation shows it. It speaks Federation 1 only, so it asks the services for those words. */
import { createRequire } from 'node:module';
import Fastify from 'fastify';

const mercuriusGateway = createRequire(import.meta.url)('@mercuriusjs/gateway');

const forward = process.env.FORWARD === 'authorization';
const app = Fastify();
await app.register(mercuriusGateway, {
  gateway: {
    services: ['accounts', 'inventory', 'products', 'reviews'].map((name) => ({
      name,
      url: `${process.env.SERVICES}/federation1/${name}`,
      rewriteHeaders: (headers) => (forward && headers?.authorization ? { authorization: headers.authorization } : {}),
    })),
  },
});
await app.listen({ port: Number(process.env.PORT), host: '127.0.0.1' });
