/** What is asked. `forwarded`: does the client's Authorization header reach the subgraphs (then no two reads are equal)? */
import { chain, published, small, wide } from './shop.mjs';

const VARIANTS = ['ours-join-off', 'ours-merge-plan', 'ours-planner-apollo'];

export const scenarios = {
  published: {
    title: 'published shape: 4 subgraphs, 88 KB',
    query: published,
    connections: 16,
    forwarded: [true, false],
    variants: VARIANTS,
  },
  small: {
    title: 'small query: 1 fetch, 1 KB',
    query: small,
    connections: 16,
    forwarded: [true, false],
    variants: ['ours-join-off'],
  },
  'wide-1000': {
    title: 'wide list: 1,000 entities',
    query: wide(1_000),
    connections: 4,
    forwarded: [true, false],
    variants: [],
  },
  'wide-10000': {
    title: 'wide list: 10,000 entities',
    query: wide(10_000),
    connections: 4,
    forwarded: [true, false],
    variants: [],
  },
  chain: {
    title: 'deep chain: 8 dependent fetches, 4 ms each',
    query: chain,
    connections: 32,
    delayMs: 4,
    forwarded: [true, false],
    variants: [],
  },
  'connections-small': {
    title: '500 connections, small query',
    query: small,
    connections: 500,
    forwarded: [true, false],
    variants: [],
  },
  'connections-published': {
    title: '500 connections, published shape',
    query: published,
    connections: 500,
    // A turn is as long as the slowest needs for its first 500 answers.
    rounds: 1,
    warmUpMs: 1,
    // The others let everybody wait, whole seconds; by default ours would answer some at once that it is busy.
    ours: { OVERLOAD_MS: '0' },
    forwarded: [true, false],
    variants: [],
  },
};
