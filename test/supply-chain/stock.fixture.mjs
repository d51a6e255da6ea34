// The control of outbound.test.ts: the stock gateway as its documentation starts it, nothing turned off.
import { readFileSync } from 'node:fs';
import { ApolloGateway } from '@apollo/gateway';

await new ApolloGateway({ supergraphSdl: readFileSync(process.argv[2], 'utf8') }).load();
setInterval(() => {}, 1_000);
