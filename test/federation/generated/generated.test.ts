import { describe, it } from '@jest/globals';
import { expectRight } from './are-right.js';

describe('five hundred generated operations over generated graphs', () => {
  it(
    'are answered as by one service that has everything, in no more calls than ApolloGateway makes',
    () => expectRight(1),
    300_000,
  );
});
