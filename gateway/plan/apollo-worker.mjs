/**
 * Apollo's planner on a thread of its own: planning is synchronous JavaScript and may take seconds, which the event loop
 * that answers requests must never wait for. Plain JavaScript, so that it is the same file from source and from dist.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { createRequire } from 'node:module';
import { parse } from 'graphql';

const require = createRequire(import.meta.url);
const {
  Supergraph,
  ROUTER_SUPPORTED_SUPERGRAPH_FEATURES,
  operationFromDocument,
} = require('@apollo/federation-internals');
const { QueryPlanner } = require('@apollo/query-planner');

const supergraph = Supergraph.build(workerData.sdl, {
  supportedFeatures: ROUTER_SUPPORTED_SUPERGRAPH_FEATURES,
  validateSupergraph: false,
});
const planner = new QueryPlanner(supergraph, {});
const schema = supergraph.apiSchema();
const labels = overrideLabels(workerData.sdl);

parentPort.postMessage({ ready: true, labels });
parentPort.on('message', ({ id, query, on }) => {
  try {
    const operation = operationFromDocument(schema, parse(query));
    const overrideConditions = new Map(labels.map((label) => [label, on.includes(label)]));
    parentPort.postMessage({ id, plan: planner.buildQueryPlan(operation, { overrideConditions }) });
  } catch (error) {
    parentPort.postMessage({ id, error: String(error?.message ?? error) });
  }
});

function overrideLabels(sdl) {
  return [...new Set([...sdl.matchAll(/overrideLabel:\s*"([^"]+)"/g)].map((found) => found[1]))];
}
