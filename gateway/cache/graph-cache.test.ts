import { afterAll, expect, it } from '@jest/globals';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { setImmediate as turn } from 'node:timers/promises';
import { openRecordCache } from '#libs/cache';
import { federate } from '../../test/federation/harness.js';
import { HINTS } from '../../test/federation/hints.js';
import type { Unit } from '../run/compile.js';
import { TypeFamilies } from '../run/types.js';
import { EntityCache } from './entity-cache.js';
import { GraphCache } from './graph-cache.js';

const TYPES = Array.from({ length: 130 }, (_, nth) => `T${nth}`);
const graph = federate({
  things: {
    sdl: `${HINTS}
      type Query { things: [Thing!]! }
      interface Thing { id: ID! name: String }
      ${TYPES.map((type) => `type ${type} implements Thing @key(fields: "id") @cacheControl(maxAge: 60) { id: ID! name: String }`).join('\n')}`,
    resolvers: { Query: { things: () => [] }, Thing: { __resolveType: () => 'T0' } },
  },
});
afterAll(() => graph.close());

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

it('texts for entities that lack something are kept for so many types, and those of more types are not kept for ever', async () => {
  const cache = new EntityCache({ records: openRecordCache({}) });
  const { supergraph } = graph;
  const own = new GraphCache(cache, supergraph, new TypeFamilies(supergraph.document));
  const unit = { selection: '{...on Thing{__typename id name}}', variables: [] } as unknown as Unit;
  const shape = own.shapeOf('things', unit);
  const variantOf = (type: string) => own.variant(unit, shape.of(type), [2]);
  for (const type of TYPES) variantOf(type);
  expect(variantOf('T7')).toBe(variantOf('T7'));
  const made = Array.from({ length: 200 }, () => new WeakRef(variantOf('T129')));
  expect(new Set(made.map((one) => one.deref()?.id)).size).toBe(200);
  await turn();
  collect();
  expect(made.filter((one) => one.deref() !== undefined).length).toBeLessThan(20);
  expect(variantOf('T7')).toBe(variantOf('T7'));
});
