import { describe, it } from '@jest/globals';
import { expectRight } from './are-right.js';

describe('five hundred more', () => {
  it(
    'are answered as by one service that has everything, in no more calls than ApolloGateway makes',
    () => expectRight(6),
    300_000,
  );
});
