import { createRequire } from 'node:module';
import { parse } from 'graphql';

const require = createRequire(import.meta.url);
const {
  Supergraph,
  ROUTER_SUPPORTED_SUPERGRAPH_FEATURES,
  operationFromDocument,
} = require('@apollo/federation-internals');
const { QueryPlanner } = require('@apollo/query-planner');

/** Apollo's planner over one supergraph. Planning is synchronous, so who calls this has a thread to spare (apollo-worker.mjs). */
export function apolloPlanning(sdl) {
  const supergraph = Supergraph.build(sdl, {
    supportedFeatures: ROUTER_SUPPORTED_SUPERGRAPH_FEATURES,
    validateSupergraph: false,
  });
  const planner = new QueryPlanner(supergraph, {});
  const schema = supergraph.apiSchema();
  const labels = [...new Set([...sdl.matchAll(/overrideLabel:\s*"([^"]+)"/g)].map((found) => found[1]))];
  return {
    labels,
    /** `on`: which of the labels are. */
    plan(query, on) {
      const overrideConditions = new Map(labels.map((label) => [label, on.includes(label)]));
      return planner.buildQueryPlan(operationFromDocument(schema, parse(query)), { overrideConditions });
    },
  };
}
