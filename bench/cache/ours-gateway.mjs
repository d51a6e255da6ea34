/** Our gateway, told everything by the environment; says how many calls it has made, and what its cache has found, when it is asked. */
import 'reflect-metadata';
import { subscribe } from 'node:diagnostics_channel';
import { readGatewayConfig } from '../../dist/gateway/config.js';
import { startGateway } from '../../dist/gateway/start.js';
import { createLogger, silent } from '../../dist/libs/telemetry/index.js';

const level = process.env.BENCH_LOG;
const logger = level ? createLogger('gateway', level) : silent;
let calls = 0;
subscribe('undici:request:create', () => (calls += 1));
const gateway = await startGateway(readGatewayConfig(process.env), { logger });
await gateway.ready();
process.on('message', () => process.send({ calls }));
process.send({ url: gateway.url });
process.once('disconnect', () => process.exit(0));
