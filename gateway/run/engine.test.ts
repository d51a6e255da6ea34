import { describe, expect, it } from '@jest/globals';
import { silent } from '#libs/telemetry';
import type { SubgraphClient } from '../engine.js';
import { readSupergraph } from '../supergraph/supergraph.js';
import { createEngine } from './engine.js';

const nobody: SubgraphClient = {
  post: () => Promise.reject(new Error('nobody is asked here')),
  close: () => Promise.resolve(),
};
const options = {
  subgraphs: nobody,
  logger: silent,
  clock: () => 0,
  planner: 'native',
  merge: 'flow',
  join: true,
} as const;

const linking = (more: string): string => `
  schema @link(url: "https://specs.apollo.dev/link/v1.0") @link(url: "https://specs.apollo.dev/join/v0.3", for: EXECUTION) ${more} { query: Query }
  directive @link(url: String, as: String, for: link__Purpose, import: [link__Import]) repeatable on SCHEMA
  directive @join__graph(name: String!, url: String!) on ENUM_VALUE
  directive @join__type(graph: join__Graph!, key: join__FieldSet, extension: Boolean! = false, resolvable: Boolean! = true, isInterfaceObject: Boolean! = false) repeatable on OBJECT | INTERFACE | UNION | ENUM | INPUT_OBJECT | SCALAR
  directive @authenticated on FIELD_DEFINITION | OBJECT | INTERFACE | SCALAR | ENUM
  scalar link__Import
  scalar join__FieldSet
  enum link__Purpose { SECURITY EXECUTION }
  enum join__Graph { A @join__graph(name: "a", url: "http://127.0.0.1:1/") }
  type Query @join__type(graph: A) { secret: String @authenticated open: String }`;

describe('a supergraph that needs more than the engine heeds', () => {
  it('is refused: @authenticated passed over would be a field that everybody may read', async () => {
    const supergraph = readSupergraph(linking('@link(url: "https://specs.apollo.dev/connect/v0.1", for: SECURITY)'));
    await expect(createEngine(supergraph, options)).rejects.toThrow(
      'The supergraph needs https://specs.apollo.dev/connect/v0.1 (for: SECURITY), which this gateway does not heed',
    );
  });

  it('control: linked without a purpose it is only metadata, and the supergraph is served', async () => {
    const supergraph = readSupergraph(linking('@link(url: "https://specs.apollo.dev/tag/v0.3")'));
    const engine = await createEngine(supergraph, options);
    expect(engine.about).toMatchObject({ engine: 'tributary' });
    await engine.close();
  });
});
