import { describe, expect, it } from '@jest/globals';
import { parse } from 'graphql';
import { difference } from './compare.js';
import { operationOf } from './conform.js';
import { CALM } from './values.js';
import { modelOf, World } from './world.js';

describe('generated worlds', () => {
  it('compose by construction: none is thrown away', () => {
    for (let seed = 1; seed <= 8; seed += 1) {
      const { model, sdl } = modelOf(seed);
      expect(() => new World(model, sdl)).not.toThrow();
    }
  });

  it('follow from their seed', () => {
    expect(modelOf(3).sdl).toEqual(modelOf(3).sdl);
    expect(modelOf(3).sdl).not.toEqual(modelOf(4).sdl);
  });

  it('have one truth, and an answer without a null that was due is seen', async () => {
    const { model, sdl } = modelOf(1);
    const world = new World(model, sdl);
    const truth = await world.truth(operationOf(parse('{ __typename }')), {}, CALM);
    expect(truth).toEqual({ data: { __typename: 'Query' }, errors: [], messages: [] });
    expect(difference(truth, { ...truth, data: null })).toBe('data is null, not {"__typename":"Query"}');
  });
});
